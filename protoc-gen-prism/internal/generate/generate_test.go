package generate_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/prismgate/prism/protoc-gen-prism/internal/generate"
	"github.com/prismgate/prism/protoc-gen-prism/internal/plugintest"
)

// params are those of the repository's buf.gen.yaml.
const params = "module=github.com/prismgate/prism,root=github.com/prismgate/prism/gen/go,backends=github.com/prismgate/prism/backends," +
	"patterns=github.com/prismgate/prism/patterns,conformance=github.com/prismgate/prism/conformance,docs=docs"

func TestRepositorySchemaHasNoMistakes(t *testing.T) {
	t.Parallel()
	response := plugintest.Run(t, filepath.Join(plugintest.Root(), "schema"), params)
	if response.Error != nil {
		t.Fatal(response.GetError())
	}
	if len(response.GetFile()) == 0 {
		t.Fatal("no files")
	}
}

func TestOutputDoesNotDependOnOrderOfFiles(t *testing.T) {
	t.Parallel()
	request := plugintest.Request(t, filepath.Join(plugintest.Root(), "schema"), params)
	want := generate.Run(request)
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, seed))
		shuffled := proto.CloneOf(request)
		shuffle(random, shuffled)
		if got := generate.Run(shuffled); !proto.Equal(got, want) {
			t.Errorf("seed %d: %s", seed, difference(got, want))
		}
	}
}

func TestMistakesDoNotDependOnOrderOfFiles(t *testing.T) {
	t.Parallel()
	request := plugintest.Request(t, filepath.Join(errorCases(), "several_files"), plugintest.Params)
	want := generate.Run(request).GetError()
	random := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		shuffle(random, request)
		if got := generate.Run(request).GetError(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	}
}

func TestParametersAreChecked(t *testing.T) {
	t.Parallel()
	for parameter, want := range map[string]string{
		"rot=a.b/c":       `unknown parameter "rot"; the parameters are module, root, backends, patterns, conformance and docs`,
		"module=a.b/c":    "the parameter root is missing; give the import path for the generated packages, as in root=example.org/module/gen/go",
		"root=a.b/c,x=12": `unknown parameter "x"; the parameters are module, root, backends, patterns, conformance and docs`,
	} {
		response := generate.Run(&pluginpb.CodeGeneratorRequest{Parameter: &parameter})
		if got := response.GetError(); got != want {
			t.Errorf("%s: got %q, want %q", parameter, got, want)
		}
	}
}

func TestEditionsUpTo2023AreDeclared(t *testing.T) {
	t.Parallel()
	response := plugintest.Run(t, filepath.Join(plugintest.Root(), "protoc-gen-prism", "testdata", "golden", "editions", "in"), plugintest.Params)
	if response.Error != nil {
		t.Fatal(response.GetError())
	}
	if response.GetSupportedFeatures()&uint64(pluginpb.CodeGeneratorResponse_FEATURE_SUPPORTS_EDITIONS) == 0 {
		t.Error("editions are not supported")
	}
	if response.GetMinimumEdition() != int32(descriptorpb.Edition_EDITION_PROTO2) || response.GetMaximumEdition() != int32(descriptorpb.Edition_EDITION_2023) {
		t.Errorf("editions %d to %d", response.GetMinimumEdition(), response.GetMaximumEdition())
	}
}

// shuffle puts the files into another order, in which each still stands after those that it imports.
func shuffle(random *rand.Rand, request *pluginpb.CodeGeneratorRequest) {
	random.Shuffle(len(request.FileToGenerate), func(i, j int) {
		request.FileToGenerate[i], request.FileToGenerate[j] = request.FileToGenerate[j], request.FileToGenerate[i]
	})
	rest := slices.Clone(request.ProtoFile)
	random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	placed := make(map[string]bool)
	request.ProtoFile = nil
	for len(rest) > 0 {
		rest = slices.DeleteFunc(rest, func(file *descriptorpb.FileDescriptorProto) bool {
			for _, imported := range file.GetDependency() {
				if !placed[imported] {
					return false
				}
			}
			placed[file.GetName()] = true
			request.ProtoFile = append(request.ProtoFile, file)
			return true
		})
	}
}

// difference names the first file that differs.
func difference(got, want *pluginpb.CodeGeneratorResponse) string {
	if got.GetError() != want.GetError() {
		return "the errors differ: " + strings.TrimSpace(got.GetError()+" / "+want.GetError())
	}
	for i, file := range want.GetFile() {
		if i >= len(got.GetFile()) || got.GetFile()[i].GetName() != file.GetName() {
			return "there is no " + file.GetName()
		}
		if got.GetFile()[i].GetContent() != file.GetContent() {
			return file.GetName() + " differs"
		}
	}
	return "there are more files"
}
