package testgateway

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/client"
	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
)

// namespaces is how many namespaces a route has to give away: more than all suites of a data model open.
const namespaces = 1000

// EachRoute runs a test through a gateway over every protocol. The test is given a function that returns clients of a fresh namespace on the backend, for every
// interface that the backend's type declares: what [suites.Run] takes.
func EachRoute(t *testing.T, backend *configv1.BackendInstance, test func(t *testing.T, open func(t *testing.T) *prism.Interfaces)) {
	t.Helper()
	catalog, err := registry.Catalog()
	require.NoError(t, err)
	declared, ok := catalog.Backend(backend.GetType())
	require.True(t, ok, "the schema declares no backend %q", backend.GetType())
	for _, route := range []struct {
		name    string
		options []client.Option
	}{
		{"grpc", nil},
		{"grpcweb", []client.Option{client.WithProtocol(client.GRPCWeb)}},
		{"connect", []client.Option{client.WithProtocol(client.Connect)}},
		{"connect-http1", []client.Option{client.WithProtocol(client.Connect), client.WithHTTP1()}},
	} {
		t.Run(route.name, func(t *testing.T) {
			config := &configv1.Config{Backends: []*configv1.BackendInstance{backend}}
			for i := range namespaces {
				config.Namespaces = append(config.Namespaces, &configv1.Namespace{Name: strconv.Itoa(i), Backend: backend.GetName()})
			}
			c := Dial(t, Start(t, config), route.options...)
			var next atomic.Int64
			test(t, func(t *testing.T) *prism.Interfaces {
				t.Helper()
				i := next.Add(1) - 1
				require.Less(t, i, int64(namespaces), "the suites open more namespaces than a route has; raise the number")
				return prism.Clients(c.Conn(strconv.FormatInt(i, 10)), declared.Implements...)
			})
		})
	}
}
