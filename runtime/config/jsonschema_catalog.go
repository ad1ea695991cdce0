package config

import (
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
)

// definition returns the definition of a message, which is referred to already.
func (d *describer) definition(name string) object {
	definition, _ := d.definitions[name].(object)
	return definition
}

// property returns what is said of a field in a definition.
func property(definition object, name string) object {
	properties, _ := definition["properties"].(object)
	described, _ := properties[name].(object)
	return described
}

// add adds conditions that a definition has to meet as well.
func add(definition object, conditions ...any) {
	all, _ := definition["allOf"].([]any)
	if all = append(all, conditions...); len(all) > 0 {
		definition["allOf"] = all
	}
}

// when demands something of an object whose field has a value.
func when(field, value string, then object) object {
	return object{"if": object{"properties": object{field: object{"const": value}}, "required": []any{field}}, "then": then}
}

// backends says which backends there are, and what each is configured with.
func (d *describer) backends(known *catalog.Catalog) {
	instance := d.definition("prism.config.v1.BackendInstance")
	untyped := object{"not": object{"required": []any{"type"}}}
	var names []any
	for _, backend := range known.Backends() {
		names = append(names, backend.Name)
		d.addComments(backend.Comments)
		then := object{"properties": object{"config": d.reference(backend.NewConfig().ProtoReflect().Descriptor(), nil)}}
		add(instance, when("type", backend.Name, then))
		add(instance, object{"if": untyped, "then": when("name", backend.Name, then)})
	}
	if names != nil {
		property(instance, "type")["enum"] = append(names, "")
		add(instance, object{"if": untyped, "then": object{"properties": object{"name": object{"enum": names}}}})
	}
}

// patterns says which patterns there are, what each is configured with, and which slots it has.
func (d *describer) patterns(known *catalog.Catalog) {
	uses := []object{d.definition("prism.config.v1.Namespace"), d.definition("prism.config.v1.PatternUse")}
	var names []any
	for _, pattern := range known.Patterns() {
		names = append(names, pattern.Name)
		d.addComments(pattern.Comments)
		for _, use := range uses {
			add(use, when("pattern", pattern.Name, d.pattern(pattern)))
		}
	}
	if names == nil {
		return
	}
	property(uses[0], "pattern")["enum"] = append(names[:len(names):len(names)], "")
	property(uses[1], "pattern")["enum"] = names
}

// pattern describes what stands beside a pattern's name.
func (d *describer) pattern(pattern catalog.Pattern) object {
	slots := make(object)
	filled := make(map[string]bool)
	var required []any
	for _, slot := range pattern.Slots {
		filled[slot.Name] = true
		described := d.reference(new(configv1.Slot).ProtoReflect().Descriptor(), nil)
		described["description"] = slot.Doc
		slots[slot.Name] = described
		if !slot.MayBeEmpty {
			required = append(required, slot.Name)
		}
	}
	described := object{"properties": slots, "additionalProperties": false}
	beside := object{"properties": object{
		"version": object{"enum": []any{pattern.Version, ""}},
		"config":  d.reference(pattern.NewConfig().ProtoReflect().Descriptor(), filled),
		"slots":   described,
	}}
	if required != nil {
		described["required"] = required
		beside["required"] = []any{"slots"}
	}
	return beside
}
