package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// guard writes what puts an interface's implementation behind the checks of its requests.
func guard(f *jen.File, i *model.Interface) {
	name := "Guard" + i.GoFlavour
	typ := model.Unexported(i.GoFlavour) + "Guard"
	var result jen.Code = jen.Id(typ).Values(jen.Id("implementation"))
	if !guarded(i) {
		result = jen.Id("implementation")
	}
	declare(f, name+" returns the implementation behind a check of every request. A backend is wrapped in it when it is opened.",
		jen.Func().Id(name).Params(jen.Id("implementation").Add(contractType(i))).Add(contractType(i)).Block(jen.Return(result)))
	if !guarded(i) {
		return
	}
	f.Line()
	f.Type().Id(typ).Struct(jen.Id("next").Add(contractType(i)))
	for _, m := range i.Methods {
		f.Line()
		f.Func().Params(jen.Id("g").Id(typ)).Id(m.GoName).Add(methodSignature(m)).Block(guardBody(m)...)
	}
}

// guarded tells whether any request of an interface has constraints.
func guarded(i *model.Interface) bool {
	for _, m := range i.Methods {
		if m.Request.Constrained() {
			return true
		}
	}
	return false
}

func guardBody(m *model.Method) []jen.Code {
	next := jen.Return(jen.Id("g").Dot("next").Dot(m.GoName).Call(methodArgs(m)...))
	if !m.Request.Constrained() {
		return []jen.Code{next}
	}
	refusal := jen.Return(jen.Nil(), jen.Err())
	if m.ServerStream {
		refusal = jen.Return(jen.Err())
	}
	call := jen.Err().Op(":=").Add(ident(m.Request.Check)).Call(jen.Id("request"))
	return []jen.Code{jen.If(call, jen.Err().Op("!=").Nil()).Block(refusal), next}
}
