package model

import (
	"maps"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"

	optionsv1 "github.com/prismgate/prism/gen/go/prism/options/v1"
)

// patternSteps lead from a message to the option that makes it a pattern.
var patternSteps = []int32{7, 51981}

// loadPattern makes the pattern that a configuration message declares.
func (l *loader) loadPattern(source *protogen.File, message *protogen.Message, declared *optionsv1.Pattern) {
	const stepVersion, stepOffers, stepOffersSlot = 2, 3, 4
	rpcName := packageModel(string(source.Desc.Package())) + "rpc"
	p := &Pattern{
		Name:       declared.GetName(),
		Version:    declared.GetVersion(),
		Config:     l.message(message),
		Package:    GoPackage{Path: string(source.GoImportPath), Name: string(source.GoPackageName)},
		OffersSlot: declared.GetOffersSlot(),
		RPCPackage: GoPackage{Path: path.Join(string(source.GoImportPath), rpcName), Name: rpcName},
		Services:   l.resolveServices(message, declared.GetServices()),
	}
	l.checkLeaf(message, patternSteps, "pattern", p.Name)
	if !versionSyntax.MatchString(p.Version) {
		l.mistakes.add(message.Desc, extend(patternSteps, stepVersion), "version %q of %s is not a version; write \"v1\"", p.Version, p.Name)
	}
	l.loadSlots(p, message)
	offers := extend(patternSteps, stepOffers)
	p.Offers = sortedInterfaces(l.resolve(message.Desc, offers, true, "offers", declared.GetOffers()))
	l.checkRequired(message.Desc, offers, p.Name, "offers", p.Offers)
	names := make([]string, len(p.Slots))
	for i, slot := range p.Slots {
		names[i] = slot.Field.Name
	}
	switch {
	case p.OffersSlot == "" && len(declared.GetOffers()) == 0 && len(declared.GetServices()) == 0:
		l.mistakes.add(message.Desc, patternSteps, "%s offers nothing; list interfaces in offers or services in services, or name the slot that it decorates in offers_slot", p.Name)
	case p.OffersSlot != "" && len(declared.GetOffers()) > 0:
		l.mistakes.add(message.Desc, extend(patternSteps, stepOffersSlot), "%s has offers and offers_slot; it offers either what it lists or what the slot holds: leave one out", p.Name)
	case p.OffersSlot != "" && !slices.Contains(names, p.OffersSlot):
		l.mistakes.add(message.Desc, extend(patternSteps, stepOffersSlot), "offers_slot of %s names %q, which is not a slot; %s", p.Name, p.OffersSlot,
			didYouMean(p.OffersSlot, names, "name one of its slots"))
	}
	l.schema.Patterns = append(l.schema.Patterns, p)
}

// offeredServices are the full names that patterns of the files to generate code for may mean by their services: a name stands for itself, and for one in the
// package of the pattern.
func offeredServices(files []*protogen.File) map[string]bool {
	names := make(map[string]bool)
	for _, file := range files {
		for message := range allMessages(file.Messages) {
			if !file.Generate {
				continue
			}
			for _, name := range option[*optionsv1.Pattern](message.Desc, optionsv1.E_Pattern).GetServices() {
				names[name] = true
				names[string(file.Desc.Package())+"."+name] = true
			}
		}
	}
	return names
}

// resolveServices finds the services that a pattern offers, in the order given.
func (l *loader) resolveServices(message *protogen.Message, names []string) []*Service {
	const stepServices = 5
	var found []*Service
	for n, name := range names {
		refuse := func(format string, args ...any) {
			l.mistakes.add(message.Desc, extend(patternSteps, stepServices, int32(n)), format, args...)
		}
		inPackage := string(message.Desc.ParentFile().Package()) + "." + name
		service := l.services[inPackage]
		if service == nil {
			service = l.services[name]
		}
		isInterface := func(i *Interface) bool { return i.FullName == name || i.FullName == inPackage }
		at := slices.IndexFunc(l.schema.Interfaces, isInterface)
		switch {
		case at >= 0:
			refuse("services names %q, which is the interface %s; list %s in offers", name, l.schema.Interfaces[at].CatalogName, l.schema.Interfaces[at].CatalogName)
		case service == nil:
			refuse("services names the unknown service %q; %s", name,
				didYouMean(name, l.serviceNames(message), "write its full name, and declare it in a file that code is generated for"))
		case slices.Contains(found, service):
			refuse("services names %s twice; name it once", service.FullName)
		default:
			found = append(found, service)
		}
	}
	return found
}

