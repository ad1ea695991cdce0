// Package testgateway starts a real gateway on a loopback port for tests, and reaches it with the Go client over any protocol.
package testgateway

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/client"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/listen"
)

// Start serves a configuration until the test ends, and returns the address.
func Start(t *testing.T, config *configv1.Config) string {
	t.Helper()
	catalog, err := registry.Catalog()
	require.NoError(t, err)
	metrics, err := gateway.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	g := gateway.New(catalog, log, metrics)
	opened, err := g.Open(t.Context(), config, wiring.Backends())
	require.NoError(t, err)
	g.Use(opened)
	state := health.NewState(gateway.Services(catalog)...)
	state.Set(true)
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	server := gateway.NewFront(gateway.Routes(g, state), gateway.FrontOptions{Log: log})
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
		_ = opened.Close(context.WithoutCancel(t.Context()))
	})
	return listener.Addr().String()
}

// Dial returns a client of the gateway at an address.
func Dial(t *testing.T, address string, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.Dial(address, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
