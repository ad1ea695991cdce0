package plan

import (
	"maps"
	"slices"
	"time"

	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// settings puts the configuration of a backend or a pattern into its message, and checks it. It tells what is wrong by the field, and never what the field holds:
// somebody may have written a secret where none belongs.
func (m *maker) settings(path string, given *structpb.Struct, message proto.Message, check func(proto.Message) error) {
	before := len(m.problems)
	m.fields(path, given, message.ProtoReflect())
	if len(m.problems) == before && check != nil {
		m.violation(path, check(message))
	}
}

func (m *maker) fields(path string, given *structpb.Struct, message protoreflect.Message) {
	fields := message.Descriptor().Fields()
	alternatives := map[protoreflect.FullName]string{}
	for _, key := range slices.Sorted(maps.Keys(given.GetFields())) {
		at := join(path, key)
		field := fields.ByName(protoreflect.Name(key))
		if field == nil {
			m.refuse(at, "there is no such field%s", m.known(key, message.Descriptor()))
			continue
		}
		if isSlot(field) {
			m.refuse(at, "%s is a slot of the pattern; it is filled under slots and not under config", key)
			continue
		}
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			if other := alternatives[oneof.FullName()]; other != "" {
				m.refuse(at, "%s excludes %s, which is there too; remove one of them", key, other)
				continue
			}
			alternatives[oneof.FullName()] = key
		}
		m.field(at, given.GetFields()[key], field, message)
	}
}

// known is what an unknown field may have been meant to be, and what there is.
func (m *maker) known(key string, message protoreflect.MessageDescriptor) string {
	names := fieldNames(message)
	if len(names) == 0 {
		return "; there is nothing to configure here"
	}
	if meant := m.didYouMean(key, names); meant != "" {
		return meant
	}
	return "; the fields here are " + list(names, "and")
}

// fieldNames are the names of the fields that can be configured.
func fieldNames(message protoreflect.MessageDescriptor) []string {
	var names []string
	for i := range message.Fields().Len() {
		if field := message.Fields().Get(i); !isSlot(field) {
			names = append(names, string(field.Name()))
		}
	}
	return names
}

// isSlot tells that a field of a pattern's configuration is a slot.
func isSlot(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && field.Message().FullName() == (*configv1.Slot)(nil).ProtoReflect().Descriptor().FullName()
}

func (m *maker) field(at string, given *structpb.Value, field protoreflect.FieldDescriptor, message protoreflect.Message) {
	switch {
	case field.IsList():
		m.items(at, given, field, message)
	case field.IsMap():
		m.entries(at, given, field, message)
	case field.Message() != nil && isNull(given):
		// A mapping without anything in it is absent.
	default:
		if value, ok := m.value(at, given, field, message.NewField(field)); ok {
			message.Set(field, value)
		}
	}
}

func (m *maker) items(at string, given *structpb.Value, field protoreflect.FieldDescriptor, message protoreflect.Message) {
	items, ok := given.GetKind().(*structpb.Value_ListValue)
	if !ok {
		m.must(at, "a list", given)
		return
	}
	filled := message.NewField(field)
	for i, item := range items.ListValue.GetValues() {
		if value, ok := m.value(index(at, i), item, field, elementOf(field, filled.List().NewElement)); ok {
			filled.List().Append(value)
		}
	}
	message.Set(field, filled)
}

func (m *maker) entries(at string, given *structpb.Value, field protoreflect.FieldDescriptor, message protoreflect.Message) {
	entries, ok := given.GetKind().(*structpb.Value_StructValue)
	if !ok {
		m.must(at, "a mapping", given)
		return
	}
	filled := message.NewField(field)
	for _, key := range slices.Sorted(maps.Keys(entries.StructValue.GetFields())) {
		mapKey, ok := m.mapKey(join(at, key), key, field.MapKey())
		if !ok {
			continue
		}
		entry := entries.StructValue.GetFields()[key]
		if value, ok := m.value(join(at, key), entry, field.MapValue(), elementOf(field.MapValue(), filled.Map().NewValue)); ok {
			filled.Map().Set(mapKey, value)
		}
	}
	message.Set(field, filled)
}

// elementOf is an empty element where that is a message, to be filled.
func elementOf(field protoreflect.FieldDescriptor, blank func() protoreflect.Value) protoreflect.Value {
	if field.Message() == nil {
		return protoreflect.Value{}
	}
	return blank()
}

// mapKey reads a key, which YAML has as text whatever its type.
func (m *maker) mapKey(at, key string, field protoreflect.FieldDescriptor) (protoreflect.MapKey, bool) {
	given := structpb.NewStringValue(key)
	if field.Kind() == protoreflect.BoolKind && (key == "true" || key == "false") {
		given = structpb.NewBoolValue(key == "true")
	}
	value, ok := m.scalar(at, given, field)
	if !ok {
		return protoreflect.MapKey{}, false
	}
	return value.MapKey(), true
}

// value reads one value. Blank is an empty message where the field holds one.
func (m *maker) value(at string, given *structpb.Value, field protoreflect.FieldDescriptor, blank protoreflect.Value) (protoreflect.Value, bool) {
	if field.Message() == nil {
		return m.scalar(at, given, field)
	}
	return blank, m.message(at, given, blank.Message())
}

func (m *maker) message(at string, given *structpb.Value, message protoreflect.Message) bool {
	text := given.GetStringValue() // "" is neither a duration nor a time
	nested, isMapping := given.GetKind().(*structpb.Value_StructValue)
	switch known := message.Interface().(type) {
	case *durationpb.Duration:
		if duration, err := protoyaml.ParseDuration(text); err == nil && duration.CheckValid() == nil {
			proto.Merge(known, duration)
			return true
		}
		return m.must(at, "a duration with its unit, such as 30s or 1h30m", given)
	case *timestamppb.Timestamp:
		if when, err := time.Parse(time.RFC3339Nano, text); err == nil {
			proto.Merge(known, timestamppb.New(when))
			return true
		}
		return m.must(at, "a time, such as 2026-01-31T00:00:00Z", given)
	case *structpb.Value:
		proto.Merge(known, given)
		return true
	case *structpb.Struct:
		if isMapping {
			proto.Merge(known, nested.StructValue)
			return true
		}
		return m.must(at, "a mapping", given)
	case *configv1.Secret:
		if !isMapping {
			return m.must(at, "the place of a secret, {env: NAME} or {file: PATH}, since a configuration holds no secrets", given)
		}
	}
	if !isMapping {
		return m.must(at, "a mapping of "+list(fieldNames(message.Descriptor()), "and"), given)
	}
	before := len(m.problems)
	m.fields(at, nested.StructValue, message)
	return len(m.problems) == before
}
