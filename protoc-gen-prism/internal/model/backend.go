package model

import (
	"google.golang.org/protobuf/compiler/protogen"

	optionsv1 "github.com/prismgate/prism/gen/go/prism/options/v1"
)

// backendSteps lead from a message to the option that makes it a backend.
var backendSteps = []int32{7, 51980}

// loadBackend makes the backend that a configuration message declares.
func (l *loader) loadBackend(source *protogen.File, message *protogen.Message, declared *optionsv1.Backend) {
	const stepImplements, stepImplementability = 2, 3
	b := &Backend{
		Name:             declared.GetName(),
		Config:           l.message(message),
		Package:          GoPackage{Path: string(source.GoImportPath), Name: string(source.GoPackageName)},
		Implementability: int(declared.GetImplementability()),
	}
	l.checkLeaf(message, backendSteps, "backend", b.Name)
	at := extend(backendSteps, stepImplements)
	b.Implements = sortedInterfaces(l.resolve(message.Desc, at, true, "implements", declared.GetImplements()))
	if len(declared.GetImplements()) == 0 {
		l.mistakes.add(message.Desc, backendSteps, "%s implements nothing; list the interfaces that it offers", b.Name)
	}
	l.checkRequired(message.Desc, at, b.Name, "implements", b.Implements)
	if b.Implementability > 100 {
		l.mistakes.add(message.Desc, extend(backendSteps, stepImplementability), "implementability of %s is %d; it is 0 to 100", b.Name, b.Implementability)
	}
	l.schema.Backends = append(l.schema.Backends, b)
}
