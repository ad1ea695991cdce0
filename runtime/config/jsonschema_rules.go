package config

import (
	"math"
	"strings"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ruleSet are the schema's constraints on a field, or on the items, keys or values of one. The zero value has none.
type ruleSet struct {
	// typed are those of the field's type, such as buf.validate.StringRules; nil when there are none.
	typed protoreflect.Message
	// ignoreZero lets pass a value that is the same as none.
	ignoreZero bool
}

func rulesOf(field protoreflect.FieldDescriptor) ruleSet {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return newRuleSet(rules)
}

func newRuleSet(rules *validate.FieldRules) ruleSet {
	message := rules.ProtoReflect()
	kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("type"))
	if kind == nil {
		return ruleSet{}
	}
	return ruleSet{message.Get(kind).Message(), rules.GetIgnore() == validate.Ignore_IGNORE_IF_ZERO_VALUE}
}

func oneofRules(oneof protoreflect.OneofDescriptor) *validate.OneofRules {
	rules, _ := proto.GetExtension(oneof.Options(), validate.E_Oneof).(*validate.OneofRules)
	return rules
}

func (r ruleSet) set() bool { return r.typed != nil }

// rule returns the value of a rule.
func (r ruleSet) rule(name protoreflect.Name) (protoreflect.Value, bool) {
	if r.typed == nil {
		return protoreflect.Value{}, false
	}
	field := r.typed.Descriptor().Fields().ByName(name)
	if field == nil || !r.typed.Has(field) {
		return protoreflect.Value{}, false
	}
	return r.typed.Get(field), true
}

// part are the rules on the items, keys or values.
func (r ruleSet) part(name protoreflect.Name) ruleSet {
	value, ok := r.rule(name)
	if !ok {
		return ruleSet{}
	}
	rules, _ := value.Message().Interface().(*validate.FieldRules)
	return newRuleSet(rules)
}

// copy writes a rule under the name that JSON Schema has for it.
func (r ruleSet) copy(to object, name protoreflect.Name, keyword string) {
	if value, ok := r.rule(name); ok {
		to[keyword] = value.Interface()
	}
}

// mustBeThere tells that a field which is not there does not meet its constraints.
func mustBeThere(field protoreflect.FieldDescriptor) bool {
	rules := rulesOf(field)
	if rules.ignoreZero || field.HasPresence() {
		return false
	}
	for _, name := range []protoreflect.Name{"min_len", "min_bytes", "min_items", "min_pairs"} {
		if _, ok := rules.rule(name); ok {
			return true
		}
	}
	return false
}

// text describes a string.
func text(rules ruleSet) object {
	described := object{"type": "string"}
	// As many bytes hold at most as many characters, and none without a byte.
	rules.copy(described, "max_bytes", "maxLength")
	if least, ok := rules.rule("min_bytes"); ok && least.Uint() > 0 {
		described["minLength"] = 1
	}
	rules.copy(described, "min_len", "minLength")
	rules.copy(described, "max_len", "maxLength")
	rules.copy(described, "pattern", "pattern")
	rules.copy(described, "const", "const")
	if in, ok := rules.rule("in"); ok {
		var words []any
		for i := range in.List().Len() {
			words = append(words, in.List().Get(i).Interface())
		}
		if rules.ignoreZero {
			words = append(words, "")
		}
		return object{"type": "string", "enum": words}
	}
	if rules.ignoreZero && len(described) > 1 {
		return object{"anyOf": []any{described, object{"const": ""}}}
	}
	return described
}

// number describes a number. Of a whole one a unit may be part, which makes it a string.
func number(kind protoreflect.Kind, rules ruleSet) object {
	described := object{"type": "integer"}
	form := integerForm
	switch kind {
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		described["type"] = "number"
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		described["minimum"], described["maximum"] = 0, uint32(math.MaxUint32)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		described["minimum"], described["maximum"] = 0, uint64(math.MaxUint64)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		described["minimum"], described["maximum"] = math.MinInt32, math.MaxInt32
	default:
		described["minimum"], described["maximum"] = math.MinInt64, math.MaxInt64
	}
	if described["minimum"] == 0 {
		form = strings.Replace(form, "-?", "", 1)
	}
	rules.copy(described, "gte", "minimum")
	rules.copy(described, "gt", "exclusiveMinimum")
	rules.copy(described, "lte", "maximum")
	rules.copy(described, "lt", "exclusiveMaximum")
	rules.copy(described, "const", "const")
	alternatives := []any{described}
	if rules.ignoreZero {
		alternatives = append(alternatives, object{"const": 0})
	}
	if described["type"] == "integer" {
		alternatives = append(alternatives, object{"type": "string", "pattern": form})
	}
	if len(alternatives) == 1 {
		return described
	}
	return object{"anyOf": alternatives}
}

// durationWords are the bounds of a duration, which no keyword of JSON Schema can express.
func (r ruleSet) durationWords() string {
	bound := func(name protoreflect.Name) string {
		value, ok := r.rule(name)
		if !ok {
			return ""
		}
		duration, ok := value.Message().Interface().(*durationpb.Duration)
		if !ok {
			return ""
		}
		return shortDuration(duration.AsDuration())
	}
	if r.typed == nil || r.typed.Descriptor().FullName() != "buf.validate.DurationRules" {
		return ""
	}
	var words []string
	for _, rule := range []struct {
		name  protoreflect.Name
		words string
	}{{"gte", "at least "}, {"gt", "more than "}, {"lte", "at most "}, {"lt", "less than "}} {
		if duration := bound(rule.name); duration != "" {
			words = append(words, rule.words+duration)
		}
	}
	return strings.Join(words, " and ")
}

// shortDuration is a duration without the zeros at its end: 1h and not 1h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}
