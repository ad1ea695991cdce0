package checktest_test

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/prismgate/prism/protoc-gen-prism/internal/plugintest"
)

const here = "protoc-gen-prism/internal/checktest"

// TestGeneratedCodeIsCurrent holds the generated Go files beside the test to the plugin that is compiled into it.
func TestGeneratedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	schema := filepath.Join(plugintest.Root(), here, "schema")
	response := plugintest.Run(t, schema, "module=github.com/prismgate/prism,root=github.com/prismgate/prism/"+here)
	if response.Error != nil {
		t.Fatal(response.GetError())
	}
	for _, file := range append(response.GetFile(), messages(t, schema)...) {
		if strings.HasPrefix(file.GetName(), here+"/rules/") || strings.HasPrefix(file.GetName(), here+"/settings/") {
			plugintest.Golden(t, filepath.Join(plugintest.Root(), file.GetName()), file.GetContent())
		}
	}
}

// messages is what protoc-gen-go makes of the schema.
func messages(t *testing.T, schema string) []*pluginpb.CodeGeneratorResponse_File {
	request := plugintest.Request(t, schema, "module=github.com/prismgate/prism")
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range plugin.Files {
		if file.Generate {
			internal_gengo.GenerateFile(plugin, file)
		}
	}
	response := plugin.Response()
	if response.Error != nil {
		t.Fatal(response.GetError())
	}
	return proto.CloneOf(response).GetFile()
}
