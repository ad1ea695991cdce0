package nats_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/nats"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// at is the configuration for a server, with streams of the test's own.
func at(s *testenv.Server) *backendsv1.Nats {
	return &backendsv1.Nats{Urls: []string{"nats://" + s.Address()}, Prefix: fmt.Sprintf("t%x", rand.Uint64())}
}

// open opens an instance that is closed with the test.
func open(t *testing.T, config *backendsv1.Nats) *nats.Store {
	t.Helper()
	store, err := nats.Open(t.Context(), backend.Env{Instance: "nats"}, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(t.Context())) })
	return store
}

func namespace(t *testing.T, store *nats.Store, name string) *prism.Interfaces {
	t.Helper()
	interfaces, err := store.Namespace(t.Context(), name)
	require.NoError(t, err)
	return interfaces.Interfaces()
}
