package plan

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"

	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// scalar reads a value that is no message. It takes what the rest of a configuration file takes: 1Mi is a number too.
func (m *maker) scalar(at string, given *structpb.Value, field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		if value, ok := given.GetKind().(*structpb.Value_BoolValue); ok {
			return protoreflect.ValueOfBool(value.BoolValue), true
		}
		return protoreflect.Value{}, m.must(at, "true or false", given)
	case protoreflect.StringKind:
		if value, ok := given.GetKind().(*structpb.Value_StringValue); ok {
			return protoreflect.ValueOfString(value.StringValue), true
		}
		return protoreflect.Value{}, m.must(at, "text, in quotes where it looks like something else", given)
	case protoreflect.BytesKind:
		if value, ok := given.GetKind().(*structpb.Value_StringValue); ok {
			if data, err := base64.StdEncoding.DecodeString(value.StringValue); err == nil {
				return protoreflect.ValueOfBytes(data), true
			}
		}
		return protoreflect.Value{}, m.must(at, "bytes in base64", given)
	case protoreflect.EnumKind:
		return m.enum(at, given, field.Enum())
	default:
		return m.number(at, given, field.Kind())
	}
}

func (m *maker) number(at string, given *structpb.Value, kind protoreflect.Kind) (protoreflect.Value, bool) {
	number := numberOf(kind)
	if text, ok := numeral(given); ok && protoyaml.Unmarshal([]byte(strconv.Quote(text)), number.into) == nil {
		return number.into.ProtoReflect().Get(number.into.ProtoReflect().Descriptor().Fields().ByName("value")), true
	}
	return protoreflect.Value{}, m.must(at, number.what, given)
}

// number is a kind of number: what it is read into, and what it is called.
type number struct {
	into proto.Message
	what string
}

func numberOf(kind protoreflect.Kind) number {
	const whole = "a whole number from %s to %s, such as 100 or 4Ki"
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return number{new(wrapperspb.Int32Value), fmt.Sprintf(whole, "-2,147,483,648", "2,147,483,647")}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return number{new(wrapperspb.Int64Value), fmt.Sprintf(whole, "-9,223,372,036,854,775,808", "9,223,372,036,854,775,807")}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return number{new(wrapperspb.UInt32Value), fmt.Sprintf(whole, "0", "4,294,967,295")}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return number{new(wrapperspb.UInt64Value), fmt.Sprintf(whole, "0", "18,446,744,073,709,551,615")}
	case protoreflect.FloatKind:
		return number{new(wrapperspb.FloatValue), "a number"}
	default:
		return number{new(wrapperspb.DoubleValue), "a number"}
	}
}

// numeral is how a number is written. Numbers with a unit, and those that a float cannot hold, come as text.
func numeral(given *structpb.Value) (string, bool) {
	switch value := given.GetKind().(type) {
	case *structpb.Value_NumberValue:
		precision := -1
		if value.NumberValue == math.Trunc(value.NumberValue) {
			precision = 0 // and not the shortest digits that mean the same float, which are another whole number
		}
		return strconv.FormatFloat(value.NumberValue, 'f', precision, 64), !math.IsNaN(value.NumberValue) && !math.IsInf(value.NumberValue, 0)
	case *structpb.Value_StringValue:
		return value.StringValue, value.StringValue != ""
	}
	return "", false
}

func (m *maker) enum(at string, given *structpb.Value, of protoreflect.EnumDescriptor) (protoreflect.Value, bool) {
	var names []string
	for i := range of.Values().Len() {
		names = append(names, string(of.Values().Get(i).Name()))
	}
	typed := given.GetStringValue()
	if value := of.Values().ByName(protoreflect.Name(typed)); value != nil {
		return protoreflect.ValueOfEnum(value.Number()), true
	}
	if meant := m.didYouMean(typed, names); meant != "" && typed != "" {
		m.refuse(at, "must be one of %s%s", list(names, "and"), meant)
		return protoreflect.Value{}, false
	}
	return protoreflect.Value{}, m.must(at, "one of "+list(names, "and"), given)
}

// must refuses a value of the wrong type. It returns false, for the caller to return.
func (m *maker) must(at, be string, given *structpb.Value) bool {
	m.refuse(at, "must be %s, is %s", be, kindOf(given))
	return false
}

// kindOf says what kind of value a file has, and not which.
func kindOf(given *structpb.Value) string {
	switch value := given.GetKind().(type) {
	case *structpb.Value_NumberValue:
		switch {
		case value.NumberValue < 0:
			return "a negative number"
		case value.NumberValue != math.Trunc(value.NumberValue):
			return "a number with a fraction"
		}
		return "a number"
	case *structpb.Value_BoolValue:
		return "true or false"
	case *structpb.Value_StringValue:
		if value.StringValue == "" {
			return "empty"
		}
		return "text"
	case *structpb.Value_ListValue:
		return "a list"
	case *structpb.Value_StructValue:
		return "a mapping"
	}
	return "empty"
}

func isNull(given *structpb.Value) bool {
	_, null := given.GetKind().(*structpb.Value_NullValue)
	return null || given.GetKind() == nil
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
