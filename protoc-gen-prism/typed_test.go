package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTypedPieces makes a module of a schema with backends and a pattern, and of the code that their authors write (testdata/typed/module). It runs the
// tests there, and then takes a method away, which must not compile.
func TestTypedPieces(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a module")
	}
	module, in := t.TempDir(), t.TempDir()
	for _, from := range []string{filepath.Join(goldenFolder, "backend_of_two_models", "in"), "testdata/typed/in"} {
		require.NoError(t, os.CopyFS(in, os.DirFS(from)))
	}
	writeModule(t, module)
	writeFiles(t, module, generated(t, in))
	writeFiles(t, module, messages(t, in))
	require.NoError(t, os.CopyFS(module, os.DirFS("testdata/typed/module")))

	output, err := goIn(t, module, "vet", "./...")
	require.NoError(t, err, output)
	output, err = goIn(t, module, "test", "./...")
	require.NoError(t, err, output)

	t.Run("a pattern that lacks a method of its service does not compile", func(t *testing.T) {
		delivery := filepath.Join(module, "patterns", "delivery", "delivery.go")
		source, err := os.ReadFile(delivery)
		require.NoError(t, err)
		lacking, _, found := strings.Cut(string(source), "func (o orders) Order(")
		require.True(t, found)
		require.NoError(t, os.WriteFile(delivery, []byte(lacking), 0o644))
		output, err := goIn(t, module, "build", "./patterns/delivery")
		require.Error(t, err, "the pattern compiles without a method that its service declares")
		require.Contains(t, output, "does not implement patternsrpc.DeliveryService (missing method Order)")
	})
	t.Run("a backend that lacks a declared method does not compile", func(t *testing.T) {
		shelf := filepath.Join(module, "backends", "cornershop", "shelf.go")
		source, err := os.ReadFile(shelf)
		require.NoError(t, err)
		lacking, _, found := strings.Cut(string(source), "func (s *shelf) CountGoods(")
		require.True(t, found)
		require.NoError(t, os.WriteFile(shelf, []byte(lacking), 0o644))
		output, err := goIn(t, module, "build", "./backends/cornershop")
		require.Error(t, err, "the backend compiles without a method that it declares")
		require.Contains(t, output, "backends/cornershop/shelf.go:", "the line that names the generated interface is at fault")
		require.Contains(t, output, "backends/cornershop/cornershop.go:", "and so is the call of the constructor")
		require.Contains(t, output, "does not implement backendsv1.CornerShopShelf (missing method CountGoods)")
	})
}

// goIn runs the go command in a module, without the network.
func goIn(t *testing.T, module string, args ...string) (string, error) {
	t.Helper()
	run := exec.CommandContext(t.Context(), "go", args...)
	run.Dir = module
	run.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
	output, err := run.CombinedOutput()
	return string(output), err
}
