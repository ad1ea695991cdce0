package emit

import (
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// Patterns writes, for the patterns that a file declares, their typed slots and the check of what fills them.
func Patterns(schema *model.Schema, file *model.File) []Output {
	f := newFile(schema, file.Package, file.Path)
	found := false
	for _, pattern := range schema.Patterns {
		if declares(file, pattern.Config) {
			found = true
			e := patternEmitter{f, pattern, prismPackage(schema.Params).Path}
			e.slots()
			e.constructor()
			e.fillByName()
			for _, slot := range pattern.Slots {
				e.slot(slot)
				e.fill(slot)
			}
		}
	}
	if !found {
		return nil
	}
	return []Output{goOutput(schema, file.Package, baseName(file, patternSuffix(schema, file)), f)}
}

// patternSuffix ends the name of a file's Go file. Where the file declares a backend too, the plain name is taken by that.
func patternSuffix(schema *model.Schema, file *model.File) string {
	if slices.ContainsFunc(schema.Backends, func(b *model.Backend) bool { return declares(file, b.Config) }) {
		return ".pattern.prism.go"
	}
	return ".prism.go"
}

// patternEmitter writes what belongs to one pattern.
type patternEmitter struct {
	f       *jen.File
	pattern *model.Pattern
	// prism is the import path of the package prism.
	prism string
}

func (e patternEmitter) slotsName() string { return slotsName(e.pattern) }

// slotsName is the type of a pattern's slots.
func slotsName(pattern *model.Pattern) string { return pattern.Config.Go.Name + "Slots" }

func (e patternEmitter) slotName(slot *model.Slot) string {
	return e.pattern.Config.Go.Name + slot.Field.GoName + "Slot"
}

// slots is the struct that a pattern's author reads the slots from.
func (e patternEmitter) slots() {
	var fields []jen.Code
	for _, slot := range e.pattern.Slots {
		doc, fieldType := slot.Field.Doc, jen.Id(e.slotName(slot))
		if slot.MayBeEmpty {
			doc, fieldType = paragraphs(doc, "It is nil when the slot is empty."), jen.Op("*").Id(e.slotName(slot))
		}
		fields = append(fields, comment(doc), jen.Id(slot.Field.GoName).Add(fieldType))
	}
	declare(e.f, e.slotsName()+" are the slots of "+e.pattern.Name+".", jen.Type().Id(e.slotsName()).Struct(fields...))
}

// slot is the struct of one slot: what the pattern may use of what fills it.
func (e patternEmitter) slot(slot *model.Slot) {
	var fields []jen.Code
	for _, i := range slotInterfaces(slot) {
		fields = append(fields, comment(slotFieldDoc(slot, i)), jen.Id(i.Field()).Add(contractType(i)))
	}
	fields = append(fields,
		comment("Interfaces is everything that fills the slot."),
		jen.Id("Interfaces").Op("*").Qual(e.prism, "Interfaces"))
	name := e.slotName(slot)
	declare(e.f, paragraphs(name+" is what "+e.pattern.Name+" uses of its slot "+slot.Field.Name+".", slot.Field.Doc),
		jen.Type().Id(name).Struct(fields...))
}

// slotInterfaces are the interfaces that a slot names, each once: required, optional, any of.
func slotInterfaces(slot *model.Slot) []*model.Interface {
	var all []*model.Interface
	for _, i := range slices.Concat(slot.Required, slot.Optional, slot.AnyOf) {
		if !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	return all
}

func slotFieldDoc(slot *model.Slot, i *model.Interface) string {
	switch {
	case slices.Contains(slot.Required, i):
		return i.Field() + " is " + i.CatalogName + ", which is required: never nil."
	case slices.Contains(slot.AnyOf, i):
		return i.Field() + " is " + i.CatalogName + "; nil when it is not offered. At least one of " + listed(catalogNames(slot.AnyOf)) + " is not nil."
	}
	return i.Field() + " is " + i.CatalogName + ", which is optional: nil when it is not offered."
}

// constructor fills the slots and refuses what does not fit.
func (e patternEmitter) constructor() {
	if len(e.pattern.Slots) == 0 {
		declare(e.f, "New"+e.slotsName()+" has nothing to fill.",
			jen.Func().Id("New"+e.slotsName()).Params().Params(jen.Id(e.slotsName()), jen.Error()).Block(jen.Return(jen.Id(e.slotsName()).Values(), jen.Nil())))
		return
	}
	var params []jen.Code
	body := []jen.Code{jen.Var().Id("slots").Id(e.slotsName()), jen.Var().Id("problems").Index().String()}
	for _, slot := range e.pattern.Slots {
		param := paramName(slot.Field.GoName, append([]string{"slots", "problems"}, importedNames...)...)
		params = append(params, jen.Id(param))
		body = append(body, e.fillCall(slot, param)...)
	}
	failed := jen.Qual(faultPath, "New").Call(jen.Qual(faultPath, "FailedPrecondition"), jen.Lit("%s"), jen.Qual("strings", "Join").Call(jen.Id("problems"), jen.Lit("\n")))
	body = append(body,
		jen.If(jen.Len(jen.Id("problems")).Op(">").Lit(0)).Block(jen.Return(jen.Id(e.slotsName()).Values(), failed)),
		jen.Return(jen.Id("slots"), jen.Nil()))
	declare(e.f, "New"+e.slotsName()+" takes what fills each slot; nil leaves one empty.\n"+
		"When something is missing, the error is FAILED_PRECONDITION and names every slot and every interface, one to a line.",
		jen.Func().Id("New"+e.slotsName()).Params(jen.List(params...).Op("*").Qual(e.prism, "Interfaces")).Params(jen.Id(e.slotsName()), jen.Error()).Block(body...))
}

// fillByName is the constructor as the gateway calls it, which knows slots by their names only.
func (e patternEmitter) fillByName() {
	var args []jen.Code
	for _, slot := range e.pattern.Slots {
		args = append(args, jen.Qual(e.prism, "From").Call(jen.Id("fillings").Index(jen.Lit(slot.Field.Name))))
	}
	declare(e.f, "Fill"+e.slotsName()+" is New"+e.slotsName()+" of what fills each slot, by the slot's name.",
		jen.Func().Id("Fill"+e.slotsName()).Params(jen.Id("fillings").Map(jen.String()).Qual(rpcPath, "Offering")).Params(jen.Id(e.slotsName()), jen.Error()).Block(
			jen.Return(jen.Id("New"+e.slotsName()).Call(args...))))
}

// fillCall fills one slot in the constructor.
func (e patternEmitter) fillCall(slot *model.Slot, param string) []jen.Code {
	field := func() *jen.Statement { return jen.Id("slots").Dot(slot.Field.GoName) }
	fill := jen.Id("problems").Op("=").Append(jen.Id("problems"), field().Dot("fill").Call(jen.Id(param)).Op("..."))
	if !slot.MayBeEmpty {
		return []jen.Code{fill}
	}
	return []jen.Code{jen.If(jen.Id(param).Op("!=").Nil()).Block(field().Op("=").New(jen.Id(e.slotName(slot))), fill)}
}

// fill is the method that fills one slot and says what is missing.
func (e patternEmitter) fill(slot *model.Slot) {
	var body []jen.Code
	if !slot.MayBeEmpty {
		empty := e.problem(slot, "is empty", "fill it with a backend or a pattern"+offering(slot))
		body = append(body, jen.If(jen.Id("filling").Op("==").Nil()).Block(jen.Return(jen.Index().String().Values(jen.Lit(empty)))))
	}
	values := jen.Dict{jen.Id("Interfaces"): jen.Id("filling")}
	for _, i := range slotInterfaces(slot) {
		values[jen.Id(i.Field())] = jen.Id("filling").Dot(i.Field())
	}
	body = append(body, jen.Op("*").Id("s").Op("=").Id(e.slotName(slot)).Values(values))
	checks := e.checks(slot)
	if len(checks) == 0 {
		body = append(body, jen.Return(jen.Nil()))
	} else {
		body = append(body, jen.Var().Id("problems").Index().String())
		body = append(body, checks...)
		body = append(body, jen.Return(jen.Id("problems")))
	}
	declare(e.f, "fill takes what the pattern uses of what fills the slot, and says what is missing.",
		jen.Func().Params(jen.Id("s").Op("*").Id(e.slotName(slot))).Id("fill").Params(jen.Id("filling").Op("*").Qual(e.prism, "Interfaces")).Index().String().Block(body...))
}

// checks are the statements that look for what a slot needs.
func (e patternEmitter) checks(slot *model.Slot) []jen.Code {
	var checks []jen.Code
	missing := func(condition jen.Code, problem string) {
		checks = append(checks, jen.If(condition).Block(jen.Id("problems").Op("=").Append(jen.Id("problems"), jen.Lit(problem))))
	}
	for _, i := range slot.Required {
		missing(jen.Id("s").Dot(i.Field()).Op("==").Nil(),
			e.problem(slot, "needs "+i.CatalogName, "what fills it does not offer that; fill it with a backend or a pattern that does"))
	}
	if len(slot.AnyOf) > 0 {
		none := jen.Null()
		for n, i := range slot.AnyOf {
			if n > 0 {
				none.Op("&&")
			}
			none.Id("s").Dot(i.Field()).Op("==").Nil()
		}
		missing(none, e.problem(slot, "needs one of "+listed(catalogNames(slot.AnyOf)), "what fills it offers none of them; fill it with a backend or a pattern that does"))
	}
	return checks
}

func (e patternEmitter) problem(slot *model.Slot, wrong, right string) string {
	return "pattern " + e.pattern.Name + ": slot " + slot.Field.Name + " " + wrong + "; " + right
}

// offering says what a slot needs, as the end of a sentence.
func offering(slot *model.Slot) string {
	var needs []string
	if len(slot.Required) > 0 {
		needs = append(needs, listed(catalogNames(slot.Required)))
	}
	if len(slot.AnyOf) > 0 {
		needs = append(needs, "one of "+listed(catalogNames(slot.AnyOf)))
	}
	if len(needs) == 0 {
		return ""
	}
	return " that offers " + strings.Join(needs, " and ")
}

// catalogNames are the names of interfaces.
func catalogNames(interfaces []*model.Interface) []string {
	names := make([]string, len(interfaces))
	for n, i := range interfaces {
		names[n] = i.CatalogName
	}
	return names
}

// listed lists names in a sentence: "a, b and c".
func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
