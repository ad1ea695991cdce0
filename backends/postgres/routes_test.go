package postgres_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testroutes"
)

// TestRoutes runs the suite of every interface that postgres implements, over every route.
func TestRoutes(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "dsn")
	require.NoError(t, os.WriteFile(dsn, []byte(testenv.DSN(testenv.Shared(t, testenv.Postgres))), 0o600))
	testroutes.Conformance(t, testroutes.Instance(t, "postgres", map[string]any{
		"dsn":     map[string]any{"file": dsn},
		"schema":  "routes",
		"timeout": "30s", // machines that run tests are busy
	}))
}
