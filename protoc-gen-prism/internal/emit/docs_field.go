package emit

import (
	"strings"
	"unicode"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// typeNames are the names of the scalar types in the schema.
var typeNames = map[model.Type]string{
	model.TypeBool: "bool", model.TypeInt32: "int32", model.TypeInt64: "int64", model.TypeUint32: "uint32", model.TypeUint64: "uint64",
	model.TypeFloat: "float", model.TypeDouble: "double", model.TypeString: "string", model.TypeBytes: "bytes",
}

// fieldType is a field's type as the schema writes it.
func fieldType(field *model.Field) string {
	name := typeNames[field.Type]
	switch {
	case field.Message != nil:
		name = messageName(field.Message)
	case field.Enum != nil:
		name = field.Enum.Name
	}
	switch {
	case field.Map:
		return "map<" + typeNames[field.MapKey] + ", " + name + ">"
	case field.Repeated:
		return "repeated " + name
	case field.Optional:
		return "optional " + name
	}
	return name
}

// messageName is a message's name without the package, which is named only where it is protobuf's own.
func messageName(message *model.Message) string {
	if rest, ok := strings.CutPrefix(message.FullName, "google.protobuf."); ok {
		return rest
	}
	return message.Name
}

// roleWords is a role in words: "partition key".
func roleWords(role string) string {
	if strings.ToUpper(role) == role {
		return role
	}
	var b strings.Builder
	for n, r := range role {
		if n > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// mustWords are a field's constraints, so that "must" can stand before them: "be 1 to 64 bytes; not contain "\x00"".
func mustWords(field *model.Field) string {
	var words []string
	for _, part := range []struct {
		whose string
		rules []model.Rule
	}{{"", field.Rules}, {"each key ", field.Keys}, {"each " + itemName(field) + " ", field.Items}} {
		whose := part.whose
		for _, rule := range part.rules {
			words = append(words, whose+rule.Words())
			if rule.Kind == model.RuleIgnoreZero {
				whose = "" // What follows goes on after "or else:".
			}
		}
	}
	if field.MaxTotalBytes > 0 {
		words = append(words, model.TotalWords(field.MaxTotalBytes))
	}
	return strings.ReplaceAll(strings.Join(words, "; "), ":; ", ": ")
}

func itemName(field *model.Field) string {
	if field.Map {
		return "value"
	}
	return "item"
}

// oneofWords says which fields exclude each other.
func oneofWords(field *model.Field) string {
	switch {
	case field.Oneof == nil:
		return ""
	case field.Oneof.Required:
		return code(field.Oneof.Name) + ", exactly one"
	}
	return code(field.Oneof.Name) + ", at most one"
}
