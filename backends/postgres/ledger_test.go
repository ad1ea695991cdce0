package postgres_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testfault"
)

// TestFaults stops, kills and freezes the server, and cuts and slows the way to it, under load.
func TestFaults(t *testing.T) {
	testfault.Run(t, testfault.Subject{
		Type: "postgres", Kind: testenv.Postgres, Options: []string{"-c", "fsync=on"},
		Config: func(t *testing.T, address string) map[string]any {
			t.Helper()
			dsn := filepath.Join(t.TempDir(), "dsn")
			require.NoError(t, os.WriteFile(dsn, []byte("postgres://postgres@"+address+"/postgres?sslmode=disable"), 0o600))
			return map[string]any{"dsn": map[string]any{"file": dsn}}
		},
	})
}
