package nats_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/nats"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// busy is how long a server may take to answer: machines that run tests are busy.
var busy = durationpb.New(30 * time.Second)

// at is the configuration for a server, with streams of the test's own.
func at(s *testenv.Server) *backendsv1.Nats {
	return &backendsv1.Nats{Urls: []string{"nats://" + s.Address()}, Prefix: fmt.Sprintf("t%x", rand.Uint64()), Timeout: busy}
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
