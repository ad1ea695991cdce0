package emit

import (
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Backends writes, for the backends that a file declares, what their authors must implement and what an open backend gives to a namespace.
func Backends(schema *model.Schema, file *model.File) []Output {
	f := newFile(schema, file.Package, file.Path)
	found := false
	for _, backend := range schema.Backends {
		if declares(file, backend.Config) {
			found = true
			backendTypes(f, schema, backend)
		}
	}
	if !found {
		return nil
	}
	return []Output{goOutput(schema, file.Package, baseName(file, ".prism.go"), f)}
}

// declares tells whether a file declares a message.
func declares(file *model.File, message *model.Message) bool {
	return slices.ContainsFunc(file.Messages, func(m *model.Message) bool { return m.FullName == message.FullName })
}

func backendTypes(f *jen.File, schema *model.Schema, backend *model.Backend) {
	models := backendModels(backend)
	for _, m := range models {
		backendModel(f, backend, m)
	}
	backendInterfaces(f, schema, backend, models)
}

// backendModels groups what a backend implements by data model, both sorted by name.
func backendModels(backend *model.Backend) []*model.DataModel {
	var models []*model.DataModel
	for _, i := range backend.Implements {
		at, found := slices.BinarySearchFunc(models, i.ModelName, compareModel)
		if !found {
			models = slices.Insert(models, at, &model.DataModel{Name: i.ModelName, Lower: strings.ToLower(i.ModelName)})
		}
		models[at].Interfaces = append(models[at].Interfaces, i)
	}
	return models
}

func compareModel(m *model.DataModel, name string) int { return strings.Compare(m.Name, name) }

// backendModel is the type that a backend's author writes for one data model: every declared interface in one.
func backendModel(f *jen.File, backend *model.Backend, m *model.DataModel) {
	name := backendModelName(backend, m)
	var contracts []jen.Code
	for _, i := range m.Interfaces {
		contracts = append(contracts, contractType(i))
	}
	declare(f, name+" is what "+backend.Name+" implements of "+m.Name+".", jen.Type().Id(name).Interface(contracts...))
}

func backendModelName(backend *model.Backend, m *model.DataModel) string {
	return backend.Config.Go.Name + m.Name
}

// backendInterfaces is what an open backend gives to a namespace, and the only way to make it.
func backendInterfaces(f *jen.File, schema *model.Schema, backend *model.Backend, models []*model.DataModel) {
	name := backend.Config.Go.Name + "Interfaces"
	prism := prismPackage(schema.Params).Path
	declare(f, name+" are "+backend.Name+"'s interfaces for one namespace. Only New"+name+" makes them, so that whatever is declared is there.",
		jen.Type().Id(name).Struct(jen.Id("interfaces").Op("*").Qual(prism, "Interfaces")))
	backendConstructor(f, schema, backend, models)
	receiver := model.Unexported(name)[:1]
	method := func(doc, method string, result, value jen.Code) {
		declare(f, doc, jen.Func().Params(jen.Id(receiver).Id(name)).Id(method).Params().Add(result).Block(jen.Return(value)))
	}
	method("Interfaces returns the interfaces by name.", "Interfaces",
		jen.Op("*").Qual(prism, "Interfaces"), jen.Id(receiver).Dot("interfaces"))
	method("Handlers returns a handler for every method of the interfaces that are served to clients.", "Handlers",
		jen.Index().Qual(rpcPath, "Handler"), jen.Id(receiver).Dot("interfaces").Dot("Handlers").Call())
}

func backendConstructor(f *jen.File, schema *model.Schema, backend *model.Backend, models []*model.DataModel) {
	name := backend.Config.Go.Name + "Interfaces"
	var params []jen.Code
	fields := jen.Dict{}
	for _, m := range models {
		param := paramName(m.Name, importedNames...)
		params = append(params, jen.Id(param).Id(backendModelName(backend, m)))
		for _, i := range m.Interfaces {
			fields[jen.Id(i.Field())] = jen.Qual(i.RPCPackage.Path, "Guard"+i.GoFlavour).Call(jen.Id(param))
		}
	}
	declare(f, "New"+name+" takes one value per data model and puts each interface behind its guard.",
		jen.Func().Id("New"+name).Params(params...).Id(name).Block(
			jen.Return(jen.Id(name).Values(jen.Op("&").Qual(prismPackage(schema.Params).Path, "Interfaces").Values(fields))),
		))
}

// importedNames are names of packages that generated code uses, which a parameter must not hide.
var importedNames = []string{"prism", "rpc", "fault", "catalog", "backend", "strings", "proto", "testing"}
