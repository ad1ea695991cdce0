// Package testgateway starts a real gateway on a loopback port for tests, and reaches it with the Go client over any protocol.
package testgateway

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/client"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/server"
)

// Options say what a gateway is made of, where that is not this build.
type Options struct {
	// Config is what is served. The gateway listens on ports that the system chooses, unless it says where.
	Config *configv1.Config
	// Catalog is what is known; nil is this build's.
	Catalog *catalog.Catalog
	// Backends are the code of the catalog's backends; nil is this build's.
	Backends []backend.Type
	// Patterns are the code of the catalog's patterns; nil is this build's.
	Patterns []pattern.Type
	// Log takes the gateway's log; nil discards.
	Log *slog.Logger
}

// Start serves a configuration until the test ends, and returns the address.
func Start(t *testing.T, c *configv1.Config) string {
	t.Helper()
	return Address(StartWith(t, Options{Config: c}))
}

// StartWith serves until the test ends.
func StartWith(t *testing.T, o Options) *server.Server {
	t.Helper()
	if o.Catalog == nil {
		known, err := registry.Catalog()
		require.NoError(t, err)
		o.Catalog = known
	}
	if o.Backends == nil {
		o.Backends = wiring.Backends()
	}
	if o.Patterns == nil {
		o.Patterns = wiring.Patterns()
	}
	s, err := server.Start(t.Context(), server.Options{
		Catalog: o.Catalog, Backends: o.Backends, Patterns: o.Patterns, Load: server.Fixed(local(o.Config)), Log: o.Log,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// Address returns where clients of a gateway are served.
func Address(s *server.Server) string { return s.Front().Addresses()[0].Address }

// local is a configuration that listens on ports that the system chooses, where it does not say.
func local(c *configv1.Config) *configv1.Config {
	c = proto.CloneOf(c)
	if c.Server == nil {
		c.Server = new(configv1.Server)
	}
	if c.Server.GetListen() == "" {
		c.Server.Listen = "127.0.0.1:0"
	}
	if c.Server.GetAdmin() == "" {
		c.Server.Admin = "127.0.0.1:0"
	}
	return c
}

// Dial returns a client of the gateway at an address.
func Dial(t *testing.T, address string, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.Dial(address, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
