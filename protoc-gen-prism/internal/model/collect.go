package model

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The rules that are compiled, by the name of the rules' type. The list is in schema/README.md too.
var (
	numberRules = []protoreflect.Name{"const", "lt", "lte", "gt", "gte", "in", "not_in"}
	floatRules  = append(slices.Clone(numberRules), "finite")
	timeRules   = []protoreflect.Name{"lt", "lte", "gt", "gte"}

	compiledRules = map[protoreflect.Name][]protoreflect.Name{
		"bool": {"const"},
		"string": {
			"len", "min_len", "max_len", "len_bytes", "min_bytes", "max_bytes", "pattern", "prefix", "suffix", "contains", "not_contains", "in", "not_in",
			"const",
		},
		"bytes":    {"len", "min_len", "max_len"},
		"enum":     {"defined_only", "in", "not_in"},
		"repeated": {"min_items", "max_items", "unique", "items"},
		"map":      {"min_pairs", "max_pairs", "keys", "values"},
		"duration": timeRules, "timestamp": timeRules,
		"float": floatRules, "double": floatRules,
		"int32": numberRules, "int64": numberRules, "uint32": numberRules, "uint64": numberRules, "sint32": numberRules, "sint64": numberRules,
		"fixed32": numberRules, "fixed64": numberRules, "sfixed32": numberRules, "sfixed64": numberRules,
	}
)

// rawRules are the values of the rules of one type by their names, as [Rule.Value] has them.
type rawRules map[protoreflect.Name]any

// collect reads the rules that are set, and refuses those that are not compiled.
func (c *compiler) collect(rules protoreflect.Message, kind protoreflect.Name, steps []int32) rawRules {
	raw := make(rawRules)
	rules.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.IsExtension() || !slices.Contains(compiledRules[kind], field.Name()) {
			c.refuse(extend(steps, int32(field.Number())), "the rule %s.%s is not compiled, and a rule that is not enforced is worse than none; use %s", kind, field.Name(),
				ruleNames(kind))
			return true
		}
		if plain, ok := plainValue(field, value); ok {
			raw[field.Name()] = plain
		}
		return true
	})
	return raw
}

// plainValue is a rule's value as the model has it. Constraints on items, keys and values are not values.
func plainValue(field protoreflect.FieldDescriptor, value protoreflect.Value) (any, bool) {
	if field.IsList() {
		values := make([]any, value.List().Len())
		for i := range values {
			values[i] = scalar(value.List().Get(i))
		}
		return values, true
	}
	if field.Message() == nil {
		return scalar(value), true
	}
	switch message := value.Message().Interface().(type) {
	case *durationpb.Duration:
		return message.AsDuration(), true
	case *timestamppb.Timestamp:
		return message.AsTime(), true
	}
	return nil, false
}

func scalar(value protoreflect.Value) any {
	switch v := value.Interface().(type) {
	case int32:
		return int64(v)
	case uint32:
		return uint64(v)
	case float32:
		return float64(v)
	default:
		return v
	}
}

func ruleNames(kind protoreflect.Name) string {
	names := make([]string, len(compiledRules[kind]))
	for i, name := range compiledRules[kind] {
		names[i] = string(name)
	}
	return strings.Join(names, ", ")
}

// saturated tells that a duration of the schema does not fit a [time.Duration], which is 292 years.
func saturated(value any) bool {
	d, ok := value.(time.Duration)
	return ok && (d == 1<<63-1 || d == -1<<63)
}
