package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// sink is a collector of OTLP over HTTP that counts spans. It runs in this process, so on the core of the load.
type sink struct {
	listener net.Listener
	server   *http.Server
	spans    atomic.Int64
	wrong    atomic.Int64
}

func startSink(ctx context.Context) (*sink, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: listener}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // until it is closed
	return s, nil
}

func (s *sink) endpoint() string { return "http://" + s.listener.Addr().String() }

func (s *sink) close() error { return s.server.Close() }

// ServeHTTP takes a batch of spans.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	spans := 0
	if err == nil {
		spans, err = countSpans(body)
	}
	if err != nil {
		s.wrong.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.spans.Add(int64(spans))
	w.Header().Set("Content-Type", "application/x-protobuf") // of an ExportTraceServiceResponse without a field
}

// countSpans counts those of an ExportTraceServiceRequest, which has the fields of TracesData.
func countSpans(body []byte) (int, error) {
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		return 0, err
	}
	spans := 0
	for _, resource := range data.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			spans += len(scope.GetSpans())
		}
	}
	return spans, nil
}

// report adds how many spans came, of how many calls of the gateway that traces. Without any, nothing was measured.
func (s *sink) report(ctx context.Context, r *report, name string, traced *server) error {
	metrics, err := traced.metrics(ctx)
	if err != nil {
		return err
	}
	spans, calls := float64(s.spans.Load()), sumOf(metrics, "prism_calls_total")
	if spans == 0 || s.wrong.Load() > 0 {
		return fmt.Errorf("%s: %.0f calls have made %.0f spans and %d wrong messages", traced.name, calls, spans, s.wrong.Load())
	}
	r.add(figure{
		Case: name, Name: traced.name + ": spans / calls", Unit: ratio, Samples: []float64{spans / calls},
		Note: fmt.Sprintf("the collector got %.0f spans, %.0f more were dropped", spans, sumOf(metrics, "prism_traces_dropped_total")),
	})
	return nil
}
