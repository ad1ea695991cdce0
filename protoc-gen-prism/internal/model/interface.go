package model

import (
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"

	optionsv1 "github.com/prismgate/prism/gen/go/prism/options/v1"
)

// interfaceSteps lead from a service to the option that makes it an interface.
var interfaceSteps = []int32{3, 51980}

// The numbers of the option's fields.
const (
	stepModel    = 1
	stepFlavour  = 2
	stepRequires = 3
	stepKind     = 4
)

func interfaceOption(service *protogen.Service) *optionsv1.Interface {
	return option[*optionsv1.Interface](service.Desc, optionsv1.E_Interface)
}

// loadInterface makes the interface that a service declares.
func (l *loader) loadInterface(file *File, source *protogen.File, service *protogen.Service, declared *optionsv1.Interface) {
	i := &Interface{
		Service:      l.loadService(file, source, service),
		CatalogName:  strings.ToLower(declared.GetModel()) + "_" + declared.GetFlavour(),
		ModelName:    declared.GetModel(),
		Flavour:      declared.GetFlavour(),
		Kind:         Kind(declared.GetKind()),
		Alternatives: declared.GetAlternatives(),
		Generate:     source.Generate,
		Hash:         hashOf(service.Desc),
	}
	i.GoFlavour = strings.TrimSuffix(strings.TrimPrefix(i.Name, i.ModelName), "Interface")
	i.GoName = i.GoFlavour
	l.origins[i] = service.Desc
	file.Interfaces = append(file.Interfaces, i)
	if source.Generate {
		l.checkInterface(source, service, i)
		for n, method := range service.Methods {
			l.checkContractMethod(i, method, i.Methods[n])
		}
	}
	if former, ok := l.interfaces[i.CatalogName]; ok {
		l.mistakes.add(service.Desc, interfaceSteps, "the interface %s is declared twice, also by %s; catalog names are unique", i.CatalogName, former.FullName)
		return
	}
	if source.Generate {
		l.checkEmitted(service, i.RPCPackage, append(i.emitted(), i.GuardFunc()))
	}
	l.interfaces[i.CatalogName] = i
	l.schema.Interfaces = append(l.schema.Interfaces, i)
}

// checkInterface holds the service's option, name, package and file to each other.
func (l *loader) checkInterface(source *protogen.File, service *protogen.Service, i *Interface) {
	add := func(step int32, format string, args ...any) {
		l.mistakes.add(service.Desc, append(slices.Clone(interfaceSteps), step), format, args...)
	}
	if i.Doc == "" {
		l.mistakes.add(service.Desc, nil, "%s has no comment; write the contract that holds for all its RPCs", i.Name)
	}
	if len(i.Methods) == 0 {
		l.mistakes.add(service.Desc, nil, "%s has no RPC, so that it says nothing; declare its RPCs, or delete it", i.Name)
	}
	if i.Kind != KindCore && i.Kind != KindExtension && i.Kind != KindSlot {
		add(stepKind, "%s does not say its kind; give KIND_CORE, KIND_EXTENSION or KIND_SLOT", i.Name)
	}
	wrong := false
	if !modelSyntax.MatchString(i.ModelName) {
		wrong = true
		add(stepModel, "model %q is not a name; write the data model as in Go, as in \"KeyValue\"", i.ModelName)
	}
	if !flavourSyntax.MatchString(i.Flavour) {
		wrong = true
		add(stepFlavour, "flavour %q is not a name; write it in snake case, as in \"consumer_groups\"", i.Flavour)
	}
	if wrong {
		return
	}
	if model := packageModel(string(source.Desc.Package())); model != strings.ToLower(i.ModelName) {
		add(stepModel, "model %q does not belong to package %s; the package of its interfaces has the part %q before the version", i.ModelName, source.Desc.Package(),
			strings.ToLower(i.ModelName))
	}
	l.checkServiceName(service, i)
	if base := strings.TrimSuffix(path.Base(source.Desc.Path()), ".proto"); base != i.CatalogName {
		l.mistakes.add(service.Desc, nil, "%s is declared in %s.proto; its file is named after the catalog name: %s.proto", i.Name, base, i.CatalogName)
	}
}

// checkServiceName allows for initialisms: the flavour "ttl" is TTL in the name.
func (l *loader) checkServiceName(service *protogen.Service, i *Interface) {
	right := i.ModelName + camel(i.Flavour) + "Interface"
	flavour, ok := strings.CutPrefix(i.Name, i.ModelName)
	flavour, suffixed := strings.CutSuffix(flavour, "Interface")
	if !ok || !suffixed || !strings.EqualFold(flavour, camel(i.Flavour)) || !modelSyntax.MatchString(flavour) {
		l.mistakes.add(service.Desc, nil, "%s does not fit model %q and flavour %q; name it %s (initialisms in capitals)", i.Name, i.ModelName, i.Flavour, right)
	}
}

// camel is a snake-case name in camel case.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// resolveRequires finds the interfaces that interfaces require.
func (l *loader) resolveRequires() {
	slices.SortFunc(l.schema.Interfaces, byName(func(i *Interface) string { return i.CatalogName }))
	for _, i := range l.schema.Interfaces {
		at := l.origins[i]
		declared := option[*optionsv1.Interface](at, optionsv1.E_Interface).GetRequires()
		i.Requires = l.resolve(at, append(slices.Clone(interfaceSteps), stepRequires), i.Generate, "requires", declared)
		if slices.Contains(i.Requires, i) {
			l.mistakes.add(at, append(slices.Clone(interfaceSteps), stepRequires), "%s requires itself; leave it out", i.CatalogName)
		}
	}
}

// groupModels groups the interfaces by data model and keeps the names of a model's RPCs apart: a backend has one Go type per data model.
func (l *loader) groupModels() {
	models := make(map[string]*DataModel)
	methods := make(map[string]*Interface)
	for _, i := range l.schema.Interfaces {
		lower := strings.ToLower(i.ModelName)
		model, ok := models[lower]
		if !ok {
			model = &DataModel{Name: i.ModelName, Lower: lower}
			models[lower] = model
			l.schema.DataModels = append(l.schema.DataModels, model)
		}
		model.Interfaces = append(model.Interfaces, i)
		for _, m := range i.Methods {
			key := lower + "." + m.GoName
			if former, ok := methods[key]; ok && i.Generate {
				l.mistakes.add(l.origins[m], nil, "the RPC %s is in %s already; the RPCs of one data model have distinct names, because a backend implements them on one Go type",
					m.Name, former.CatalogName)
			}
			methods[key] = i
		}
	}
	slices.SortFunc(l.schema.DataModels, byName(func(m *DataModel) string { return m.Name }))
}
