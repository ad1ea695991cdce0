package model

import (
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/prismgate/prism/gen/go/prism/options/v1"
)

// The steps from a field to Prism's options, and to those of the options' fields.
var (
	fieldSteps = []int32{8, 51980}
	slotSteps  = []int32{8, 51981}
)

const (
	stepRole          = 1
	stepMaxTotalBytes = 2
)

// slotType is the type of the fields that declare slots.
const slotType = "prism.config.v1.Slot"

// secretType is the type of a secret in a configuration.
const secretType = "prism.config.v1.Secret"

// checkMessages holds all messages and enums of a file to the rules.
func (l *loader) checkMessages(source *protogen.File) {
	for message := range allMessages(source.Messages) {
		l.checkMessage(message)
		l.checkEnums(message.Enums)
	}
	l.checkEnums(source.Enums)
}

func (l *loader) checkMessage(message *protogen.Message) {
	if doc(message.Comments) == "" {
		l.mistakes.add(message.Desc, nil, "the message %s has no comment; say what it is", message.Desc.Name())
	}
	if options := message.Desc.Options(); options != nil && proto.HasExtension(options, validate.E_Message) {
		l.mistakes.add(message.Desc, []int32{7, 1159}, "rules on the message %s as a whole are not compiled; put rules on its fields", message.Desc.Name())
	}
	isPattern := option[*optionsv1.Pattern](message.Desc, optionsv1.E_Pattern) != nil
	for _, field := range message.Fields {
		l.checkField(field)
		if !isPattern && option[*optionsv1.Slot](field.Desc, optionsv1.E_Slot) != nil {
			l.mistakes.add(field.Desc, slotSteps, "%s declares a slot outside a pattern; slots are fields of a message with the option pattern", field.Desc.FullName())
		}
	}
}

func (l *loader) checkEnums(enums []*protogen.Enum) {
	for _, enum := range enums {
		if doc(enum.Comments) == "" {
			l.mistakes.add(enum.Desc, nil, "the enum %s has no comment; say what it lists", enum.Desc.Name())
		}
		for _, value := range enum.Values {
			if doc(value.Comments) == "" {
				l.mistakes.add(value.Desc, nil, "the value %s of %s has no comment; say what it means", value.Desc.Name(), enum.Desc.Name())
			}
		}
	}
}

func (l *loader) checkField(field *protogen.Field) {
	name := field.Desc.Parent().Name() + "." + field.Desc.Name()
	if doc(field.Comments) == "" {
		what := "field"
		if option[*optionsv1.Slot](field.Desc, optionsv1.E_Slot) != nil {
			what = "slot"
		}
		l.mistakes.add(field.Desc, nil, "the %s %s has no comment; say what it holds", what, name)
	}
	_, wrong := compileField(field.Desc)
	for _, mistake := range wrong {
		l.mistakes.add(field.Desc, mistake.steps, "%s: %s", name, mistake.text)
	}
	declared := option[*optionsv1.Field](field.Desc, optionsv1.E_Field)
	if declared == nil {
		return
	}
	role, bound := declared.GetRole(), declared.GetMaxTotalBytes()
	switch {
	case role == optionsv1.Role_ROLE_UNSPECIFIED && bound == 0:
		l.mistakes.add(field.Desc, fieldSteps, "the option of %s says nothing; give a role, or leave the option out", name)
	case role.Descriptor().Values().ByNumber(role.Number()) == nil:
		l.mistakes.add(field.Desc, extend(fieldSteps, stepRole), "%s has the role %d, which the plugin does not know; use a role of prism/options/v1/options.proto, and the plugin that belongs to it",
			name, role)
	case !fitting(role, field.Desc):
		l.mistakes.add(field.Desc, extend(fieldSteps, stepRole), "%s of %s does not fit a field of type %s; it is for %s", role, name, typeName(field.Desc), roleTypes[role])
	}
	if bound > 0 && !holdsTexts(field.Desc) {
		l.mistakes.add(field.Desc, extend(fieldSteps, stepMaxTotalBytes), "max_total_bytes of %s fits only repeated fields and maps of strings or bytes; bound the field by buf.validate rules", name)
	}
}

// roleTypes say which types a role is for.
var roleTypes = map[optionsv1.Role]string{
	optionsv1.Role_ROLE_KEY:             "strings, bytes and integers",
	optionsv1.Role_ROLE_PAYLOAD:         "strings and bytes",
	optionsv1.Role_ROLE_COMPARED:        "strings, bytes, numbers and messages",
	optionsv1.Role_ROLE_TTL:             "google.protobuf.Duration",
	optionsv1.Role_ROLE_TOPIC:           "strings, bytes and integers",
	optionsv1.Role_ROLE_PARTITION_KEY:   "strings, bytes and integers",
	optionsv1.Role_ROLE_IDEMPOTENCY_KEY: "strings, bytes and integers",
	optionsv1.Role_ROLE_HANDLE:          "strings, bytes and integers",
	optionsv1.Role_ROLE_SECRET:          "strings, bytes and " + secretType,
}

// fitting tells whether a role makes sense on a field. No role fits any.
func fitting(role optionsv1.Role, field protoreflect.FieldDescriptor) bool {
	if field.IsMap() {
		field = field.MapValue()
	}
	text := field.Kind() == protoreflect.StringKind || field.Kind() == protoreflect.BytesKind
	number := slices.Contains([]Type{TypeInt32, TypeInt64, TypeUint32, TypeUint64}, typeOf(field))
	message := ""
	if field.Message() != nil {
		message = string(field.Message().FullName())
	}
	switch role {
	case optionsv1.Role_ROLE_UNSPECIFIED:
		return true
	case optionsv1.Role_ROLE_PAYLOAD:
		return text
	case optionsv1.Role_ROLE_TTL:
		return message == "google.protobuf.Duration"
	case optionsv1.Role_ROLE_SECRET:
		return text || message == secretType
	case optionsv1.Role_ROLE_COMPARED:
		return typeOf(field) != TypeBool && typeOf(field) != TypeEnum
	default:
		return text || number
	}
}

func typeName(field protoreflect.FieldDescriptor) string {
	if field.IsMap() {
		field = field.MapValue()
	}
	if field.Message() != nil {
		return string(field.Message().FullName())
	}
	return field.Kind().String()
}

// holdsTexts tells whether a field holds several strings or bytes.
func holdsTexts(field protoreflect.FieldDescriptor) bool {
	text := func(f protoreflect.FieldDescriptor) bool {
		return f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind
	}
	if field.IsMap() {
		return text(field.MapKey()) && text(field.MapValue())
	}
	return field.IsList() && text(field)
}
