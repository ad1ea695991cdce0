package emit

import (
	"fmt"
	"slices"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// RPC writes, for each service of a proto file, the table of its methods, the handlers of an implementation, and the client. A service that is foreign to
// Prism gets its Go interface here too.
func RPC(schema *model.Schema, file *model.File) []Output {
	var outputs []Output
	services := rpcServices(file)
	for len(services) > 0 {
		pkg := services[0].RPCPackage
		elsewhere := func(s *rpcService) bool { return s.RPCPackage != pkg }
		f := newFile(schema, pkg, file.Path)
		for _, s := range services {
			if !elsewhere(s) {
				s.emit(f)
			}
		}
		outputs = append(outputs, goOutput(schema, pkg, baseName(file, ".prism.go"), f))
		services = slices.DeleteFunc(services, func(s *rpcService) bool { return !elsewhere(s) })
	}
	return outputs
}

// rpcService is a service with its names in the rpc package.
type rpcService struct {
	*model.Service
	// said is the name in comments: "keyvalue_scan".
	said string
	// catalogName is empty for a service that is foreign.
	catalogName string
	// contract is the Go interface.
	contract model.GoName
}

func rpcServices(file *model.File) []*rpcService {
	var services []*rpcService
	for _, i := range file.Interfaces {
		services = append(services, &rpcService{&i.Service, i.CatalogName, i.CatalogName, i.Contract()})
	}
	for _, s := range file.Services {
		services = append(services, &rpcService{s, s.Name, "", model.GoName{Path: s.RPCPackage.Path, Name: s.GoName}})
	}
	return services
}

func (s *rpcService) emit(f *jen.File) {
	if s.catalogName == "" {
		doc := paragraphs(renamed(s.Doc, s.Name, s.GoName), fmt.Sprintf("%s is the Go interface of the service %s.", s.GoName, s.FullName))
		declare(f, doc, jen.Type().Id(s.GoName).Interface(contractMethods(s.Service)...))
	}
	declare(f, "", s.table())
	declare(f, fmt.Sprintf("%s returns %s's methods, in the order of the schema.", s.MethodsFunc(), s.said),
		jen.Func().Id(s.MethodsFunc()).Params().Index().Add(methodType()).Block(
			jen.Return(jen.Qual("slices", "Clone").Call(jen.Id(s.Table()).Index(jen.Op(":")))),
		))
	declare(f, "", s.handlerTable())
	declare(f, fmt.Sprintf("%s returns a handler for each method of an implementation of %s.", s.HandlersFunc(), s.said), s.handlers())
	declare(f, fmt.Sprintf("%s returns the client of %s on a connection.", s.NewClientFunc(), s.said),
		jen.Func().Id(s.NewClientFunc()).Params(connParam()).Add(ident(s.contract)).Block(
			jen.Return(jen.Id(s.Client()).Values(jen.Id("conn"))),
		))
	declare(f, "", jen.Type().Id(s.Client()).Struct(connParam()))
	for n, m := range s.Methods {
		declare(f, "", s.clientMethod(n, m))
	}
}

func methodType() *jen.Statement { return jen.Op("*").Qual(rpcPath, "Method") }

func connParam() *jen.Statement { return jen.Id("conn").Qual(rpcPath, "Conn") }

// table declares the service's methods.
func (s *rpcService) table() jen.Code {
	var entries []jen.Code
	for _, m := range s.Methods {
		entries = append(entries, literal(s.tableEntry(m)...))
	}
	return jen.Var().Id(s.Table()).Op("=").Index(jen.Op("...")).Add(methodType()).Add(literal(entries...))
}

func (s *rpcService) tableEntry(m *model.Method) []jen.Code {
	entry := []jen.Code{
		keyed("Procedure", jen.Lit(m.Procedure)),
		keyed("Service", jen.Lit(s.FullName)),
		keyed("Name", jen.Lit(m.Name)),
	}
	if s.catalogName != "" {
		entry = append(entry, keyed("Interface", jen.Lit(s.catalogName)))
	}
	entry = append(entry, keyed("Shape", jen.Qual(rpcPath, "Shape"+shape(m))))
	if m.Idempotency != "" && m.Idempotency != "IdempotencyUnknown" {
		entry = append(entry, keyed("Idempotency", jen.Qual(rpcPath, m.Idempotency)))
	}
	if m.Blocking {
		entry = append(entry, keyed("Blocking", jen.True()))
	}
	if m.Destructive {
		entry = append(entry, keyed("Destructive", jen.True()))
	}
	if m.MaxMessageBytes > 0 {
		entry = append(entry, keyed("MaxMessageBytes", jen.Lit(m.MaxMessageBytes)))
	}
	return append(entry, keyed("NewRequest", newMessage(m.Request)), keyed("NewResponse", newMessage(m.Response)))
}

// handlerTable declares the service's handlers, which are made once and wait for an implementation.
func (s *rpcService) handlerTable() jen.Code {
	var handlers []jen.Code
	for n, m := range s.Methods {
		handlers = append(handlers, jen.Qual(rpcPath, shape(m)+"Of").Call(s.tableAt(n), jen.Add(ident(s.contract)).Dot(m.GoName)))
	}
	return jen.Var().Id(s.HandlerTable()).Op("=").Index(jen.Op("...")).Qual(rpcPath, "Handler").Add(literal(handlers...))
}

func (s *rpcService) handlers() jen.Code {
	return jen.Func().Id(s.HandlersFunc()).Params(jen.Id("implementation").Add(ident(s.contract))).Index().Qual(rpcPath, "Handler").Block(
		jen.Return(jen.Qual(rpcPath, "Bind").Call(jen.Id(s.HandlerTable()).Index(jen.Op(":")), jen.Id("implementation"))),
	)
}

func (s *rpcService) tableAt(n int) jen.Code { return jen.Id(s.Table()).Index(jen.Lit(n)) }

func (s *rpcService) clientMethod(n int, m *model.Method) jen.Code {
	args := methodArgs(m)
	call := jen.Qual(rpcPath, "Call"+shape(m))
	if !m.ClientStream && !m.ServerStream {
		call = call.Types(pointer(m.Response)) // which no argument tells
	}
	if m.ClientStream && !m.ServerStream {
		call = call.Types(pointer(m.Request), pointer(m.Response))
	}
	call = call.Call(append([]jen.Code{args[0], jen.Id("c").Dot("conn"), s.tableAt(n)}, args[1:]...)...)
	return jen.Func().Params(jen.Id("c").Id(s.Client())).Id(m.GoName).Add(methodSignature(m)).Block(jen.Return(call))
}
