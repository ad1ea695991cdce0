package config

import (
	"bytes"
	"encoding/json"
	"maps"

	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
)

// object is a JSON object. It is written with its keys sorted, so that the schema is the same each time.
type object = map[string]any

// JSONSchema describes configurations to editors: a JSON Schema, draft 2020-12, of what [Load] reads and what the backends and patterns of a catalog are configured with.
//
// What Load refuses and the schema cannot say, it lets pass: names that are not unique, durations that are out of their bounds, and numbers with a unit that are.
func JSONSchema(known *catalog.Catalog) ([]byte, error) {
	d := &describer{comments: configv1.Comments(), definitions: make(object)}
	root := d.message(new(configv1.Config).ProtoReflect().Descriptor(), nil)
	d.backends(known)
	d.patterns(known)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of a Prism gateway"
	root["$defs"] = d.definitions
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// describer writes a schema.
type describer struct {
	// comments are those of messages and fields, by full name.
	comments map[string]string
	// definitions are the messages that are referred to, by full name.
	definitions object
}

// reference refers to the definition of a message, and writes it when it is the first to do so.
func (d *describer) reference(message protoreflect.MessageDescriptor, without map[string]bool) object {
	name := string(message.FullName())
	if _, ok := d.definitions[name]; !ok {
		d.definitions[name] = nil // so that one that holds itself ends
		d.definitions[name] = d.message(message, without)
	}
	return object{"$ref": "#/$defs/" + name}
}

// message describes a message, but for some of its fields.
func (d *describer) message(message protoreflect.MessageDescriptor, without map[string]bool) object {
	properties := make(object)
	var required []any
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		name := string(field.Name())
		if without[name] {
			continue
		}
		properties[name] = d.field(field)
		if mustBeThere(field) {
			required = append(required, name)
		}
	}
	described := object{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		described["required"] = required
	}
	if comment := d.comments[string(message.FullName())]; comment != "" {
		described["description"] = comment
	}
	var choices []any
	for i := range message.Oneofs().Len() {
		if oneof := message.Oneofs().Get(i); !oneof.IsSynthetic() {
			choices = append(choices, choice(oneof))
		}
	}
	if choices != nil {
		described["allOf"] = choices
	}
	return described
}

// choice describes a oneof.
func choice(oneof protoreflect.OneofDescriptor) object {
	var alternatives []any
	for i := range oneof.Fields().Len() {
		alternatives = append(alternatives, object{"required": []any{string(oneof.Fields().Get(i).Name())}})
	}
	if !oneofRules(oneof).GetRequired() {
		alternatives = append(alternatives, object{"not": object{"anyOf": append([]any(nil), alternatives...)}})
	}
	return object{"oneOf": alternatives}
}

// field describes a field.
func (d *describer) field(field protoreflect.FieldDescriptor) object {
	rules := rulesOf(field)
	var described object
	switch {
	case field.IsMap():
		described = object{"type": "object", "additionalProperties": d.single(field.MapValue(), rules.part("values"))}
		if keys := rules.part("keys"); keys.set() {
			described["propertyNames"] = d.single(field.MapKey(), keys)
		}
		rules.copy(described, "min_pairs", "minProperties")
		rules.copy(described, "max_pairs", "maxProperties")
	case field.IsList():
		described = object{"type": "array", "items": d.single(field, rules.part("items"))}
		rules.copy(described, "min_items", "minItems")
		rules.copy(described, "max_items", "maxItems")
		rules.copy(described, "unique", "uniqueItems")
	default:
		described = d.single(field, rules)
	}
	comment := d.comments[string(field.FullName())]
	if words := rules.durationWords(); words != "" {
		comment += " It must be " + words + "."
	}
	if comment != "" {
		described["description"] = comment
	}
	return described
}

// single describes the value of a field that is neither list nor map, or an item of one that is.
func (d *describer) single(field protoreflect.FieldDescriptor, rules ruleSet) object {
	if message := field.Message(); message != nil {
		switch message.FullName() {
		case durationName:
			return object{"type": "string", "pattern": durationForm}
		case structName:
			return object{"type": "object"}
		}
		if message.ParentFile().Package() == "google.protobuf" {
			return make(object)
		}
		return d.reference(message, nil)
	}
	switch field.Kind() {
	case protoreflect.BoolKind:
		described := object{"type": "boolean"}
		rules.copy(described, "const", "const")
		return described
	case protoreflect.StringKind:
		return text(rules)
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.EnumKind:
		var names []any
		for i := range field.Enum().Values().Len() {
			names = append(names, string(field.Enum().Values().Get(i).Name()))
		}
		return object{"enum": names}
	default:
		return number(field.Kind(), rules)
	}
}

// addComments adds a package's comments.
func (d *describer) addComments(comments func() map[string]string) {
	if comments != nil {
		maps.Copy(d.comments, comments())
	}
}
