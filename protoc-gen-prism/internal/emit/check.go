package emit

import (
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Check writes, for each message of a file that has constraints, the function that checks it, and for each interface, and each service that a pattern offers,
// the guard that checks every request.
//
// A file of an interface gets checks for all of its messages, and so does configuration: a file of a package without interfaces that declares no service. Of
// any other file those messages get one that requests or configuration hold.
func Check(schema *model.Schema, file *model.File) []Output {
	var checked []*model.Message
	reached := held(schema)
	for _, message := range file.Messages {
		if message.Constrained() && (len(file.Interfaces) > 0 || reached[message]) {
			checked = append(checked, message)
		}
	}
	guards := slices.DeleteFunc(slices.Clone(file.Services), func(s *model.Service) bool { return !s.Offered })
	if len(checked)+len(file.Interfaces)+len(guards) == 0 {
		return nil
	}
	pkg := checkPackage(file, checked)
	f := newFile(schema, pkg, file.Path)
	tables := make(map[string]string)
	for _, message := range checked {
		checkMessage(f, message, tables)
	}
	for _, i := range file.Interfaces {
		guard(f, &i.Service, i.Contract(), "A backend")
	}
	for _, s := range guards {
		guard(f, s, model.GoName{Path: s.RPCPackage.Path, Name: s.GoName}, "A pattern")
	}
	return []Output{goOutput(schema, pkg, baseName(file, ".check.prism.go"), f)}
}

// checkPackage is where a file's checks live: the rpc package, or that of the messages.
func checkPackage(file *model.File, checked []*model.Message) model.GoPackage {
	if file.OwnChecks {
		return file.Package
	}
	if len(file.Interfaces) > 0 {
		return file.Interfaces[0].RPCPackage
	}
	if len(file.Services) > 0 {
		return file.Services[0].RPCPackage
	}
	return model.GoPackage{Path: checked[0].Check.Path, Name: lastElement(checked[0].Check.Path)}
}

// held are the messages that requests of generated interfaces and of services that patterns offer, and generated configuration, hold at any depth, and they
// themselves.
func held(schema *model.Schema) map[*model.Message]bool {
	reached := make(map[*model.Message]bool)
	var walk func(*model.Message)
	walk = func(message *model.Message) {
		if message == nil || reached[message] {
			return
		}
		reached[message] = true
		for _, field := range message.Fields {
			walk(field.Message)
		}
	}
	for _, i := range schema.Interfaces {
		for _, method := range i.Methods {
			if i.Generate {
				walk(method.Request)
			}
		}
	}
	for _, pattern := range schema.Patterns {
		walk(pattern.Config)
		for _, service := range pattern.Services {
			for _, method := range service.Methods {
				walk(method.Request)
			}
		}
	}
	for _, file := range schema.Files {
		if file.OwnChecks {
			for _, message := range file.Messages {
				walk(message)
			}
		}
	}
	return reached
}

// checkMessage writes the check of one message.
func checkMessage(f *jen.File, message *model.Message, tables map[string]string) {
	c := &checker{message: message, names: tables}
	var body []jen.Code
	for _, oneof := range message.Oneofs {
		if oneof.Required {
			body = append(body, fail(jen.Id("m").Dot("Get"+oneof.GoName).Call().Op("==").Nil(), must(jen.Lit(oneof.Name), "must be set: one of its fields")))
		}
	}
	for _, field := range message.Fields {
		body = append(body, c.field(field)...)
	}
	body = append(body, jen.Return(jen.Nil()))
	for _, table := range c.tables {
		f.Line()
		f.Add(table)
	}
	name := message.Check.Name
	declare(f, name+" checks "+article(message.Go.Name)+" against the schema's constraints. The error is INVALID_ARGUMENT and names the field.",
		jen.Func().Id(name).Params(jen.Id("m").Add(pointer(message))).Error().Block(body...))
}

// article puts the indefinite article before a name.
func article(name string) string {
	if strings.ContainsAny(name[:1], "AEIO") {
		return "an " + name
	}
	return "a " + name
}

// fail returns an error under a condition.
func fail(condition, err jen.Code) jen.Code { return jen.If(condition).Block(jen.Return(err)) }

// must is the error that says a requirement only.
func must(path jen.Code, requirement string) jen.Code {
	return jen.Qual(checkPath, "Must").Call(path, jen.Lit(requirement))
}
