package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Offers writes, for the patterns that a file declares, what an open one offers, and the only way to make it. It stands in the rpc package, because the package
// of the slots cannot import the handlers of a service whose messages it holds.
func Offers(schema *model.Schema, file *model.File) []Output {
	var declared []*model.Pattern
	for _, pattern := range schema.Patterns {
		if declares(file, pattern.Config) {
			declared = append(declared, pattern)
		}
	}
	if len(declared) == 0 {
		return nil
	}
	pkg := declared[0].RPCPackage
	f := newFile(schema, pkg, file.Path)
	for _, pattern := range declared {
		e := offersEmitter{f, pattern, prismPackage(schema.Params).Path, byModel(pattern.Offers)}
		for _, m := range e.models {
			modelType(f, pattern.Config.Go.Name, m, pattern.Name+" offers")
		}
		e.offers()
		e.constructor()
		interfacesMethods(f, e.name(), e.prism)
		e.handlers()
	}
	return []Output{goOutput(schema, pkg, baseName(file, ".pattern.prism.go"), f)}
}

// offersEmitter writes what one pattern offers.
type offersEmitter struct {
	f       *jen.File
	pattern *model.Pattern
	// prism is the import path of the package prism.
	prism string
	// models are the interfaces in offers by data model.
	models []*model.DataModel
}

func (e offersEmitter) name() string { return e.pattern.Config.Go.Name + "Offers" }

// offers is the sealed type.
func (e offersEmitter) offers() {
	fields := []jen.Code{jen.Id("interfaces").Op("*").Qual(e.prism, "Interfaces")}
	if len(e.pattern.Services) > 0 {
		fields = append(fields, comment("services are the handlers of what is no interface."), jen.Id("services").Add(handlerSlice()))
	}
	declare(e.f, e.name()+" are what "+e.pattern.Name+" offers to clients. Only New"+e.name()+" makes them, so that whatever is declared is there.",
		jen.Type().Id(e.name()).Struct(fields...))
}

func handlerSlice() *jen.Statement { return jen.Index().Qual(rpcPath, "Handler") }

// constructor takes an implementation of everything that is declared.
func (e offersEmitter) constructor() {
	params, fields := modelParams(e.pattern.Config.Go.Name, e.models)
	body := []jen.Code{jen.Id("interfaces").Op(":=").Op("&").Qual(e.prism, "Interfaces").Values(fields)}
	doc := "New" + e.name() + " takes one value per data model and service, and puts each behind its guard."
	if e.pattern.OffersSlot != "" {
		params = []jen.Code{jen.Id("interfaces").Op("*").Qual(e.prism, "Interfaces")}
		body = nil
		doc += " interfaces is what fills the slot " + e.pattern.OffersSlot + ", with those replaced that the pattern decorates."
	}
	var handlers []jen.Code
	for _, s := range e.pattern.Services {
		param := paramName(s.GoName, append([]string{"interfaces"}, importedNames...)...)
		params = append(params, jen.Id(param).Qual(s.RPCPackage.Path, s.GoName))
		handlers = append(handlers, jen.Qual(s.RPCPackage.Path, s.HandlersFunc()).Call(jen.Qual(s.RPCPackage.Path, s.GuardFunc()).Call(jen.Id(param))))
	}
	values := []jen.Code{jen.Id("interfaces")}
	switch len(handlers) {
	case 0:
	case 1:
		values = append(values, handlers[0])
	default:
		values = append(values, jen.Qual("slices", "Concat").Call(handlers...))
	}
	body = append(body, jen.Return(jen.Id(e.name()).Values(values...)))
	declare(e.f, doc, jen.Func().Id("New"+e.name()).Params(params...).Id(e.name()).Block(body...))
}

// handlers is the method by which it is served.
func (e offersEmitter) handlers() {
	receiver := receiverName(e.name())
	all := jen.Id(receiver).Dot("interfaces").Dot("Handlers").Call()
	if len(e.pattern.Services) > 0 {
		all = jen.Qual("slices", "Concat").Call(all, jen.Id(receiver).Dot("services"))
	}
	declare(e.f, "Handlers returns a handler for every method of the interfaces that are served to clients, and of the services.",
		jen.Func().Params(jen.Id(receiver).Id(e.name())).Id("Handlers").Params().Add(handlerSlice()).Block(jen.Return(all)))
}
