package emit

import (
	"fmt"
	"slices"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Contract writes what a proto file adds to the package of its messages: the contracts of its interfaces and the role visitors of its messages. It imports
// nothing but other messages, so that a backend depends on no transport.
func Contract(schema *model.Schema, file *model.File) []Output {
	visitors := fileVisitors(file)
	if len(file.Interfaces) == 0 && len(visitors) == 0 {
		return nil
	}
	f := newFile(schema, file.Package, file.Path)
	for _, i := range file.Interfaces {
		declare(f, contractDoc(i, file), jen.Type().Id(i.GoFlavour).Interface(contractMethods(&i.Service)...))
	}
	for _, v := range visitors {
		declare(f, v.doc(), v.method())
	}
	return []Output{goOutput(schema, file.Package, contractName(schema, file), f)}
}

// contractName is the name of a file's Go file. Where the file declares a backend or a pattern, the plain name is taken by its types.
func contractName(schema *model.Schema, file *model.File) string {
	backend := slices.ContainsFunc(schema.Backends, func(b *model.Backend) bool { return declares(file, b.Config) })
	pattern := slices.ContainsFunc(schema.Patterns, func(p *model.Pattern) bool { return declares(file, p.Config) })
	if backend || pattern {
		return baseName(file, ".roles.prism.go")
	}
	return baseName(file, ".prism.go")
}

func contractDoc(i *model.Interface, file *model.File) string {
	return paragraphs(
		renamed(i.Doc, i.Name, i.GoFlavour),
		fmt.Sprintf("%s is the contract of %s, generated from %s.proto.", i.GoFlavour, i.CatalogName, file.Path),
	)
}

// contractMethods are the methods of a service's Go interface, with the contract as their comments.
func contractMethods(service *model.Service) []jen.Code {
	var methods []jen.Code
	for n, m := range service.Methods {
		if n > 0 {
			methods = append(methods, jen.Line())
		}
		methods = append(methods, comment(renamed(m.Doc, m.Name, m.GoName)), jen.Id(m.GoName).Add(methodSignature(m)))
	}
	return methods
}
