package gateway_test

import (
	"context"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/rpc"
)

// newGateway returns a gateway on real backends, which is closed when the test ends.
func newGateway(t *testing.T, backends ...backend.Type) *gateway.Gateway {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	if backends == nil {
		backends = wiring.Backends()
	}
	g := gateway.New(t.Context(), gateway.Options{Catalog: known, Backends: backends, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { require.NoError(t, g.Close(context.WithoutCancel(t.Context()))) })
	return g
}

// apply serves a configuration.
func apply(t *testing.T, g *gateway.Gateway, config *configv1.Config, grace time.Duration) {
	t.Helper()
	require.NoError(t, g.Apply(t.Context(), planOf(t, config), grace))
}

func planOf(t *testing.T, config *configv1.Config) *plan.Plan {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	planned, err := plan.Make(config, known)
	require.NoError(t, err)
	return planned
}

// onMemStore is a configuration with one namespace, n, on an instance of MemStore.
func onMemStore(instance string, limits *configv1.NamespaceLimits) *configv1.Config {
	return &configv1.Config{
		Backends:   []*configv1.BackendInstance{{Name: instance, Type: "memstore"}},
		Namespaces: []*configv1.Namespace{{Name: "n", Backend: instance, Limits: limits}},
	}
}

// conn reaches a gateway without a transport, as clients of one namespace do with one.
type conn struct {
	gateway   *gateway.Gateway
	namespace string
	// limit is what the gateway said of the size of the last request.
	limit int
}

func (c *conn) Invoke(ctx context.Context, m *rpc.Method, request, response proto.Message) error {
	return c.serve(ctx, m, request, func(m proto.Message) error { proto.Merge(response, m); return nil })
}

// serve makes a call with one request.
func (c *conn) serve(ctx context.Context, m *rpc.Method, request proto.Message, send func(proto.Message) error) error {
	call := &rpc.CallContext{Context: ctx, Call: rpc.Call{Method: m, Header: namespaceHeader(c.namespace), Response: nowhere{}}}
	err := c.gateway.Serve(call, &call.Call, end{request, send})
	c.limit = call.Call.MaxMessageBytes
	return err
}

func (c *conn) Open(context.Context, *rpc.Method) (rpc.ClientCall, error) { panic("not needed") }

// end is the server's end of a call with one request.
type end struct {
	request proto.Message
	send    func(proto.Message) error
}

func (e end) Receive(m proto.Message) error { proto.Merge(m, e.request); return nil }
func (e end) Send(m proto.Message) error    { return e.send(m) }

type namespaceHeader string

func (h namespaceHeader) Get(name string) string {
	return strings.Join(h.Values(name), "")
}

func (h namespaceHeader) Values(name string) []string {
	if strings.EqualFold(name, rpc.NamespaceHeader) && h != "" {
		return []string{string(h)}
	}
	return nil
}

func (h namespaceHeader) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) { yield(rpc.NamespaceHeader, string(h)) }
}

type nowhere struct{}

func (nowhere) SetHeader(string, string)  {}
func (nowhere) AddHeader(string, string)  {}
func (nowhere) SetTrailer(string, string) {}
func (nowhere) AddTrailer(string, string) {}

func discard(proto.Message) error { return nil }
