package model

import (
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/prismgate/prism/gen/go/prism/options/v1"
)

// message makes a message of any file, once.
func (l *loader) message(source *protogen.Message) *Message {
	if m, ok := l.messages[source.Desc.FullName()]; ok {
		return m
	}
	m := &Message{
		Name:     nameInPackage(source.Desc),
		FullName: string(source.Desc.FullName()),
		Go:       goName(source.GoIdent),
		Doc:      doc(source.Comments),
		Check:    l.checkName(source),
	}
	l.messages[source.Desc.FullName()] = m
	oneofs := make(map[protoreflect.Name]*Oneof)
	for _, oneof := range source.Oneofs {
		if !oneof.Desc.IsSynthetic() {
			o := &Oneof{Name: string(oneof.Desc.Name()), GoName: oneof.GoName, Required: option[*validate.OneofRules](oneof.Desc, validate.E_Oneof).GetRequired()}
			oneofs[oneof.Desc.Name()] = o
			m.Oneofs = append(m.Oneofs, o)
		}
	}
	for _, field := range source.Fields {
		f := l.field(field)
		if field.Oneof != nil && !field.Oneof.Desc.IsSynthetic() {
			f.Optional = false
			f.Oneof, f.OneofWrapper = oneofs[field.Oneof.Desc.Name()], goName(field.GoIdent)
		}
		m.Fields = append(m.Fields, f)
	}
	return m
}

// checkName is the function that checks a message.
func (l *loader) checkName(source *protogen.Message) GoName {
	file, goPackage := source.Desc.ParentFile(), string(source.GoIdent.GoImportPath)
	if !l.ownChecks(file, source.GoIdent.GoImportPath) {
		goPackage += "/" + packageModel(string(file.Package())) + "rpc"
	}
	return GoName{Path: goPackage, Name: "Check" + source.GoIdent.GoName}
}

// enum makes an enum of any file, once.
func (l *loader) enum(source *protogen.Enum) *Enum {
	if e, ok := l.enums[source.Desc.FullName()]; ok {
		return e
	}
	e := &Enum{Name: nameInPackage(source.Desc), FullName: string(source.Desc.FullName()), Go: goName(source.GoIdent), Doc: doc(source.Comments)}
	for _, value := range source.Values {
		e.Values = append(e.Values, DeclaredValue{Name: string(value.Desc.Name()), Doc: doc(value.Comments)})
	}
	l.enums[source.Desc.FullName()] = e
	return e
}

// nameInPackage is a declaration's proto name within its package: "Outer.Inner".
func nameInPackage(declaration protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(declaration.FullName()), string(declaration.ParentFile().Package())+".")
}

func (l *loader) field(source *protogen.Field) *Field {
	declared := option[*optionsv1.Field](source.Desc, optionsv1.E_Field)
	value := source
	if source.Desc.IsMap() {
		value = source.Message.Fields[1]
	}
	f := &Field{
		Name:          string(source.Desc.Name()),
		GoName:        source.GoName,
		Doc:           doc(source.Comments),
		Type:          typeOf(value.Desc),
		Repeated:      source.Desc.IsList(),
		Map:           source.Desc.IsMap(),
		Optional:      source.Desc.HasPresence() && source.Message == nil,
		Role:          roleName(declared.GetRole()),
		MaxTotalBytes: int(declared.GetMaxTotalBytes()),
	}
	if f.Map {
		f.MapKey = typeOf(source.Message.Fields[0].Desc)
	}
	if value.Message != nil {
		f.Message = l.message(value.Message)
	}
	if value.Enum != nil {
		f.Enum = l.enum(value.Enum)
	}
	compiled, _ := compileField(source.Desc)
	f.Rules, f.Items, f.Keys = compiled.rules, compiled.items, compiled.keys
	return f
}

// field returns a field by its proto name, or nil.
func (m *Message) field(name string) *Field {
	for _, field := range m.Fields {
		if field.Name == name {
			return field
		}
	}
	return nil
}

func goName(ident protogen.GoIdent) GoName {
	return GoName{Path: string(ident.GoImportPath), Name: ident.GoName}
}

// roleName is a role in camel case, as names in Go have it: ROLE_PARTITION_KEY is PartitionKey, ROLE_TTL is TTL.
func roleName(role optionsv1.Role) string {
	if role == optionsv1.Role_ROLE_UNSPECIFIED {
		return ""
	}
	name := camel(strings.ToLower(strings.TrimPrefix(role.String(), "ROLE_")))
	if name == "Ttl" {
		return "TTL"
	}
	return name
}

func typeOf(field protoreflect.FieldDescriptor) Type {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return TypeBool
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return TypeInt32
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return TypeInt64
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return TypeUint32
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return TypeUint64
	case protoreflect.FloatKind:
		return TypeFloat
	case protoreflect.DoubleKind:
		return TypeDouble
	case protoreflect.StringKind:
		return TypeString
	case protoreflect.BytesKind:
		return TypeBytes
	case protoreflect.EnumKind:
		return TypeEnum
	default:
		return TypeMessage
	}
}
