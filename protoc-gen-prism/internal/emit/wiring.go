package emit

import (
	"path"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Wiring writes the one place that imports the packages which backends' authors write.
func Wiring(schema *model.Schema) []Output {
	if len(schema.Backends) == 0 || schema.Params.Backends == "" {
		return nil
	}
	pkg := wiringPackage(schema.Params)
	f := newFile(schema, pkg, "")
	f.PackageComment("Package wiring joins what the schema declares with the code that implements it.")
	var types []jen.Code
	for _, backend := range schema.Backends {
		name := strings.ReplaceAll(backend.Name, "-", "")
		leaf := path.Join(schema.Params.Backends, name)
		importAs(f, leaf, name)
		types = append(types, jen.Qual(backendPath, "Of").Call(jen.Lit(backend.Name), jen.Qual(leaf, "Open")))
	}
	declare(f, "Backends returns every backend of this build.",
		jen.Func().Id("Backends").Params().Index().Qual(backendPath, "Type").Block(
			jen.Return(jen.Index().Qual(backendPath, "Type").Add(literal(types...)))))
	return []Output{goOutput(schema, pkg, "wiring.go", f)}
}
