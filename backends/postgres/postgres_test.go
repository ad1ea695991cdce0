package postgres_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/postgres"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// schema is a schema of a test's own.
func schema() string { return "test_" + strings.ToLower(rand.Text()) }

// secret is a file with a secret.
func secret(t *testing.T, content string) *configv1.Secret {
	t.Helper()
	file := t.TempDir() + "/secret"
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return &configv1.Secret{Source: &configv1.Secret_File{File: file}}
}

// sharedDSN is the way to the server that the tests share, with parameters.
func sharedDSN(t *testing.T, parameters string) *configv1.Secret {
	t.Helper()
	return secret(t, testenv.DSN(testenv.Shared(t, testenv.Postgres))+parameters)
}

// open opens an instance on the server that the tests share, unless the configuration names another one.
func open(t *testing.T, config *backendsv1.Postgres) *postgres.Store {
	t.Helper()
	return openWith(t, config, new(backend.Status))
}

// openWith opens an instance that shows its status. Machines that run tests are busy: no call fails because one of them hesitates, unless the test is about that.
func openWith(t *testing.T, config *backendsv1.Postgres, status *backend.Status) *postgres.Store {
	t.Helper()
	if config.GetDsn() == nil {
		config.Dsn = sharedDSN(t, "")
	}
	if config.GetTimeout() == nil {
		config.Timeout = durationpb.New(time.Minute)
	}
	store, err := tryOpen(t, config, status)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(context.WithoutCancel(t.Context()))) })
	return store
}

func tryOpen(t *testing.T, config *backendsv1.Postgres, status *backend.Status) (*postgres.Store, error) {
	t.Helper()
	return postgres.Open(t.Context(), backend.Env{Instance: "test", Log: slog.New(slog.DiscardHandler), Status: status}, config)
}

func namespace(t *testing.T, store *postgres.Store, name string) *prism.Interfaces {
	t.Helper()
	interfaces, err := store.Namespace(t.Context(), name)
	require.NoError(t, err)
	return interfaces.Interfaces()
}
