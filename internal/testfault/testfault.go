// Package testfault does to a backend's server what servers and networks do, under load, and looks at what callers see: no call hangs, none is answered with anything but UNAVAILABLE or
// DEADLINE_EXCEEDED, nothing that was acknowledged is lost and nothing is done twice, subscriptions can be resumed, other namespaces notice nothing, operators can see it, and service resumes by
// itself.
package testfault

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testgateway"
)

// Subject is a backend with its server.
type Subject struct {
	// Type is the backend's catalog name.
	Type string
	// Kind is its server, started with Options; these make it durable.
	Kind    *testenv.Kind
	Options []string
	// Config is the backend's configuration for a server at an address.
	Config func(t *testing.T, address string) map[string]any
}

const (
	// deadline is that of every call.
	deadline = time.Second
	// hang is when a call has hung: much later than its deadline, since the machine may be busy.
	hang = 10 * time.Second
	// outage is how long a fault lasts.
	outage = 2 * time.Second
	// patience is how long service may take to resume.
	patience = 30 * time.Second
)

// Run runs every fault, one after another, on one server and one gateway.
func Run(t *testing.T, s Subject) {
	t.Helper()
	f := start(t, s)
	for _, fault := range []struct {
		name        string
		begin, end  func() error
		unreachable bool
	}{
		{"stopped", f.server.Stop, func() error { return f.server.Start(t.Context()) }, true},
		{"killed", f.server.Kill, func() error { return f.server.Start(t.Context()) }, true},
		{"frozen", f.server.Freeze, f.server.Thaw, true},
		{"cut", func() error { return f.way.Cut(t.Context()) }, func() error { return f.way.Heal(t.Context()) }, true},
		{"slow", func() error { return f.way.Slow(t.Context(), deadline/4) }, func() error { return f.way.Heal(t.Context()) }, false},
	} {
		t.Run(fault.name, func(t *testing.T) { f.run(t, fault.begin, fault.end, fault.unreachable) })
	}
}

// fixture is a server behind a proxy, and a gateway with a namespace on it and one on MemStore.
type fixture struct {
	server             *testenv.Server
	way                *testenv.Proxy
	admin              string
	subject, neighbour *prism.Interfaces
	// loads numbers the loads: each has keys, queues and topics of its own.
	loads atomic.Int64
}

func start(t *testing.T, s Subject) *fixture {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	declared, ok := known.Backend(s.Type)
	require.True(t, ok)
	server := testenv.Start(t, s.Kind, s.Options...)
	way := testenv.NewProxy(t, testenv.Start(t, testenv.Toxiproxy), server.Address())
	config, err := structpb.NewStruct(s.Config(t, way.Address))
	require.NoError(t, err)
	gateway := testgateway.StartWith(t, testgateway.Options{Config: &configv1.Config{
		Backends:   []*configv1.BackendInstance{{Name: "subject", Type: s.Type, Config: config}},
		Namespaces: []*configv1.Namespace{{Name: "subject", Backend: "subject"}, {Name: "neighbour", Backend: "memstore"}},
	}})
	client := testgateway.Dial(t, testgateway.Address(gateway))
	return &fixture{
		server: server, way: way, admin: gateway.Front().AdminAddress(),
		subject: prism.Clients(client.Conn("subject"), declared.Implements...), neighbour: prism.Clients(client.Conn("neighbour"), "keyvalue_basic"),
	}
}

// run lets a fault happen in the middle of a load.
func (f *fixture) run(t *testing.T, begin, end func() error, unreachable bool) {
	l := f.load(t)
	l.healthy(t)
	require.NoError(t, begin())
	until := time.After(outage)
	if unreachable {
		l.broken(t)
		require.Eventually(t, func() bool { return strings.Contains(f.ask(t, "/readyz"), "backend subject") }, patience, 20*time.Millisecond, "/readyz tells that the backend is down")
		require.Contains(t, f.ask(t, "/metrics"), `prism_backend_up{backend="subject"`)
	}
	<-until
	require.NoError(t, end())
	l.healthy(t)
	require.Eventually(t, func() bool { return f.ask(t, "/readyz") == "ready\n" }, patience, 20*time.Millisecond, "/readyz tells that all is well again")
	l.stop(t)
}

// ask asks the gateway's admin address.
func (f *fixture) ask(t *testing.T, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.admin+path, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "the gateway is ready whatever becomes of a backend's server")
	return string(text)
}

// workers go on until it is stopped.
type workers struct {
	ctx  context.Context //nolint:containedctx // it ends them
	stop context.CancelFunc
	wait sync.WaitGroup
}

func newWorkers(t *testing.T) *workers {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	return &workers{ctx: ctx, stop: stop}
}

// repeat does something again and again, in some goroutines.
func (w *workers) repeat(goroutines int, do func(ctx context.Context)) {
	for range goroutines {
		w.wait.Go(func() {
			for w.ctx.Err() == nil {
				do(w.ctx)
			}
		})
	}
}
