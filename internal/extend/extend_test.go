package extend_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The 46th interface: one proto and one suite; to call it, one method file and one word in the declaration of the backend that offers it.
func TestAnInterfaceIsOneProtoAndOneSuite(t *testing.T) {
	scratch := copyRepository(t)
	overlay(t, scratch, "testdata/interface")
	run(t, scratch, "make", "generate")
	run(t, scratch, "go", "build", "./gen/...", "./conformance/...")

	// Declared without its method, it does not compile, and the error names what is missing.
	implement(t, scratch)
	run(t, scratch, "make", "generate")
	method := filepath.Join(scratch, "backends/memstore/keyvalue_counter.go")
	content, err := os.ReadFile(method)
	require.NoError(t, err)
	require.NoError(t, os.Remove(method))
	require.Contains(t, fail(t, scratch, "go", "build", "./backends/memstore"), "missing method Increment")
	require.NoError(t, os.WriteFile(method, content, 0o644))

	// The suite runs without being listed anywhere.
	require.Contains(t, run(t, scratch, "go", "test", "-v", "-run", "TestRoutes/value/keyvalue_counter", "./backends/memstore"), "keyvalue_counter/AMissingKeyCountsAsZero")

	// A client calls it through a gateway: the command line knows it, and serves and calls it.
	write(t, filepath.Join(scratch, "internal/scratchcall/main_test.go"), callCounter)
	run(t, scratch, "go", "test", "./internal/scratchcall")
	require.Contains(t, run(t, scratch, "go", "run", "./cmd/prism", "registry", "backends", "find", "--interface=keyvalue_counter"), "memstore")
	require.Contains(t, read(t, filepath.Join(scratch, "docs/interfaces.md")), "keyvalue_counter")
}

const callCounter = `package scratchcall

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testgateway"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

func TestCall(t *testing.T) {
	kv := testgateway.Dial(t, testgateway.Start(t, new(configv1.Config))).Namespace("default").KeyValue()
	for want := int64(1); want < 4; want++ {
		answer, err := kv.Increment(t.Context(), "visits", 1)
		require.NoError(t, err)
		require.Equal(t, want, answer.GetValue())
	}
}
`

func TestABackendIsOneSchemaFileAndOneFolder(t *testing.T) {
	scratch := copyRepository(t)
	overlay(t, scratch, "testdata/backend")
	run(t, scratch, "make", "generate")
	run(t, scratch, "go", "test", "./backends/scratch")
	require.Contains(t, run(t, scratch, "go", "run", "./internal/testcells", "scratch"), "cells ran whole and passed")
	require.Contains(t, read(t, filepath.Join(scratch, "docs/backends.md")), "scratch")
}

func TestAPatternIsOneSchemaFileAndOneFolder(t *testing.T) {
	scratch := copyRepository(t)
	overlay(t, scratch, "testdata/pattern")
	run(t, scratch, "make", "generate")
	run(t, scratch, "go", "test", "./patterns/tally")
	require.Contains(t, run(t, scratch, "go", "run", "./cmd/prism", "registry", "patterns", "list"), "tally")
	require.Contains(t, read(t, filepath.Join(scratch, "docs/patterns.md")), "TallyService.Tell")
}

func TestAnotherModuleBringsItsOwnInterfaceAndBackend(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the generator in a scratch module; `make test` does it")
	}
	root := repository(t)
	module := filepath.Join(t.TempDir(), "acme")
	copyFiles(t, filepath.Join(root, "examples/out-of-tree"), module, nil)
	write(t, filepath.Join(module, "go.sum"), read(t, filepath.Join(root, "go.sum")))
	tools := filepath.Join(t.TempDir(), "bin") + string(filepath.Separator)
	run(t, root, "go", "build", "-modfile=tools/go.mod", "-o", tools, "github.com/bufbuild/buf/cmd/buf", "google.golang.org/protobuf/cmd/protoc-gen-go")
	t.Setenv("PATH", tools+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("GOFLAGS", "-mod=mod -buildvcs=false")
	run(t, module, "go", "mod", "edit", "-replace=github.com/prismgate/prism="+root)
	run(t, module, "./generate")
	require.Equal(t, "3\n", run(t, module, "go", "run", "."))
}

// copyRepository copies what git would commit into a scratch folder.
func copyRepository(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("generates and builds a scratch copy of the repository; `make test` does it")
	}
	root := repository(t)
	list, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	require.NoError(t, err)
	scratch := t.TempDir()
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		copyFile(t, filepath.Join(root, name), filepath.Join(scratch, name))
	}
	return scratch
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	return root
}

// overlay adds files to the scratch copy; none of them may be there already.
func overlay(t *testing.T, scratch, folder string) {
	t.Helper()
	copyFiles(t, folder, scratch, func(path string) { require.NoFileExists(t, path) })
}

// implement adds keyvalue_counter to what memstore implements.
func implement(t *testing.T, scratch string) {
	t.Helper()
	path := filepath.Join(scratch, "schema/prism/backends/v1/memstore.proto")
	before := read(t, path)
	after := strings.Replace(before, `      "keyvalue_cas",`, "      \"keyvalue_cas\",\n      \"keyvalue_counter\",", 1)
	require.NotEqual(t, before, after)
	write(t, path, after)
}

func copyFiles(t *testing.T, from, to string, each func(path string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if relative == "gen" || relative == "third_party" {
				return filepath.SkipDir
			}
			return nil
		}
		target := filepath.Join(to, relative)
		if each != nil {
			each(target)
		}
		copyFile(t, path, target)
		return nil
	}))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Lstat(from)
	if os.IsNotExist(err) {
		return // deleted and not yet committed
	}
	require.NoError(t, err)
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, os.Symlink(target, to))
		return
	}
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, content, info.Mode().Perm()))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

// run runs a command that must succeed and returns what it printed to standard output.
func run(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	stdout, stderr, err := execute(t, folder, name, args...)
	require.NoError(t, err, "%s %s\n%s%s", name, strings.Join(args, " "), stdout, stderr)
	return stdout
}

// fail runs a command that must fail and returns all that it printed.
func fail(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	stdout, stderr, err := execute(t, folder, name, args...)
	require.Error(t, err)
	return stdout + stderr
}

func execute(t *testing.T, folder, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = folder
	// What make was told for this test run is not for the make of a scratch copy.
	command.Env = append(os.Environ(), "MAKEFLAGS=")
	if _, err := os.Stat(filepath.Join(folder, "Makefile")); err == nil && name == "go" && folder != repository(t) {
		// As `make build` does it: without the folder's name in what is built, a scratch copy takes from the build cache what others have put there.
		command.Env = append(command.Env, "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	}
	var out, diagnostics bytes.Buffer
	command.Stdout, command.Stderr = &out, &diagnostics
	err = command.Run()
	return out.String(), diagnostics.String(), err
}
