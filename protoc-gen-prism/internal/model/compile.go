package model

import (
	"fmt"
	"slices"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The numbers that lead from a field to its constraints, and to the rules on parts of it.
var ruleSteps = []int32{8, 1159}

const (
	stepCEL           = 23
	stepCELExpression = 29
	stepRequired      = 25
	stepIgnore        = 27
)

// compiled is what a field's constraints come to.
type compiled struct {
	rules, items, keys []Rule
}

// ruleMistake is what is wrong with a constraint, and the steps to it from the field.
type ruleMistake struct {
	steps []int32
	text  string
}

// compiler turns the constraints of one field into rules.
type compiler struct {
	field    protoreflect.FieldDescriptor
	mistakes []ruleMistake
}

// compileField compiles a field's constraints. The mistakes are empty where a rule comes of each of them.
func compileField(field protoreflect.FieldDescriptor) (compiled, []ruleMistake) {
	rules := option[*validate.FieldRules](field, validate.E_Field)
	if rules == nil {
		return compiled{}, nil
	}
	c := &compiler{field: field}
	var out compiled
	out.rules = c.common(rules, ruleSteps, place{field: field, whole: true})
	switch {
	case field.IsMap():
		const stepMap, stepKeys, stepValues = 19, 4, 5
		out.keys = c.common(rules.GetMap().GetKeys(), extend(ruleSteps, stepMap, stepKeys), place{field: field.MapKey(), what: "a map key"})
		out.items = c.common(rules.GetMap().GetValues(), extend(ruleSteps, stepMap, stepValues), place{field: field.MapValue(), what: "a map value"})
	case field.IsList():
		const stepRepeated, stepItems = 18, 4
		out.items = c.common(rules.GetRepeated().GetItems(), extend(ruleSteps, stepRepeated, stepItems), place{field: field, what: "an item"})
	}
	return out, c.mistakes
}

// place is what constraints are on: a field as a whole, an item, a map key or a map value.
type place struct {
	field protoreflect.FieldDescriptor
	// whole is a field's own place; what names another one.
	whole bool
	what  string
}

// rulesName is the name of the buf.validate rules that fit the place: "string", "sint32", "repeated", "duration"; empty where none does.
func (p place) rulesName() protoreflect.Name {
	switch {
	case p.whole && p.field.IsMap():
		return "map"
	case p.whole && p.field.IsList():
		return "repeated"
	case p.field.Message() == nil:
		return protoreflect.Name(p.field.Kind().String())
	}
	switch p.field.Message().FullName() {
	case "google.protobuf.Duration":
		return "duration"
	case "google.protobuf.Timestamp":
		return "timestamp"
	}
	return ""
}

// kind is what a place holds, for mistakes.
func (p place) kind() string {
	switch {
	case p.whole && p.field.IsMap():
		return "a map"
	case p.whole && p.field.IsList():
		return "a repeated field"
	case p.field.Message() != nil:
		return "a " + string(p.field.Message().FullName())
	case p.field.Kind() == protoreflect.EnumKind:
		return "an enum"
	}
	return "a " + p.field.Kind().String()
}

// common compiles what all constraints have, and then those of the type.
func (c *compiler) common(rules *validate.FieldRules, steps []int32, at place) []Rule {
	if rules == nil {
		return nil
	}
	var out []Rule
	if rules.GetRequired() {
		if at.whole {
			out = append(out, Rule{Kind: RuleRequired})
		} else {
			c.refuse(extend(steps, stepRequired), "required says nothing about %s, which is always there; demand a size", at.what)
		}
	}
	if len(rules.GetCel()) > 0 {
		c.refuse(extend(steps, stepCEL), "CEL is not compiled; use the rules that schema/README.md lists, or write the constraint into the contract and its suite")
	}
	if len(rules.GetCelExpression()) > 0 {
		c.refuse(extend(steps, stepCELExpression), "CEL is not compiled; use the rules that schema/README.md lists, or write the constraint into the contract and its suite")
	}
	out = append(out, c.ignore(rules, steps, at)...)
	c.checkUnknown(rules.ProtoReflect(), steps)
	return append(out, c.typed(rules, steps, at)...)
}

// ignore compiles when the rules are not to be applied. Where the zero value cannot be told from absence by presence, it is a rule.
func (c *compiler) ignore(rules *validate.FieldRules, steps []int32, at place) []Rule {
	switch rules.GetIgnore() {
	case validate.Ignore_IGNORE_UNSPECIFIED:
	case validate.Ignore_IGNORE_IF_ZERO_VALUE:
		if !at.whole && at.field.Message() != nil {
			c.refuse(extend(steps, stepIgnore), "ignore is not compiled for messages as items; leave it out")
		} else if !at.whole || !at.field.HasPresence() {
			return []Rule{{Kind: RuleIgnoreZero}}
		}
	default:
		c.refuse(extend(steps, stepIgnore), "%s keeps rules from being enforced; delete the rules instead", rules.GetIgnore())
	}
	return nil
}

// typed compiles the rules of the type that the place has.
func (c *compiler) typed(rules *validate.FieldRules, steps []int32, at place) []Rule {
	reflected := rules.ProtoReflect()
	set := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("type"))
	if set == nil {
		return nil
	}
	steps = extend(steps, int32(set.Number()))
	if compiledRules[set.Name()] == nil {
		c.refuse(steps, "%s rules are not compiled, and a rule that is not enforced is worse than none; use the rules that schema/README.md lists", set.Name())
		return nil
	}
	if set.Name() != at.rulesName() {
		right := "give it no rules but required"
		if at.rulesName() != "" {
			right = fmt.Sprintf("give it %s rules", at.rulesName())
		}
		c.refuse(steps, "%s rules do not fit %s; %s", set.Name(), at.kind(), right)
		return nil
	}
	typed := reflected.Get(set).Message()
	c.checkUnknown(typed, steps)
	raw := c.collect(typed, set.Name(), steps)
	return raw.rules(c, steps, at)
}

// checkUnknown refuses what a newer buf.validate may say.
func (c *compiler) checkUnknown(rules protoreflect.Message, steps []int32) {
	if len(rules.GetUnknown()) > 0 {
		c.refuse(steps, "a rule is of a newer buf.validate than the plugin knows; use the rules that schema/README.md lists")
	}
}

func (c *compiler) refuse(steps []int32, format string, args ...any) {
	c.mistakes = append(c.mistakes, ruleMistake{steps: steps, text: fmt.Sprintf(format, args...)})
}

func extend(steps []int32, more ...int32) []int32 { return append(slices.Clone(steps), more...) }
