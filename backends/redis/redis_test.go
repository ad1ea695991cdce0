package redis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/redis"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// open returns an instance that is closed with the test.
func open(t *testing.T, config *backendsv1.Redis) *redis.Store {
	t.Helper()
	return openIn(t, backend.Env{}, config)
}

func openIn(t *testing.T, env backend.Env, config *backendsv1.Redis) *redis.Store {
	t.Helper()
	if config.GetTimeout() == nil {
		config.Timeout = durationpb.New(30 * time.Second) // machines that run tests are busy
	}
	store, err := redis.Open(t.Context(), env, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(t.Context())) })
	return store
}

// namespace returns the interfaces of a namespace.
func namespace(t *testing.T, store *redis.Store, name string) *prism.Interfaces {
	t.Helper()
	interfaces, err := store.Namespace(t.Context(), name)
	require.NoError(t, err)
	return interfaces.Interfaces()
}
