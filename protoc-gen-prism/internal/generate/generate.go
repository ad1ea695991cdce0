// Package generate is the plugin as a function: a compiler's request in, generated files or mistakes out.
package generate

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/prismgate/prism/protoc-gen-prism/internal/emit"
	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// The emitters, of each file and of the whole schema.
var (
	fileEmitters   = []func(*model.Schema, *model.File) []emit.Output{emit.Contract, emit.RPC, emit.Check, emit.Backends, emit.Patterns, emit.Offers}
	schemaEmitters = []func(*model.Schema) []emit.Output{emit.Interfaces, emit.Comments, emit.Registry, emit.Wiring, emit.Suites, emit.SDK, emit.Docs}
)

// The editions whose files are understood. From 2024 on messages are opaque in Go unless they say otherwise, and generated code reads their fields.
const (
	leastEdition = descriptorpb.Edition_EDITION_PROTO2
	mostEdition  = descriptorpb.Edition_EDITION_2023
)

// Run answers a request. What is wrong with the schema or the parameters is the answer's error, so that the compiler shows it.
func Run(request *pluginpb.CodeGeneratorRequest) *pluginpb.CodeGeneratorResponse {
	const features = pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL | pluginpb.CodeGeneratorResponse_FEATURE_SUPPORTS_EDITIONS
	response := &pluginpb.CodeGeneratorResponse{
		SupportedFeatures: new(uint64(features)),
		MinimumEdition:    new(int32(leastEdition)),
		MaximumEdition:    new(int32(mostEdition)),
	}
	schema, err := load(request)
	if err == nil {
		response.File, err = files(outputs(schema))
	}
	if err != nil {
		response.File, response.Error = nil, new(err.Error())
	}
	return response
}

// load makes the schema. protogen serves for names only: it would make paths of its own from the parameter module.
func load(request *pluginpb.CodeGeneratorRequest) (*model.Schema, error) {
	params, forProtogen, err := parseParams(request.GetParameter())
	if err != nil {
		return nil, err
	}
	request = proto.CloneOf(request)
	request.Parameter = &forProtogen
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return nil, err
	}
	return model.Load(plugin, params)
}

func outputs(schema *model.Schema) []emit.Output {
	var out []emit.Output
	for _, file := range schema.Files {
		for _, emitter := range fileEmitters {
			out = append(out, emitter(schema, file)...)
		}
	}
	for _, emitter := range schemaEmitters {
		out = append(out, emitter(schema)...)
	}
	return out
}

// files renders outputs, sorted by path.
func files(outputs []emit.Output) ([]*pluginpb.CodeGeneratorResponse_File, error) {
	slices.SortStableFunc(outputs, func(a, b emit.Output) int { return strings.Compare(a.Path, b.Path) })
	var out []*pluginpb.CodeGeneratorResponse_File
	for i, output := range outputs {
		if i > 0 && outputs[i-1].Path == output.Path {
			return nil, fmt.Errorf("%s would be written twice; two proto files of one Go package have the same name", output.Path)
		}
		content, err := output.Content()
		if err != nil {
			return nil, err
		}
		out = append(out, &pluginpb.CodeGeneratorResponse_File{Name: &output.Path, Content: &content})
	}
	return out, nil
}
