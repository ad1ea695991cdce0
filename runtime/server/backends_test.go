package server_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/server"
)

// A gateway goes on to serve when the server of one of its backends is down: it says so, and is not taken out of service for it.
func TestReadyzTellsWhichBackendsAreDown(t *testing.T) {
	f := newFile(t, oneNamespace)
	known, err := registry.Catalog()
	require.NoError(t, err)
	var status *backend.Status
	s, err := server.Start(t.Context(), server.Options{
		Catalog: known,
		Backends: []backend.Type{backend.Of("memstore", func(ctx context.Context, env backend.Env, c *backendsv1.MemStore) (*memstore.Store, error) {
			require.Equal(t, "memstore", env.Instance)
			require.NotNil(t, env.Log)
			status = env.Status
			return memstore.Open(ctx, env, c)
		})},
		Load: func() (*config.Source, error) { return config.Load(f.name) },
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	ask := func(path string) string {
		response, err := http.Get("http://" + s.Front().AdminAddress() + path)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		return string(text)
	}
	require.Equal(t, "ready\n", ask("/readyz"))
	require.Contains(t, ask("/metrics"), `prism_backend_up{backend="memstore",type="memstore"} 1`)
	status.Unavailable("its server does not answer")
	require.Regexp(t, `^ready\nbackend memstore \(memstore\) is unavailable since \S+Z: its server does not answer\n$`, ask("/readyz"))
	require.Contains(t, ask("/metrics"), `prism_backend_up{backend="memstore",type="memstore"} 0`)
	status.Ready()
	require.Equal(t, "ready\n", ask("/readyz"))
}
