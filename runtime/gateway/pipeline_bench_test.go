package gateway_test

import (
	"context"
	"iter"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/observe"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/rpc"
)

// BenchmarkPipeline is what a call costs between the transport and the handler, and the Get itself.
func BenchmarkPipeline(b *testing.B) {
	known, err := registry.Catalog()
	require.NoError(b, err)
	for name, limits := range map[string]*configv1.NamespaceLimits{
		"default": nil,
		"limited": {CallsPerSecond: 1e9, MaxConcurrentCalls: 100, MaxMessageBytes: 1 << 20},
	} {
		b.Run(name, func(b *testing.B) {
			observer, err := observe.New(b.Context(), observe.Options{Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
			require.NoError(b, err)
			defer func() { _ = observer.Close(context.WithoutCancel(b.Context())) }()
			g := gateway.New(b.Context(), gateway.Options{Catalog: known, Backends: wiring.Backends(), Steps: observer.Steps()})
			planned, err := plan.Make(&configv1.Config{Namespaces: []*configv1.Namespace{{Name: "n", Backend: "memstore", Limits: limits}}}, known)
			require.NoError(b, err)
			require.NoError(b, g.Apply(b.Context(), planned, 0))
			defer func() { _ = g.Close(context.WithoutCancel(b.Context())) }()
			i, _ := known.Interface("keyvalue_basic")
			var m *rpc.Method
			for _, r := range i.RPCs {
				if r.Name == "Get" {
					m = r.Method
				}
			}
			request := &keyvaluev1.GetRequest{Key: "a"}
			stream := end{request, func(proto.Message) error { return nil }}
			fixed := fixedHeader{"n"}
			b.ReportAllocs()
			for b.Loop() {
				call := &rpc.CallContext{Context: b.Context(), Call: rpc.Call{Method: m, Header: fixed, Response: nowhere{}}}
				if err := g.Serve(call, &call.Call, stream); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fixedHeader is a header with a namespace, which is found without work.
type fixedHeader []string

func (h fixedHeader) Get(name string) string {
	if name == rpc.RequestIDHeader || len(name) != len(rpc.NamespaceHeader) {
		return ""
	}
	return h[0]
}

func (h fixedHeader) Values(string) []string         { return h }
func (h fixedHeader) All() iter.Seq2[string, string] { return func(func(string, string) bool) {} }
