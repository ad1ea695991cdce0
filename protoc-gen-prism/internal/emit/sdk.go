package emit

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// SDK writes the package sdk: what a program calls. A field that is no positional argument is set by an option, so that a new one changes no signature.
func SDK(schema *model.Schema) []Output {
	pkg := sdkPackage(schema.Params)
	var outputs []Output
	var models []sdkModel
	for _, dataModel := range schema.DataModels {
		m := newSDKModel(dataModel)
		if len(m.interfaces) == 0 {
			continue
		}
		models = append(models, m)
		f := newFile(schema, pkg, "")
		m.emit(f)
		outputs = append(outputs, goOutput(schema, pkg, m.Lower+".go", f))
	}
	if len(models) == 0 {
		return nil
	}
	f := newFile(schema, pkg, "")
	emitNamespace(f, models)
	return append(outputs, goOutput(schema, pkg, "sdk.go", f))
}

// emitNamespace declares the type that leads to all data models.
func emitNamespace(f *jen.File, models []sdkModel) {
	f.PackageComment("// Package sdk calls the interfaces of a namespace, one type for each data model.\n//\n" +
		"// The arguments of a method are the fields that every call needs, and functions that set the others in the request before it is sent. A new field of a\n" +
		"// request changes no signature.")
	declare(f, "Namespace calls one namespace. It may be used by many goroutines at once.", jen.Type().Id("Namespace").Struct(connParam()))
	declare(f, "NewNamespace returns the namespace that a connection leads to.",
		jen.Func().Id("NewNamespace").Params(connParam()).Op("*").Id("Namespace").Block(
			jen.Return(jen.Op("&").Id("Namespace").Values(jen.Id("conn")))))
	for _, m := range models {
		declare(f, m.Name+" returns the namespace's "+m.Name+" interfaces.", m.accessor())
	}
}

// sdkModel is a data model as the SDK offers it.
type sdkModel struct {
	*model.DataModel
	// interfaces are those that clients may call.
	interfaces []*model.Interface
}

func newSDKModel(dataModel *model.DataModel) sdkModel {
	m := sdkModel{DataModel: dataModel}
	for _, i := range dataModel.Interfaces {
		if i.Kind != model.KindSlot {
			m.interfaces = append(m.interfaces, i)
		}
	}
	return m
}

// accessor is the namespace's method that returns the data model.
func (m sdkModel) accessor() jen.Code {
	var clients []jen.Code
	for _, i := range m.interfaces {
		clients = append(clients, keyed(paramName(i.GoFlavour), jen.Qual(i.RPCPackage.Path, i.NewClientFunc()).Call(jen.Id("n").Dot("conn"))))
	}
	return jen.Func().Params(jen.Id("n").Op("*").Id("Namespace")).Id(m.Name).Params().Op("*").Id(m.Name).Block(
		jen.Return(jen.Op("&").Id(m.Name).Add(literal(clients...))))
}

func (m sdkModel) emit(f *jen.File) {
	var names []string
	var clients []jen.Code
	for _, i := range m.interfaces {
		names = append(names, i.CatalogName)
		clients = append(clients, jen.Id(paramName(i.GoFlavour)).Add(contractType(i)))
	}
	declare(f, fmt.Sprintf("%s calls the %s interfaces of a namespace:\n%s.", m.Name, m.Name, strings.Join(names, ", ")), jen.Type().Id(m.Name).Struct(clients...))
	for _, i := range m.interfaces {
		for _, method := range i.Methods {
			c := sdkMethod{method, receiverName(m.Name), m.Name, paramName(i.GoFlavour)}
			declare(f, c.doc(), c.declaration())
		}
	}
}

// sdkMethod is one RPC as the SDK offers it.
type sdkMethod struct {
	*model.Method
	// receiver and receiverType are the data model, client is its field that makes the call.
	receiver, receiverType, client string
}

func (c sdkMethod) doc() string {
	doc := renamed(c.Doc, c.Name, c.GoName)
	if c.ServerStream {
		return paragraphs(doc, "A call that fails ends the sequence with a nil message and the error. Leaving the loop gives the call up; each loop makes a call.")
	}
	return doc
}

func (c sdkMethod) declaration() jen.Code {
	params := []jen.Code{ctxParam()}
	for _, arg := range c.Args {
		params = append(params, jen.Id(c.param(arg)).Add(goType(arg)))
	}
	params = append(params, jen.Id("options").Op("...").Func().Params(pointer(c.Request)))
	declared := jen.Func().Params(jen.Id(c.receiver).Op("*").Id(c.receiverType)).Id(c.GoName).Params(params...)
	if c.ServerStream {
		return declared.Qual("iter", "Seq2").Types(pointer(c.Response), jen.Error()).Block(c.iterate()...)
	}
	return declared.Add(methodResults(c.Method)).Block(jen.Return(c.call(c.request())))
}

// param is the name of a positional argument. It hides no name that the method's body needs.
func (c sdkMethod) param(arg *model.Field) string {
	return paramName(arg.GoName, "ctx", "options", "request", "send", "rpc", "iter", "context", c.receiver, packageName(c.Request), packageName(c.Response))
}

// packageName guesses the name under which a message's package is imported.
func packageName(message *model.Message) string {
	names := map[string]string{}
	addPathName(names, message.Go.Path)
	return names[message.Go.Path]
}

// request builds the request of the positional arguments and the options.
func (c sdkMethod) request() jen.Code {
	var fields []jen.Code
	for _, arg := range c.Args {
		fields = append(fields, assignment(arg, c.param(arg)))
	}
	return jen.Qual(rpcPath, "Request").Call(jen.Op("&").Add(ident(c.Request.Go)).Values(fields...), jen.Id("options"))
}

func (c sdkMethod) call(request jen.Code, more ...jen.Code) jen.Code {
	return jen.Id(c.receiver).Dot(c.client).Dot(c.GoName).Call(append([]jen.Code{jen.Id("ctx"), request}, more...)...)
}

// iterate is the body of a method that returns a sequence.
func (c sdkMethod) iterate() []jen.Code {
	send := jen.Id("send").Func().Params(pointer(c.Response)).Error()
	return []jen.Code{
		jen.Id("request").Op(":=").Add(c.request()),
		jen.Return(jen.Qual(rpcPath, "Iterate").Call(
			jen.Func().Params(send).Error().Block(jen.Return(c.call(jen.Id("request"), jen.Id("send")))),
		)),
	}
}

// assignment sets a field of a message to a parameter: Key: key, or whatever the field's Go type needs.
func assignment(field *model.Field, param string) jen.Code {
	switch {
	case field.Oneof != nil:
		return keyed(field.Oneof.GoName, jen.Op("&").Add(ident(field.OneofWrapper)).Values(keyed(field.GoName, jen.Id(param))))
	case field.Optional && field.Type != model.TypeBytes:
		return keyed(field.GoName, jen.Op("&").Id(param))
	}
	return keyed(field.GoName, jen.Id(param))
}
