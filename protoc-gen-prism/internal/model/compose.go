package model

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// rules puts the rules of one type together, in the order of their kinds.
func (r rawRules) rules(c *compiler, steps []int32, at place) []Rule {
	var out []Rule
	add := func(kind RuleKind, value any) { out = append(out, Rule{Kind: kind, Value: value}) }
	r.sizes(c, steps, at, add)
	r.texts(c, steps, add)
	if r["finite"] == true {
		add(RuleFinite, nil)
	}
	r.bounds(c, steps, add)
	if r["unique"] == true {
		if at.field.Message() != nil {
			c.refuse(steps, "unique does not fit items that are messages; leave it out")
		}
		add(RuleUnique, nil)
	}
	if r["defined_only"] == true {
		add(RuleDefined, definedValues(at.field.Enum()))
	}
	r.values(c, steps, at, add)
	slices.SortStableFunc(out, func(a, b Rule) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// sizes composes the bounds of sizes. Those of a charset hold the size too: its characters are bytes.
func (r rawRules) sizes(c *compiler, steps []int32, at place, add func(RuleKind, any)) {
	size := func(kind RuleKind, exact, least, most protoreflect.Name) (Size, bool) {
		s, ok := r.size(exact, least, most)
		if s.Min > math.MaxInt {
			name := least
			if only, ok := r[exact].(uint64); ok && only > math.MaxInt {
				name = exact
			}
			c.refuse(steps, "%s is more than %d, which is the most that Go counts, so that nothing is valid; lower it", name, math.MaxInt)
			return s, ok
		}
		switch _, only := r[exact]; {
		case !ok || !s.Bounded || s.Min <= s.Max:
		case only:
			c.refuse(steps, "%s and %s exclude each other, so that nothing is valid; leave one out", exact, r.first(least, most))
		default:
			c.refuse(steps, "%s is more than %s, so that nothing is valid; lower the one or raise the other", least, most)
		}
		return s, ok
	}
	bytes, inBytes := size(RuleBytes, "len_bytes", "min_bytes", "max_bytes")
	chars, inChars := size(RuleChars, "len", "min_len", "max_len")
	if at.rulesName() == "bytes" {
		bytes, inBytes, chars, inChars = chars, inChars, Size{}, false
	}
	if inBytes && inChars && bytes.Bounded && chars.Min > bytes.Max {
		c.refuse(steps, "%s is more than %s, so that nothing is valid; lower the one or raise the other", r.first("len", "min_len"), r.first("len_bytes", "max_bytes"))
	}
	if pattern, ok := r["pattern"].(string); ok {
		if charset, ok := charsetOf(pattern); ok {
			charset.Size = charset.Size.both(bytes).both(chars)
			if charset.Size.Bounded && charset.Size.Min > charset.Size.Max {
				c.refuse(steps, "the pattern's sizes and the bounds exclude each other, so that nothing is valid; change one of them")
			}
			add(RuleCharset, charset)
			inBytes, inChars = false, false
		}
	}
	if inBytes {
		add(RuleBytes, bytes)
	}
	if inChars {
		add(RuleChars, chars)
	}
	if items, ok := size(RuleItems, "", "min_items", "max_items"); ok {
		add(RuleItems, items)
	}
	if pairs, ok := size(RulePairs, "", "min_pairs", "max_pairs"); ok {
		add(RulePairs, pairs)
	}
}

// size reads an exact size, a least and a most one. A most one that no size in Go is beyond bounds nothing.
func (r rawRules) size(exact, least, most protoreflect.Name) (Size, bool) {
	var s Size
	low, hasLow := r[least].(uint64)
	high, hasHigh := r[most].(uint64)
	only, hasOnly := r[exact].(uint64)
	if hasLow {
		s.Min = low
	}
	hasHigh = hasHigh && high <= math.MaxInt
	if hasHigh {
		s.Max, s.Bounded = high, true
	}
	if hasOnly {
		s = s.both(Size{Min: only, Max: only, Bounded: true})
	}
	return s, (hasLow && low > 0) || hasHigh || hasOnly
}

// first is the first of some rules that is set.
func (r rawRules) first(names ...protoreflect.Name) protoreflect.Name {
	for _, name := range names {
		if _, ok := r[name]; ok {
			return name
		}
	}
	return names[len(names)-1]
}

// texts composes the rules on what a string holds.
func (r rawRules) texts(c *compiler, steps []int32, add func(RuleKind, any)) {
	if pattern, ok := r["pattern"].(string); ok {
		if _, err := regexp.Compile(pattern); err != nil {
			c.refuse(steps, "pattern %q is not a regular expression that Go knows: %v; see https://golang.org/s/re2syntax", pattern, err)
		} else if _, ok := charsetOf(pattern); !ok {
			add(RulePattern, pattern)
		}
	}
	for _, rule := range []struct {
		name protoreflect.Name
		kind RuleKind
	}{{"prefix", RulePrefix}, {"suffix", RuleSuffix}, {"contains", RuleContains}, {"not_contains", RuleNotContains}} {
		if text, ok := r[rule.name].(string); ok {
			add(rule.kind, text)
		}
	}
	if _, ok := r["contains"]; ok && r["contains"] == r["not_contains"] {
		c.refuse(steps, "contains and not_contains are the same, so that nothing is valid; leave one out")
	}
}

// bounds composes the bounds of numbers, durations and timestamps.
func (r rawRules) bounds(c *compiler, steps []int32, add func(RuleKind, any)) {
	low, lowOpen := r["gte"], false
	if value, ok := r["gt"]; ok {
		low, lowOpen = value, true
	}
	high, highOpen := r["lte"], false
	if value, ok := r["lt"]; ok {
		high, highOpen = value, true
	}
	if low == nil && high == nil {
		return
	}
	if saturated(low) || saturated(high) {
		c.refuse(steps, "a bound is more than 292 years, which does not fit Go's time.Duration; choose a smaller one")
	}
	if !finite(low) || !finite(high) {
		c.refuse(steps, "a bound is not finite; give a number, or the rule finite")
	}
	if low != nil && high != nil {
		if order := compare(low, high); order > 0 || order == 0 && (lowOpen || highOpen) {
			c.refuse(steps, "%s is not below %s, so that nothing is valid; lower the one or raise the other", r.first("gt", "gte"), r.first("lt", "lte"))
		}
	}
	add(RuleBounds, Bounds{Low: low, High: high, LowOpen: lowOpen, HighOpen: highOpen})
}

// values composes the rules that name values.
func (r rawRules) values(c *compiler, steps []int32, at place, add func(RuleKind, any)) {
	in, hasIn := r["in"].([]any)
	notIn, hasNotIn := r["not_in"].([]any)
	in, notIn = named(in, at), named(notIn, at)
	if only, ok := r["const"]; ok {
		if hasIn && !slices.Contains(in, only) || slices.Contains(notIn, only) {
			c.refuse(steps, "const is not among the values that in and not_in leave, so that nothing is valid; leave one out")
		}
		add(RuleConst, only)
	}
	if only, ok := r["const"]; ok && !finite(only) || slices.ContainsFunc(slices.Concat(in, notIn), func(value any) bool { return !finite(value) }) {
		c.refuse(steps, "a value is not finite; give numbers, or the rule finite")
	}
	if hasIn && hasNotIn && !slices.ContainsFunc(in, func(value any) bool { return !slices.Contains(notIn, value) }) {
		c.refuse(steps, "not_in has all values of in, so that nothing is valid; leave one out")
	}
	if hasIn {
		add(RuleIn, distinct(in))
	}
	if hasNotIn {
		add(RuleNotIn, distinct(notIn))
	}
}

// distinct are values in order, each once: cases of a switch do not repeat.
func distinct(values []any) []any {
	var out []any
	for _, value := range values {
		if !slices.Contains(out, value) {
			out = append(out, value)
		}
	}
	return out
}

// named gives the numbers of an enum their names.
func named(values []any, at place) []any {
	enum := at.field.Enum()
	if enum == nil || at.whole && at.field.IsList() {
		return values
	}
	out := make([]any, len(values))
	for i, value := range values {
		number := value.(int64)
		one := EnumValue{Number: number}
		if declared := enum.Values().ByNumber(protoreflect.EnumNumber(number)); declared != nil {
			one.Name = string(declared.Name())
		}
		out[i] = one
	}
	return out
}

// definedValues are an enum's numbers, sorted.
func definedValues(enum protoreflect.EnumDescriptor) []int64 {
	var numbers []int64
	for i := range enum.Values().Len() {
		numbers = append(numbers, int64(enum.Values().Get(i).Number()))
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// finite tells whether a value is anything but an infinity or NaN.
func finite(value any) bool {
	f, ok := value.(float64)
	return !ok || !math.IsNaN(f) && !math.IsInf(f, 0)
}

// compare orders two values of the same type.
func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case uint64:
		return cmp.Compare(a, b.(uint64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case time.Duration:
		return cmp.Compare(a, b.(time.Duration))
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	return 0
}
