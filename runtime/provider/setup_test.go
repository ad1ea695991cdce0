package provider_test

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/gen/go/prism"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/provider"
)

// patient is longer than a busy machine keeps a healthy provider silent.
const patient = 60 * time.Second

func memStores() []backend.Type { return []backend.Type{backend.Of("memstore", memstore.Open)} }

func known(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := registry.Catalog()
	require.NoError(t, err)
	return c
}

// served is a provider that listens.
type served struct {
	*provider.Server
	address string
	stop    func()
}

// serve starts a provider of this build on a socket, until the test ends.
func serve(t testing.TB, change ...func(*provider.ServerOptions)) *served {
	t.Helper()
	o := provider.ServerOptions{Catalog: known(t), Backends: memStores(), Version: "prism test-provider"}
	for _, c := range change {
		c(&o)
	}
	return serveAt(t, o, filepath.Join(t.TempDir(), "p.sock"))
}

func serveAt(t testing.TB, o provider.ServerOptions, socket string) *served {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	s := provider.NewServer(o)
	front := s.Listener(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = front.Serve(listener)
	}()
	var stopped atomic.Bool
	stop := func() {
		if stopped.Swap(true) {
			return
		}
		_ = front.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	}
	t.Cleanup(stop)
	return &served{s, "unix:" + socket, stop}
}

// optionsFor are what opens MemStore at an address.
func optionsFor(t testing.TB, address string) provider.Options {
	t.Helper()
	c := known(t)
	memstore, ok := c.Backend("memstore")
	require.True(t, ok)
	return provider.Options{
		Target: provider.Target{Address: address}, Instance: "m", Backend: memstore, Catalog: c, Config: new(backendsv1.MemStore), Gateway: "prism test-gateway",
		Env: backend.Env{Instance: "m", Status: new(backend.Status)}, StartTimeout: 5 * time.Second, Silence: patient,
	}
}

// open opens an instance until the test ends.
func open(t testing.TB, o provider.Options) *provider.Instance {
	t.Helper()
	i, err := provider.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, i.Close(context.WithoutCancel(t.Context()))) })
	return i
}

// clients returns the interfaces of a namespace.
func clients(t testing.TB, i *provider.Instance, name string) *prism.Interfaces {
	t.Helper()
	interfaces, err := i.Namespace(t.Context(), name)
	require.NoError(t, err)
	offering, ok := interfaces.(interface{ Interface(name string) any })
	require.True(t, ok)
	return prism.From(offering)
}

// fresh returns what suites open: a new namespace each time.
func fresh(i *provider.Instance) func(t *testing.T) *prism.Interfaces {
	var next atomic.Int64
	return func(t *testing.T) *prism.Interfaces { return clients(t, i, strconv.FormatInt(next.Add(1), 10)) }
}

// subscribed opens a stream, which outlasts the test's context, and returns what it ends with.
func subscribed(t *testing.T, n *prism.Interfaces) <-chan error {
	t.Helper()
	reading, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		stopped <- n.PubSubBasic.Subscribe(context.WithoutCancel(t.Context()), &pubsubv1.SubscribeRequest{Topic: "t"}, func(*pubsubv1.SubscribeResponse) error {
			close(reading)
			return nil
		})
	}()
	<-reading
	return stopped
}
