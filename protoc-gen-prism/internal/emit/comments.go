package emit

import (
	"maps"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Comments writes, for each package of configuration, the comments of its messages and their fields as data, so that editors can show them to who writes a
// configuration. Go's descriptors do not have them.
func Comments(schema *model.Schema) []Output {
	packages := make(map[model.GoPackage]map[string]string)
	held := configuration(schema)
	for _, file := range schema.Files {
		for _, message := range file.Messages {
			if !held[message] {
				continue
			}
			if packages[file.Package] == nil {
				packages[file.Package] = make(map[string]string)
			}
			addComments(packages[file.Package], message)
		}
	}
	var outputs []Output
	for _, pkg := range slices.SortedFunc(maps.Keys(packages), func(a, b model.GoPackage) int { return strings.Compare(a.Path, b.Path) }) {
		outputs = append(outputs, goOutput(schema, pkg, "comments.prism.go", commentsFile(schema, pkg, packages[pkg])))
	}
	return outputs
}

// configuration are the messages that a gateway's configuration, and those of backends and patterns, hold at any depth, and they themselves. The messages of contracts, which
// have no generated code but protobuf's, are not among them.
func configuration(schema *model.Schema) map[*model.Message]bool {
	contracts := make(map[*model.Message]bool)
	for _, file := range schema.Files {
		for _, message := range file.Messages {
			contracts[message] = !file.OwnChecks
		}
	}
	held := make(map[*model.Message]bool)
	var add func(*model.Message)
	add = func(message *model.Message) {
		held[message] = true
		for _, field := range message.Fields {
			if field.Message != nil && !held[field.Message] && !contracts[field.Message] {
				add(field.Message)
			}
		}
	}
	for _, backend := range schema.Backends {
		add(backend.Config)
	}
	for _, pattern := range schema.Patterns {
		add(pattern.Config)
	}
	if config := configurationMessage(schema); config != nil {
		add(config)
	}
	return held
}

func addComments(comments map[string]string, message *model.Message) {
	comments[message.FullName] = message.Doc
	for _, field := range message.Fields {
		comments[message.FullName+"."+field.Name] = field.Doc
	}
}

func commentsFile(schema *model.Schema, pkg model.GoPackage, comments map[string]string) *jen.File {
	f := newFile(schema, pkg, "")
	var entries []jen.Code
	for _, name := range slices.Sorted(maps.Keys(comments)) {
		if comments[name] != "" {
			entries = append(entries, jen.Lit(name).Op(":").Lit(comments[name]))
		}
	}
	declare(f, model.CommentsFunc+" returns the schema's comments on the package's configuration messages and their fields, by full name.",
		jen.Func().Id(model.CommentsFunc).Params().Map(jen.String()).String().Block(jen.Return(jen.Map(jen.String()).String().Add(literal(entries...)))))
	return f
}
