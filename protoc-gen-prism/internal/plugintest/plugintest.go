// Package plugintest runs the plugin in the test's process on proto files compiled there.
package plugintest

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/prismgate/prism/protoc-gen-prism/internal/generate"
)

// Update is the flag -update: golden files are rewritten and not compared.
var Update = flag.Bool("update", false, "rewrite golden files")

// Params are parameters for schemas that are not the repository's own.
const Params = "module=example.org/shop,root=example.org/shop/gen,backends=example.org/shop/backends,patterns=example.org/shop/patterns," +
	"conformance=example.org/shop/conformance,docs=docs"

// Root is the repository's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// Run runs the plugin on all proto files below a folder. Imports are looked for there, in the repository's schema and third_party, and in protobuf itself.
func Run(t testing.TB, dir, params string) *pluginpb.CodeGeneratorResponse {
	t.Helper()
	return generate.Run(Request(t, dir, params))
}

// Request is the compiler's request for all proto files below a folder, sorted.
func Request(t testing.TB, dir, params string) *pluginpb.CodeGeneratorRequest {
	t.Helper()
	names := Files(t, dir, ".proto")
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			ImportPaths: []string{dir, filepath.Join(Root(), "schema"), filepath.Join(Root(), "third_party")},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(t.Context(), names...)
	if err != nil {
		t.Fatalf("compile %s: %v", dir, err)
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, Parameter: &params}
	seen := make(map[string]bool)
	for _, file := range compiled {
		request.ProtoFile = appendFile(request.ProtoFile, file, seen)
	}
	return reparse(t, request)
}

// appendFile adds a file after those that it imports.
func appendFile(files []*descriptorpb.FileDescriptorProto, file protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return files
	}
	seen[file.Path()] = true
	for i := range file.Imports().Len() {
		imported := file.Imports().Get(i).FileDescriptor
		if result, ok := file.(linker.File); ok {
			imported = result.FindImportByPath(imported.Path())
		}
		files = appendFile(files, imported, seen)
	}
	return append(files, protoutil.ProtoFromFileDescriptor(file))
}

// reparse makes the options that the compiler knows by their descriptors known by their Go types, as a request from the wire has them.
func reparse(t testing.TB, request *pluginpb.CodeGeneratorRequest) *pluginpb.CodeGeneratorRequest {
	t.Helper()
	encoded, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var parsed pluginpb.CodeGeneratorRequest
	if err := proto.Unmarshal(encoded, &parsed); err != nil {
		t.Fatal(err)
	}
	return &parsed
}

// Files are the files below a folder whose names end in a suffix, relative to it, with slashes, sorted.
func Files(t testing.TB, dir, suffix string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// Golden compares a text with a file, or rewrites the file when the flag -update is given.
func Golden(t testing.TB, path, got string) {
	t.Helper()
	if *Update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run the test with -update and look at the difference\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}
