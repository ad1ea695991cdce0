package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Registry writes what the files declare as data: interfaces, backends and patterns.
func Registry(schema *model.Schema) []Output {
	pkg := registryPackage(schema.Params)
	e := registryEmitter{newFile(schema, pkg, "")}
	var interfaces, backends, patterns []jen.Code
	for _, i := range schema.Interfaces {
		if i.Generate {
			interfaces = append(interfaces, e.declareInterface(i))
		}
	}
	for _, backend := range schema.Backends {
		backends = append(backends, e.declareBackend(backend))
	}
	for _, pattern := range schema.Patterns {
		patterns = append(patterns, e.declarePattern(pattern))
	}
	if len(interfaces)+len(backends)+len(patterns) == 0 {
		return nil
	}
	e.f.PackageComment("Package registry is what the schema declares, as data: interfaces, backends and patterns.")
	catalog := jen.Qual(catalogPath, "New").Call(
		entries("Interface", interfaces), entries("Backend", backends), entries("Pattern", patterns))
	declare(e.f, "Catalog returns what the schema declares.",
		jen.Func().Id("Catalog").Params().Params(jen.Op("*").Qual(catalogPath, "Catalog"), jen.Error()).Block(jen.Return(catalog)))
	return []Output{goOutput(schema, pkg, "registry.go", e.f)}
}

// entries is a slice of catalog entries.
func entries(kind string, all []jen.Code) jen.Code {
	if len(all) == 0 {
		return jen.Nil()
	}
	return jen.Index().Qual(catalogPath, kind).Add(literal(all...))
}

// registryEmitter declares a function for each entry and returns the call of it.
type registryEmitter struct{ f *jen.File }

func (e registryEmitter) declare(name, kind string, body ...jen.Code) jen.Code {
	function := model.Unexported(name) + kind
	e.f.Line().Func().Id(function).Params().Qual(catalogPath, kind).Block(body...)
	return jen.Id(function).Call()
}

func (e registryEmitter) declareInterface(i *model.Interface) jen.Code {
	var fields fieldList
	fields.text("Name", i.CatalogName)
	fields.text("Model", i.ModelName)
	fields.text("Flavour", i.Flavour)
	fields.text("Service", i.FullName)
	fields.add("Kind", jen.Qual(catalogPath, kindConstant(i.Kind)))
	fields.texts("Requires", catalogNames(i.Requires))
	fields.flag("Alternatives", i.Alternatives)
	fields.text("Doc", i.Doc)
	var rpcs []jen.Code
	for n, m := range i.Methods {
		rpcs = append(rpcs, rpcEntry(jen.Id("methods").Index(jen.Lit(n)), m))
	}
	fields.add("RPCs", jen.Index().Qual(catalogPath, "RPC").Add(literal(rpcs...)))
	fields.text("Hash", i.Hash)
	return e.declare(i.Field(), "Interface",
		jen.Id("methods").Op(":=").Qual(i.RPCPackage.Path, i.MethodsFunc()).Call(),
		jen.Return(jen.Qual(catalogPath, "Interface").Add(literal(fields...))))
}

func kindConstant(kind model.Kind) string {
	switch kind {
	case model.KindExtension:
		return "Extension"
	case model.KindSlot:
		return "SlotKind"
	default:
		return "Core"
	}
}

func rpcEntry(method jen.Code, m *model.Method) jen.Code {
	var args []string
	for _, field := range m.Args {
		args = append(args, field.Name)
	}
	var fields fieldList
	fields.text("Name", m.Name)
	fields.text("Doc", m.Doc)
	fields.texts("Args", args)
	fields.add("Method", method)
	return literal(fields...)
}

func (e registryEmitter) declareBackend(backend *model.Backend) jen.Code {
	var models []string
	for _, m := range backendModels(backend) {
		models = append(models, m.Name)
	}
	var fields fieldList
	fields.text("Name", backend.Name)
	fields.texts("Implements", catalogNames(backend.Implements))
	fields.texts("Models", models)
	fields.add("Implementability", jen.Lit(backend.Implementability))
	fields.text("Doc", backend.Config.Doc)
	fields.config(backend.Config)
	return e.declare(backend.Config.Go.Name, "Backend", jen.Return(jen.Qual(catalogPath, "Backend").Add(literal(fields...))))
}

