package observe_test

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/observe"
	"github.com/prismgate/prism/runtime/rpc"
)

var (
	get      = &rpc.Method{Procedure: "/test.v1.Store/Get", Service: "test.v1.Store", Name: "Get"}
	dequeue  = &rpc.Method{Procedure: "/test.v1.Store/Dequeue", Service: "test.v1.Store", Name: "Dequeue", Blocking: true}
	scan     = &rpc.Method{Procedure: "/test.v1.Store/Scan", Service: "test.v1.Store", Name: "Scan", Shape: rpc.ShapeServerStream}
	bulkLoad = &rpc.Method{Procedure: "/test.v1.Store/Load", Service: "test.v1.Store", Name: "Load", Shape: rpc.ShapeClientStream}
)

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// lines are the log's lines.
func (b *buffer) lines() []string {
	text := strings.TrimSuffix(b.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// fixture is an observer with its registry and its log.
type fixture struct {
	*observe.Observer
	registry *prometheus.Registry
	log      *buffer
}

func newFixture(tb testing.TB, config *configv1.Observability, explain bool) *fixture {
	f := &fixture{registry: prometheus.NewRegistry(), log: new(buffer)}
	f.Observer = newObserver(tb, observe.Options{
		Registry: f.registry, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{ReplaceAttr: withoutTimes})), Config: config, Explain: explain,
		Build: observe.Build{Version: "v1.2.3", Revision: "abc", GoVersion: "go1.26"},
	})
	return f
}

func newObserver(tb testing.TB, o observe.Options) *observe.Observer {
	observer, err := observe.New(tb.Context(), o)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, observer.Close(context.WithoutCancel(tb.Context()))) })
	return observer
}

// withoutTimes leaves out what is never the same twice.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, "duration", "stack":
		return slog.Attr{}
	}
	return a
}

// call is one call of a fixture: what came and what was answered.
type call struct {
	rpc.CallContext
	header  header
	answer  map[string][]string
	trailer map[string][]string
}

type header http.Header

func (h header) Get(name string) string         { return http.Header(h).Get(name) }
func (h header) Values(name string) []string    { return http.Header(h).Values(name) }
func (h header) All() iter.Seq2[string, string] { return func(func(string, string) bool) {} }
func (c *call) SetHeader(name, value string)    { c.answer[name] = []string{value} }
func (c *call) AddHeader(name, value string)    { c.answer[name] = append(c.answer[name], value) }
func (c *call) SetTrailer(name, value string)   { c.trailer[name] = []string{value} }
func (c *call) AddTrailer(name, value string)   { c.trailer[name] = append(c.trailer[name], value) }
func (c *call) Receive(proto.Message) error     { return nil }
func (c *call) Send(proto.Message) error        { return nil }
func (c *call) as(protocol, address string) *call {
	c.Call.Peer = rpc.Peer{Address: address, Protocol: protocol}
	return c
}

func in(namespace string, end error) rpc.ServeFunc {
	return serving(namespace, func(context.Context) error { return end })
}

func serving(namespace string, serve func(context.Context) error) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, _ rpc.Stream) error {
		call.Namespace = namespace
		return serve(ctx)
	}
}

// newCall makes a call with a header, given as names and values in turn.
func newCall(tb testing.TB, m *rpc.Method, pairs ...string) *call {
	c := &call{header: header{}, answer: map[string][]string{}, trailer: map[string][]string{}}
	for i := 0; i < len(pairs); i += 2 {
		http.Header(c.header).Add(pairs[i], pairs[i+1])
	}
	c.Context = tb.Context()
	c.Call = rpc.Call{Method: m, Header: c.header, Response: c}
	return c.as("grpc", "192.0.2.1:4711")
}

// serve serves a call.
func (f *fixture) serve(c *call, last rpc.ServeFunc) error {
	return rpc.Chain(last, f.Steps()...)(&c.CallContext, &c.Call, c)
}

// value is a series of the registry: a counter, a gauge, or how often a histogram was observed.
func (f *fixture) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := f.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			has := map[string]string{}
			for _, pair := range m.GetLabel() {
				has[pair.GetName()] = pair.GetValue()
			}
			matches := true
			for i := 0; i < len(labels); i += 2 {
				value, known := has[labels[i]]
				matches = matches && known && value == labels[i+1]
			}
			if matches {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

// seriesOf counts the series of a metric.
func (f *fixture) seriesOf(t *testing.T, name string) int {
	t.Helper()
	families, err := f.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return len(family.GetMetric())
		}
	}
	return 0
}

func internal(cause string) error {
	return fault.Wrap(textError(cause), fault.Internal, "store.Get", "the store is broken")
}

type textError string

func (e textError) Error() string { return string(e) }
