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
	models := byModel(backend.Implements)
	for _, m := range models {
		modelType(f, backend.Config.Go.Name, m, backend.Name+" implements")
	}
	backendInterfaces(f, schema, backend, models)
}

// backendModels are the data models of what a backend implements.
func backendModels(backend *model.Backend) []*model.DataModel { return byModel(backend.Implements) }

// byModel groups interfaces, which are sorted by name, by data model, sorted too.
func byModel(interfaces []*model.Interface) []*model.DataModel {
	var models []*model.DataModel
	for _, i := range interfaces {
		at, found := slices.BinarySearchFunc(models, i.ModelName, compareModel)
		if !found {
			models = slices.Insert(models, at, &model.DataModel{Name: i.ModelName, Lower: strings.ToLower(i.ModelName)})
		}
		models[at].Interfaces = append(models[at].Interfaces, i)
	}
	return models
}

func compareModel(m *model.DataModel, name string) int { return strings.Compare(m.Name, name) }

// modelType is the type that an author writes for one data model: every declared interface in one. whatOf says who does what with the model: "redis implements".
func modelType(f *jen.File, goName string, m *model.DataModel, whatOf string) {
	var contracts []jen.Code
	for _, i := range m.Interfaces {
		contracts = append(contracts, contractType(i))
	}
	declare(f, goName+m.Name+" is what "+whatOf+" of "+m.Name+".", jen.Type().Id(goName+m.Name).Interface(contracts...))
}

// backendInterfaces is what an open backend gives to a namespace, and the only way to make it.
func backendInterfaces(f *jen.File, schema *model.Schema, backend *model.Backend, models []*model.DataModel) {
	name := backend.Config.Go.Name + "Interfaces"
	prism := prismPackage(schema.Params).Path
	declare(f, name+" are "+backend.Name+"'s interfaces for one namespace. Only New"+name+" makes them, so that whatever is declared is there.",
		jen.Type().Id(name).Struct(jen.Id("interfaces").Op("*").Qual(prism, "Interfaces")))
	backendConstructor(f, schema, backend, models)
	interfacesMethods(f, name, prism)
	receiver := receiverName(name)
	declare(f, "Handlers returns a handler for every method of the interfaces that are served to clients.",
		jen.Func().Params(jen.Id(receiver).Id(name)).Id("Handlers").Params().Index().Qual(rpcPath, "Handler").Block(
			jen.Return(jen.Id(receiver).Dot("interfaces").Dot("Handlers").Call())))
}

// interfacesMethods are the methods by which a sealed type gives its interfaces away.
func interfacesMethods(f *jen.File, name, prism string) {
	receiver := receiverName(name)
	declare(f, "Interfaces returns the interfaces by name.",
		jen.Func().Params(jen.Id(receiver).Id(name)).Id("Interfaces").Params().Op("*").Qual(prism, "Interfaces").Block(
			jen.Return(jen.Id(receiver).Dot("interfaces"))))
	declare(f, "Interface returns the implementation of the interface of that catalog name; nil when it is not offered.",
		jen.Func().Params(jen.Id(receiver).Id(name)).Id("Interface").Params(jen.Id("name").String()).Any().Block(
			jen.Return(jen.Id(receiver).Dot("interfaces").Dot("Interface").Call(jen.Id("name")))))
}

func backendConstructor(f *jen.File, schema *model.Schema, backend *model.Backend, models []*model.DataModel) {
	name := backend.Config.Go.Name + "Interfaces"
	params, fields := modelParams(backend.Config.Go.Name, models)
	declare(f, "New"+name+" takes one value per data model and puts each interface behind its guard.",
		jen.Func().Id("New"+name).Params(params...).Id(name).Block(
			jen.Return(jen.Id(name).Values(jen.Op("&").Qual(prismPackage(schema.Params).Path, "Interfaces").Values(fields))),
		))
}

// modelParams are the parameters of a constructor that takes one value per data model, and the fields of prism.Interfaces that it makes of them, guarded.
func modelParams(goName string, models []*model.DataModel) ([]jen.Code, jen.Dict) {
	var params []jen.Code
	fields := jen.Dict{}
	for _, m := range models {
		param := paramName(m.Name, importedNames...)
		params = append(params, jen.Id(param).Id(goName+m.Name))
		for _, i := range m.Interfaces {
			fields[jen.Id(i.Field())] = jen.Qual(i.RPCPackage.Path, i.GuardFunc()).Call(jen.Id(param))
		}
	}
	return params, fields
}

// importedNames are names of packages that generated code uses, which a parameter must not hide.
var importedNames = []string{"prism", "rpc", "fault", "catalog", "backend", "strings", "proto", "testing", "slices"}
