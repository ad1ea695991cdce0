package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// guard writes what puts a service's implementation behind the checks of its requests. who says who is wrapped in it.
func guard(f *jen.File, s *model.Service, contract model.GoName, who string) {
	var result jen.Code = jen.Id(s.Guard()).Values(jen.Id("implementation"))
	if !guarded(s) {
		result = jen.Id("implementation")
	}
	declare(f, s.GuardFunc()+" returns the implementation behind a check of every request. "+who+" is wrapped in it when it is opened.",
		jen.Func().Id(s.GuardFunc()).Params(jen.Id("implementation").Add(ident(contract))).Add(ident(contract)).Block(jen.Return(result)))
	if !guarded(s) {
		return
	}
	f.Line()
	f.Type().Id(s.Guard()).Struct(jen.Id("next").Add(ident(contract)))
	for _, m := range s.Methods {
		f.Line()
		f.Func().Params(jen.Id("g").Id(s.Guard())).Id(m.GoName).Add(methodSignature(m)).Block(guardBody(m)...)
	}
}

// guarded tells whether any request of a service has constraints.
func guarded(s *model.Service) bool {
	for _, m := range s.Methods {
		if m.Request.Constrained() {
			return true
		}
	}
	return false
}

func guardBody(m *model.Method) []jen.Code {
	args := methodArgs(m)
	if m.ClientStream && m.Request.Constrained() {
		args[1] = jen.Qual(checkPath, "Received").Call(jen.Id("receive"), ident(m.Request.Check))
	}
	next := jen.Return(jen.Id("g").Dot("next").Dot(m.GoName).Call(args...))
	if m.ClientStream || !m.Request.Constrained() {
		return []jen.Code{next}
	}
	refusal := jen.Return(jen.Nil(), jen.Err())
	if m.ServerStream {
		refusal = jen.Return(jen.Err())
	}
	call := jen.Err().Op(":=").Add(ident(m.Request.Check)).Call(jen.Id("request"))
	return []jen.Code{jen.If(call, jen.Err().Op("!=").Nil()).Block(refusal), next}
}