func (e registryEmitter) declarePattern(pattern *model.Pattern) jen.Code {
	var fields fieldList
	fields.text("Name", pattern.Name)
	fields.text("Version", pattern.Version)
	fields.text("Doc", pattern.Config.Doc)
	if len(pattern.Slots) > 0 {
		var slots []jen.Code
		for _, slot := range pattern.Slots {
			slots = append(slots, slotEntry(slot))
		}
		fields.add("Slots", jen.Index().Qual(catalogPath, "Slot").Add(literal(slots...)))
	}
	fields.texts("Offers", catalogNames(pattern.Offers))
	fields.text("OffersSlot", pattern.OffersSlot)
	if len(pattern.Services) > 0 {
		var services []jen.Code
		for _, service := range pattern.Services {
			services = append(services, serviceEntry(service))
		}
		fields.add("Services", jen.Index().Qual(catalogPath, "Service").Add(literal(services...)))
	}
	fields.config(pattern.Config)
	return e.declare(pattern.Config.Go.Name, "Pattern", jen.Return(jen.Qual(catalogPath, "Pattern").Add(literal(fields...))))
}

// serviceEntry is a service that a pattern offers.
func serviceEntry(service *model.Service) jen.Code {
	var fields fieldList
	fields.text("Name", service.FullName)
	fields.text("Doc", service.Doc)
	var rpcs []jen.Code
	for n, m := range service.Methods {
		rpcs = append(rpcs, rpcEntry(jen.Qual(service.RPCPackage.Path, service.MethodsFunc()).Call().Index(jen.Lit(n)), m))
	}
	fields.add("RPCs", jen.Index().Qual(catalogPath, "RPC").Add(literal(rpcs...)))
	return literal(fields...)
}

func slotEntry(slot *model.Slot) jen.Code {
	var fields fieldList
	fields.text("Name", slot.Field.Name)
	fields.text("Doc", slot.Field.Doc)
	fields.texts("Required", catalogNames(slot.Required))
	fields.texts("Optional", catalogNames(slot.Optional))
	fields.texts("AnyOf", catalogNames(slot.AnyOf))
	fields.texts("Recommended", slot.Recommended)
	fields.flag("MayBeEmpty", slot.MayBeEmpty)
	if slot.OptionalWhileEmpty != "" {
		fields.text("OptionalWhileEmpty", slot.OptionalWhileEmpty)
	}
	return literal(fields...)
}

// newMessage is a function that returns an empty message.
func newMessage(message *model.Message) jen.Code {
	return jen.Func().Params().Qual(protoPath, "Message").Add(returning(jen.New(ident(message.Go))))
}

// fieldList is the fields of a composite literal; those with nothing to say are left out.
type fieldList []jen.Code

func (l *fieldList) add(name string, value jen.Code) { *l = append(*l, keyed(name, value)) }

func (l *fieldList) text(name, text string) {
	if text != "" {
		l.add(name, jen.Lit(text))
	}
}

// config adds how a configuration message is made, what the schema comments on it, and how it is checked where there is something to check.
func (l *fieldList) config(message *model.Message) {
	l.add("NewConfig", newMessage(message))
	l.add("Comments", jen.Qual(message.Go.Path, model.CommentsFunc))
	if message.Constrained() {
		l.add("Check", jen.Qual(catalogPath, "CheckOf").Call(ident(message.Check)))
	}
}

func (l *fieldList) flag(name string, set bool) {
	if set {
		l.add(name, jen.True())
	}
}

func (l *fieldList) texts(name string, texts []string) {
	if len(texts) == 0 {
		return
	}
	values := make([]jen.Code, len(texts))
	for n, text := range texts {
		values[n] = jen.Lit(text)
	}
	l.add(name, jen.Index().String().Values(values...))
}
