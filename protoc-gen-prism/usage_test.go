package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/prismgate/prism/protoc-gen-prism/internal/plugintest"
)

// TestUsage makes a module of golden cases, with Prism as it is here, builds it, and runs the tests of testdata/usage in it.
func TestUsage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a module")
	}
	module, in := t.TempDir(), t.TempDir()
	for _, name := range []string{"shelf", "foreign", "foreign_lower_case", "editions"} {
		require.NoError(t, os.CopyFS(in, os.DirFS(filepath.Join(goldenFolder, name, "in"))))
	}
	writeModule(t, module)
	writeFiles(t, module, generated(t, in))
	writeFiles(t, module, messages(t, in))
	require.NoError(t, os.CopyFS(filepath.Join(module, "usage"), os.DirFS("testdata/usage")))
	runGo(t, module, "vet", "./...")
	require.Contains(t, runGo(t, module, "test", "./..."), "example.org/shop/usage", "the tests have run")
}

// runGo runs a go command in a module's folder, without the network, and returns its output.
func runGo(t *testing.T, module string, args ...string) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), "go", args...)
	run.Dir = module
	run.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
	output, err := run.CombinedOutput()
	require.NoError(t, err, "go %v: %s", args, output)
	return string(output)
}

// writeModule writes the module's go.mod: it requires what Prism requires, and Prism itself from this repository.
func writeModule(t *testing.T, module string) {
	t.Helper()
	root := plugintest.Root()
	own, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	_, requirements, _ := strings.Cut(string(own), "\n")
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	writeFiles(t, module, map[string]string{
		"go.mod": "module example.org/shop\n" + requirements + "\nrequire github.com/prismgate/prism v0.0.0\n\nreplace github.com/prismgate/prism => " + root + "\n",
		"go.sum": string(sums),
	})
}

// messages is what protoc-gen-go makes of the proto files below a folder, by path.
func messages(t *testing.T, in string) map[string]string {
	t.Helper()
	request, err := proto.Marshal(plugintest.Request(t, in, "module=example.org/shop"))
	require.NoError(t, err)
	run := exec.CommandContext(t.Context(), "go", "run", "google.golang.org/protobuf/cmd/protoc-gen-go")
	run.Stdin = bytes.NewReader(request)
	run.Stderr = os.Stderr
	answer, err := run.Output()
	require.NoError(t, err)
	var response pluginpb.CodeGeneratorResponse
	require.NoError(t, proto.Unmarshal(answer, &response))
	require.Empty(t, response.GetError())
	files := make(map[string]string)
	for _, file := range response.GetFile() {
		files[file.GetName()] = file.GetContent()
	}
	return files
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
}

// TestANewFieldChangesNoSignature adds a field to every request and response, and generates again.
func TestANewFieldChangesNoSignature(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	require.NoError(t, os.CopyFS(in, os.DirFS(filepath.Join(goldenFolder, "shelf", "in"))))
	before := signatures(generated(t, in))
	require.NotEmpty(t, before)

	message := regexp.MustCompile(`message \w+(Request|Response) \{`)
	added := 0
	for _, name := range plugintest.Files(t, in, ".proto") {
		path := filepath.Join(in, name)
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		added += len(message.FindAll(source, -1))
		source = message.ReplaceAll(source, []byte("$0\n  // A new field.\n  string brand_new = 999;\n"))
		require.NoError(t, os.WriteFile(path, source, 0o644))
	}
	require.NotZero(t, added)
	require.Equal(t, before, signatures(generated(t, in)))
}

// signatures are the exported functions and methods of the generated Go files, with the file's path.
func signatures(files map[string]string) map[string][]string {
	exported := regexp.MustCompile(`(?m)^func (\(.*?\) )?[A-Z].*\{$`)
	found := make(map[string][]string)
	for name, content := range files {
		if all := exported.FindAllString(content, -1); all != nil {
			found[name] = all
		}
	}
	return found
}
