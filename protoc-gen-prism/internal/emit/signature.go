package emit

import (
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// ident is a name, qualified by its package where it is another one.
func ident(name model.GoName) *jen.Statement { return jen.Qual(name.Path, name.Name) }

// pointer is a pointer to a message.
func pointer(message *model.Message) *jen.Statement { return jen.Op("*").Add(ident(message.Go)) }

// contractType is the Go contract of an interface: keyvaluev1.Scan.
func contractType(i *model.Interface) *jen.Statement { return ident(i.Contract()) }

// ctxParam is the parameter ctx.
func ctxParam() jen.Code { return jen.Id("ctx").Qual("context", "Context") }

// methodSignature is what follows a method's name in Go: parameters and results.
func methodSignature(m *model.Method) jen.Code {
	return jen.Params(methodParams(m)...).Add(methodResults(m))
}

// methodParams are a method's parameters in Go, by its shape: ctx, then request or receive, then send.
func methodParams(m *model.Method) []jen.Code {
	params := []jen.Code{ctxParam()}
	if m.ClientStream {
		params = append(params, jen.Id("receive").Func().Params().Params(pointer(m.Request), jen.Error()))
	} else {
		params = append(params, jen.Id("request").Add(pointer(m.Request)))
	}
	if m.ServerStream {
		params = append(params, jen.Id("send").Func().Params(pointer(m.Response)).Error())
	}
	return params
}

// methodResults are a method's results in Go: the response and an error, or the error alone where send takes responses.
func methodResults(m *model.Method) jen.Code {
	if m.ServerStream {
		return jen.Error()
	}
	return jen.Params(pointer(m.Response), jen.Error())
}

// methodArgs are the names of a method's parameters, to pass them on.
func methodArgs(m *model.Method) []jen.Code {
	args := []jen.Code{jen.Id("ctx"), jen.Id("request")}
	if m.ClientStream {
		args[1] = jen.Id("receive")
	}
	if m.ServerStream {
		args = append(args, jen.Id("send"))
	}
	return args
}

// shape is the name of a method's shape as the runtime's functions have it: rpc.Unary, rpc.CallUnary, rpc.ShapeUnary.
func shape(m *model.Method) string {
	switch {
	case m.ClientStream && m.ServerStream:
		return "Bidi"
	case m.ClientStream:
		return "ClientStream"
	case m.ServerStream:
		return "ServerStream"
	}
	return "Unary"
}

// paramName is a name for a parameter or a private field, made of an exported one. It avoids the language's words and types, and the names given.
func paramName(name string, taken ...string) string {
	name = model.Unexported(name)
	if token.IsKeyword(name) || isTypeOrConstant(name) || slices.Contains(taken, name) {
		return name + "_"
	}
	return name
}

// isTypeOrConstant tells whether a name is predeclared and used by generated code: "string", "nil". To hide a predeclared function such as max hurts nobody.
func isTypeOrConstant(name string) bool {
	predeclared := types.Universe.Lookup(name)
	_, function := predeclared.(*types.Builtin)
	return predeclared != nil && !function
}

// receiverName is the name of a method's receiver: the type's first letter.
func receiverName(typeName string) string { return strings.ToLower(typeName[:1]) }
