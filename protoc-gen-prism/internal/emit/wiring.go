package emit

import (
	"path"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Wiring writes the one place that imports the packages which the authors of backends and patterns write.
func Wiring(schema *model.Schema) []Output {
	pkg := wiringPackage(schema.Params)
	f := newFile(schema, pkg, "")
	f.PackageComment("Package wiring joins what the schema declares with the code that implements it.")
	var backends, patterns []jen.Code
	if schema.Params.Backends != "" {
		for _, backend := range schema.Backends {
			backends = append(backends, jen.Qual(backendPath, "Of").Call(jen.Lit(backend.Name), open(f, schema.Params.Backends, backend.Name)))
		}
	}
	if schema.Params.Patterns != "" {
		for _, pattern := range schema.Patterns {
			fill := jen.Qual(pattern.Package.Path, "Fill"+slotsName(pattern))
			patterns = append(patterns, jen.Qual(patternPath, "Of").Call(jen.Lit(pattern.Name), fill, open(f, schema.Params.Patterns, pattern.Name)))
		}
	}
	if len(backends)+len(patterns) == 0 {
		return nil
	}
	typesFunc(f, "Backends", "backend", backendPath, backends)
	typesFunc(f, "Patterns", "pattern", patternPath, patterns)
	return []Output{goOutput(schema, pkg, "wiring.go", f)}
}

// open is the function Open of the package that an author writes below a path.
func open(f *jen.File, below, name string) jen.Code {
	name = strings.ReplaceAll(name, "-", "")
	leaf := path.Join(below, name)
	importAs(f, leaf, name)
	return jen.Qual(leaf, "Open")
}

// typesFunc is the function that returns all backends or all patterns, where there are any.
func typesFunc(f *jen.File, function, what, runtimePackage string, all []jen.Code) {
	if len(all) == 0 {
		return
	}
	declare(f, function+" returns every "+what+" of this build.",
		jen.Func().Id(function).Params().Index().Qual(runtimePackage, "Type").Block(
			jen.Return(jen.Index().Qual(runtimePackage, "Type").Add(literal(all...)))))
}
