package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Interfaces writes the package prism: the set of all interfaces as one Go type.
func Interfaces(schema *model.Schema) []Output {
	if len(schema.Interfaces) == 0 {
		return nil
	}
	pkg := prismPackage(schema.Params)
	f := newFile(schema, pkg, "")
	f.PackageComment("Package prism is the set of all interfaces as one type, with a field for each.")
	declare(f, "Interfaces holds implementations, one field per interface. A nil field means that the interface is not offered.",
		jen.Type().Id("Interfaces").Struct(interfaceFields(schema)...))
	declare(f, "fields are the fields of Interfaces: by what name, where, how it is served, and how it is called.", interfaceTable(schema))
	declareInterfacesMethods(f)
	return []Output{goOutput(schema, pkg, "prism.go", f)}
}

// interfaceFields are the fields of prism.Interfaces, grouped by data model.
func interfaceFields(schema *model.Schema) []jen.Code {
	var fields []jen.Code
	for n, dataModel := range schema.DataModels {
		if n > 0 {
			fields = append(fields, jen.Line())
		}
		for _, i := range dataModel.Interfaces {
			fields = append(fields, jen.Id(i.Field()).Add(contractType(i)))
		}
	}
	return fields
}

// interfaceTable declares what the runtime must know of each field. An interface that is for slots only has no handlers, since it is never served.
func interfaceTable(schema *model.Schema) jen.Code {
	var fields []jen.Code
	for _, dataModel := range schema.DataModels {
		for _, i := range dataModel.Interfaces {
			at := jen.Func().Params(jen.Id("i").Op("*").Id("Interfaces")).Op("*").Add(contractType(i)).
				Add(returning(jen.Op("&").Id("i").Dot(i.Field())))
			handlers := jen.Qual(i.RPCPackage.Path, i.HandlersFunc())
			if i.Kind == model.KindSlot {
				handlers = jen.Nil()
			}
			client := jen.Qual(i.RPCPackage.Path, i.NewClientFunc())
			fields = append(fields, jen.Qual(rpcPath, "FieldOf").Call(jen.Lit(i.CatalogName), at, handlers, client))
		}
	}
	return jen.Var().Id("fields").Op("=").Qual(rpcPath, "Fields").Types(jen.Id("Interfaces")).Add(literal(fields...))
}

func declareInterfacesMethods(f *jen.File) {
	receiver := jen.Id("i").Op("*").Id("Interfaces")
	set := jen.Op("*").Id("Interfaces")
	names := jen.Id("names").Op("...").String()
	declare(f, "Handlers returns a handler for every method of every interface that is offered and served to clients.",
		jen.Func().Params(receiver).Id("Handlers").Params().Index().Qual(rpcPath, "Handler").Block(
			jen.Return(jen.Id("fields").Dot("Handlers").Call(jen.Id("i")))))
	declare(f, "Names returns the catalog names of the interfaces that are offered, sorted.",
		jen.Func().Params(receiver).Id("Names").Params().Index().String().Block(
			jen.Return(jen.Id("fields").Dot("Names").Call(jen.Id("i")))))
	declare(f, "Interface returns the implementation of the interface of that catalog name; nil when it is not offered.",
		jen.Func().Params(receiver).Id("Interface").Params(jen.Id("name").String()).Any().Block(
			jen.Return(jen.Id("fields").Dot("Interface").Call(jen.Id("i"), jen.Id("name")))))
	declare(f, "Only returns a copy that offers nothing but the named interfaces, as far as i offers them.",
		jen.Func().Params(receiver).Id("Only").Params(names).Add(set).Block(
			jen.Return(jen.Id("fields").Dot("Only").Call(jen.Id("i"), jen.Id("names")))))
	declare(f, "From returns a set of what an offering offers, which may be a set of another module; nil of nil.",
		jen.Func().Id("From").Params(jen.Id("offering").Qual(rpcPath, "Offering")).Add(set).Block(
			jen.Return(jen.Id("fields").Dot("From").Call(jen.Id("offering")))))
	declare(f, "Clients returns the clients of the named interfaces on a connection. A name that is not known is ignored.",
		jen.Func().Id("Clients").Params(connParam(), names).Add(set).Block(
			jen.Return(jen.Id("fields").Dot("Clients").Call(jen.Id("conn"), jen.Id("names")))))
}
