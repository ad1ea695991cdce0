package emit

import (
	"path"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Suites writes the list of conformance suites: one for each interface that a backend implements.
func Suites(schema *model.Schema) []Output {
	interfaces := implemented(schema)
	if len(interfaces) == 0 || schema.Params.Conformance == "" {
		return nil
	}
	pkg := suitesPackage(schema.Params)
	f := newFile(schema, pkg, "")
	f.PackageComment("Package suites is every conformance suite, for tests. It has the suites of exactly the interfaces that a backend implements.")
	e := suitesEmitter{f, schema, interfaces}
	e.run()
	e.list()
	return []Output{goOutput(schema, pkg, "suites.go", f)}
}

// implemented are the interfaces to generate code for that at least one backend implements, sorted by catalog name.
func implemented(schema *model.Schema) []*model.Interface {
	var interfaces []*model.Interface
	for _, i := range schema.Interfaces {
		byBackend := func(b *model.Backend) bool { return slices.Contains(b.Implements, i) }
		if i.Generate && slices.ContainsFunc(schema.Backends, byBackend) {
			interfaces = append(interfaces, i)
		}
	}
	return interfaces
}

// suitesEmitter writes the package suites.
type suitesEmitter struct {
	f          *jen.File
	schema     *model.Schema
	interfaces []*model.Interface
}

func (e suitesEmitter) open() *jen.Statement {
	return jen.Id("open").Func().Params(testParam()).Op("*").Qual(prismPackage(e.schema.Params).Path, "Interfaces")
}

func testParam() *jen.Statement { return jen.Id("t").Op("*").Qual("testing", "T") }

// call calls the hand-written suite of an interface.
func (e suitesEmitter) call(i *model.Interface) *jen.Statement {
	name := strings.ToLower(i.ModelName) + "test"
	suite := path.Join(e.schema.Params.Conformance, name)
	importAs(e.f, suite, name)
	return jen.Qual(suite, i.GoFlavour).Call(jen.Id("t"), jen.Id("open"))
}

func (e suitesEmitter) run() {
	run := jen.Func().Params(testParam()).Block(jen.Id("suite").Dot("Run").Call(jen.Id("t"), jen.Id("open")))
	offered := jen.Qual("slices", "Contains").Call(jen.Id("offered"), jen.Id("suite").Dot("Interface"))
	declare(e.f, "Run runs the conformance suite of every interface that open's value offers, as a subtest named after the interface.\n"+
		"A suite calls open for itself, as often as it needs a fresh value; what is offered must be the same each time.",
		jen.Func().Id("Run").Params(testParam(), e.open()).Block(
			jen.Id("t").Dot("Helper").Call(),
			jen.Id("offered").Op(":=").Id("open").Call(jen.Id("t")).Dot("Names").Call(),
			jen.For(jen.List(jen.Id("_"), jen.Id("suite")).Op(":=").Range().Id("List").Call()).Block(
				jen.If(offered).Block(jen.Id("t").Dot("Run").Call(jen.Id("suite").Dot("Interface"), run)))))
}

func (e suitesEmitter) list() {
	declare(e.f, "Suite is the conformance suite of one interface.", jen.Type().Id("Suite").Struct(
		comment("Interface is the catalog name of the interface."),
		jen.Id("Interface").String(),
		comment("Run runs the suite against what open returns."),
		jen.Id("Run").Func().Params(testParam(), e.open())))
	var suites []jen.Code
	for _, i := range e.interfaces {
		suites = append(suites, jen.Values(jen.Lit(i.CatalogName), jen.Func().Params(testParam(), e.open()).Block(e.call(i))))
	}
	declare(e.f, "List returns every suite, sorted by the names of the interfaces.",
		jen.Func().Id("List").Params().Index().Id("Suite").Block(jen.Return(jen.Index().Id("Suite").Add(literal(suites...)))))
}
