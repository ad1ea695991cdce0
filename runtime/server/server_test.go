package server_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/server"
)

// opening is memstore whose instances open as a test says; the first one opens at once.
func opening(open func(ctx context.Context) error) backend.Type {
	first := true
	return backend.Of("memstore", func(ctx context.Context, _ backend.Env, c *backendsv1.MemStore) (*memstore.Store, error) {
		if first {
			first = false
		} else if err := open(ctx); err != nil {
			return nil, err
		}
		return memstore.Open(ctx, backend.Env{}, c)
	})
}

const (
	oneNamespace  = "namespaces: [{name: one, backend: memstore}]\n"
	twoNamespaces = "backends: [{name: second, type: memstore}]\nnamespaces: [{name: one, backend: memstore}, {name: two, backend: second}]\n"
)

// What changes while the gateway starts, as backends may take their time, is no different from what changes afterwards.
func TestAFileThatChangesDuringTheStartIsReadAgain(t *testing.T) {
	f := newFile(t, oneNamespace)
	known, err := registry.Catalog()
	require.NoError(t, err)
	s, err := server.Start(t.Context(), server.Options{
		Catalog: known, Watch: []string{f.name},
		Backends: []backend.Type{backend.Of("memstore", func(ctx context.Context, _ backend.Env, c *backendsv1.MemStore) (*memstore.Store, error) {
			f.write(twoNamespaces)
			return memstore.Open(ctx, backend.Env{}, c)
		})},
		Load: func() (*config.Source, error) { return config.Load(f.name) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	require.Eventually(t, func() bool { return len(s.Gateway().Namespaces()) == 2 }, patience, 5*time.Millisecond)
}

func TestAStartThatFailsLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	folder := t.TempDir()
	file, socket := filepath.Join(folder, "prism.yaml"), filepath.Join(folder, "prism.sock")
	require.NoError(t, os.WriteFile(file, []byte("server: {listen: '"+address+"', admin: 'unix:"+socket+"'}\n"+twoNamespaces), 0o600))
	known, err := registry.Catalog()
	require.NoError(t, err)
	_, err = server.Start(t.Context(), server.Options{
		Catalog: known, Watch: []string{file}, Backends: []backend.Type{opening(func(context.Context) error { return errors.New("out of order") })},
		Load: func() (*config.Source, error) { return config.Load(file) },
	})
	require.ErrorContains(t, err, `backend "second": open: out of order`)

	again, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	require.NoError(t, again.Close())
	require.NoFileExists(t, socket)
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		require.False(t, time.Now().After(end), "goroutines are left: %s", stacks())
	}
}

// A backend that cannot be reached must not keep a gateway from stopping.
func TestShutdownEndsAReload(t *testing.T) {
	for name, stop := range map[string]func(*server.Server, context.Context) error{"shutdown": (*server.Server).Shutdown, "close": (*server.Server).Close} {
		t.Run(name, func(t *testing.T) {
			f := newFile(t, oneNamespace)
			began := make(chan struct{})
			s := f.start(server.Options{Backends: []backend.Type{opening(func(ctx context.Context) error {
				close(began)
				<-ctx.Done()
				return ctx.Err()
			})}})
			f.write(twoNamespaces)
			reloaded := make(chan error, 1)
			go func() { reloaded <- s.Reload(t.Context()) }()
			<-began
			require.NoError(t, stop(s, t.Context()))
			require.ErrorIs(t, <-reloaded, context.Canceled)
			require.ErrorContains(t, s.Reload(t.Context()), "stopping")
		})
	}
}

// A balancer is told at once, whatever the gateway is doing.
func TestShutdownIsNotReadyAtOnce(t *testing.T) {
	f := newFile(t, oneNamespace)
	began, released := make(chan struct{}), make(chan struct{})
	s := f.start(server.Options{Backends: []backend.Type{opening(func(context.Context) error {
		close(began)
		<-released // it does not listen to its context
		return nil
	})}})
	ready := func() int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Front().AdminAddress()+"/readyz", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(t, http.StatusOK, ready())
	f.write(twoNamespaces)
	reloaded, stopped := make(chan error, 1), make(chan error, 1)
	go func() { reloaded <- s.Reload(t.Context()) }()
	<-began
	go func() { stopped <- s.Shutdown(t.Context()) }()
	require.Eventually(t, func() bool { return ready() == http.StatusServiceUnavailable }, patience, time.Millisecond)
	close(released)
	require.NoError(t, <-reloaded)
	require.NoError(t, <-stopped)
}

func TestStoppingTwiceIsNoError(t *testing.T) {
	s := newFile(t, oneNamespace).start(server.Options{})
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, s.Shutdown(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
}
