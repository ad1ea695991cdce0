package observe_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/observe"
	"github.com/prismgate/prism/runtime/rpc"
)

const (
	sampledParent   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampledParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// BenchmarkSteps is what the steps cost a unary call that goes well.
func BenchmarkSteps(b *testing.B) {
	tracing := func(ratio float64) *configv1.Observability {
		return &configv1.Observability{Tracing: &configv1.Tracing{Endpoint: "http://127.0.0.1:1", SampleRatio: &ratio}}
	}
	for _, c := range []struct {
		name    string
		config  *configv1.Observability
		explain bool
		header  []string
	}{
		{name: "default"},
		{name: "explain allowed", explain: true},
		{name: "request id given", header: []string{"x-request-id", "0123456789abcdef"}},
		{name: "log all", config: logging("all")},
		{name: "tracing 0, new", config: tracing(0)},
		{name: "tracing 1%, new", config: tracing(.01)},
		{name: "tracing, unsampled by the caller", config: tracing(1), header: []string{"traceparent", unsampledParent}},
		{name: "tracing, sampled by the caller", config: tracing(0), header: []string{"traceparent", sampledParent}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkSteps(b, c.config, c.explain, c.header...) })
	}
}

func benchmarkSteps(b *testing.B, config *configv1.Observability, explain bool, header ...string) {
	observer, err := observe.New(b.Context(), observe.Options{
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Config: config, Explain: explain,
	})
	require.NoError(b, err)
	serve := rpc.Chain(func(_ context.Context, call *rpc.Call, _ rpc.Stream) error {
		call.Namespace = "default"
		return nil
	}, observer.Steps()...)
	one := newCall(b, get, header...)
	b.ReportAllocs()
	for b.Loop() {
		one.Call.Namespace, one.Call.RequestID = "", ""
		if err := serve(&one.CallContext, &one.Call, one); err != nil {
			b.Fatal(err)
		}
	}
	ended, cancel := context.WithCancel(b.Context())
	cancel()
	_ = observer.Close(ended) // nobody collects
}