// serviceNames are the names that a pattern may call services by, short ones first.
func (l *loader) serviceNames(message *protogen.Message) []string {
	var short, full []string
	for name := range l.services {
		if rest, ok := strings.CutPrefix(name, string(message.Desc.ParentFile().Package())+"."); ok {
			short = append(short, rest)
		}
		full = append(full, name)
	}
	return append(short, full...)
}

// loadSlots makes a pattern's slots.
func (l *loader) loadSlots(p *Pattern, message *protogen.Message) {
	seen := make(map[string]string)
	for _, field := range message.Fields {
		declared := option[*optionsv1.Slot](field.Desc, optionsv1.E_Slot)
		isSlot := typeName(field.Desc) == slotType
		switch {
		case declared == nil && isSlot:
			l.mistakes.add(field.Desc, nil, "%s.%s is a %s without the option slot; declare what it requires by (prism.options.v1.slot)", message.Desc.Name(), field.Desc.Name(), slotType)
		case declared != nil && (!isSlot || field.Desc.Cardinality().String() == "repeated"):
			l.mistakes.add(field.Desc, slotSteps, "%s.%s has the option slot and is no single %s; change its type", message.Desc.Name(), field.Desc.Name(), slotType)
		}
		if declared == nil || !isSlot {
			continue
		}
		key := folded(string(field.Desc.Name()))
		if former, ok := seen[key]; ok {
			l.mistakes.add(field.Desc, nil, "the slot %s differs from %s in case or underscores only; give it a name of its own", field.Desc.Name(), former)
		}
		seen[key] = string(field.Desc.Name())
		p.Slots = append(p.Slots, l.slot(p, field, declared))
	}
	l.checkOptionalWhileEmpty(p)
}

// checkOptionalWhileEmpty looks at what slots say about each other.
func (l *loader) checkOptionalWhileEmpty(p *Pattern) {
	const stepOptionalWhileEmpty = 6
	for _, slot := range p.Slots {
		other := slot.OptionalWhileEmpty
		if other != "" && !slices.ContainsFunc(p.Slots, func(s *Slot) bool { return s.Field.Name == other && s.MayBeEmpty && s != slot }) {
			l.mistakes.add(l.origins[slot], extend(slotSteps, stepOptionalWhileEmpty),
				"optional_while_empty of the slot %s names %q, which is no other slot of the pattern that may be empty; name one, or leave it out", slot.Field.Name, other)
		}
	}
}

func (l *loader) slot(p *Pattern, field *protogen.Field, declared *optionsv1.Slot) *Slot {
	const stepRequiredOnes, stepOptional, stepAnyOf = 1, 2, 3
	s := &Slot{
		Field:       p.Config.field(string(field.Desc.Name())),
		Required:    l.resolve(field.Desc, extend(slotSteps, stepRequiredOnes), true, "required", declared.GetRequired()),
		Optional:    l.resolve(field.Desc, extend(slotSteps, stepOptional), true, "optional", declared.GetOptional()),
		AnyOf:       l.resolve(field.Desc, extend(slotSteps, stepAnyOf), true, "any_of", declared.GetAnyOf()),
		Recommended: declared.GetRecommendedBackends(),
		MayBeEmpty:  declared.GetMayBeEmpty(),

		OptionalWhileEmpty: declared.GetOptionalWhileEmpty(),
	}
	l.origins[s] = field.Desc
	lists := map[*Interface]string{}
	for _, list := range []struct {
		name       string
		interfaces []*Interface
	}{{"required", s.Required}, {"optional", s.Optional}, {"any_of", s.AnyOf}} {
		for _, i := range list.interfaces {
			if former, ok := lists[i]; ok {
				l.mistakes.add(field.Desc, slotSteps, "the slot %s names %s in %s and in %s; name it in one of them", s.Field.Name, i.CatalogName, former, list.name)
			}
			lists[i] = list.name
		}
	}
	return s
}

// checkRecommended looks at the backends that slots recommend. They need not be in sight, so that a name is wrong only when it is none, or when it is near that
// of a backend that is.
func (l *loader) checkRecommended() {
	const stepRecommended = 4
	known := slices.Sorted(maps.Keys(l.backends))
	for _, pattern := range l.schema.Patterns {
		for _, slot := range pattern.Slots {
			for n, name := range slot.Recommended {
				wrong := "is not declared"
				if !leafSyntax.MatchString(name) {
					wrong = "is not a name"
				} else if l.backends[name] || !misspelled(name, known) {
					continue
				}
				l.mistakes.add(l.origins[slot], extend(slotSteps, stepRecommended, int32(n)), "recommended_backends names %q, which %s; %s", name, wrong,
					didYouMean(name, known, "write the backend's catalog name, in lower case with hyphens, as in \"corner-shop\""))
			}
		}
	}
}
