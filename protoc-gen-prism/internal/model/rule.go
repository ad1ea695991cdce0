package model

// Rule is one constraint, compiled from buf.validate's options. Bounds that belong together are one rule, so that a check and a sentence of the
// documentation are made for each.
type Rule struct {
	// Kind says what is checked.
	Kind RuleKind
	// Value is what it is checked against; see the kinds for its type.
	Value any
}

// RuleKind says what a rule checks.
type RuleKind int

// The kinds of rules, in the order in which they are checked. The type of [Rule.Value] is in brackets; V is the Go type of the value: bool, int64,
// uint64, float64, string, EnumValue, [time.Duration] or [time.Time].
const (
	// RuleRequired demands that the field is set, or not zero where it has no presence, or not empty where it is repeated or a map (nil).
	RuleRequired RuleKind = iota + 1
	// RuleIgnoreZero stands before all others and keeps them from the zero value (nil).
	RuleIgnoreZero
	// RuleItems bounds the number of items (Size).
	RuleItems
	// RulePairs bounds the number of a map's entries (Size).
	RulePairs
	// RuleUnique forbids equal items (nil).
	RuleUnique
	// RuleBytes bounds the size of a string or bytes (Size).
	RuleBytes
	// RuleChars bounds the number of a string's Unicode code points (Size).
	RuleChars
	// RuleCharset bounds a string's size and its characters, which are ASCII (Charset).
	RuleCharset
	// RulePattern demands a match of a regular expression, anywhere unless it is anchored (string).
	RulePattern
	// RulePrefix, RuleSuffix, RuleContains and RuleNotContains look for a text in a string (string).
	RulePrefix
	RuleSuffix
	RuleContains
	RuleNotContains
	// RuleFinite forbids infinities and NaN (nil).
	RuleFinite
	// RuleBounds bounds a number, a duration or a timestamp (Bounds).
	RuleBounds
	// RuleDefined demands one of an enum's declared values ([]int64, sorted).
	RuleDefined
	// RuleConst demands one value (V).
	RuleConst
	// RuleIn and RuleNotIn list values ([]any of V).
	RuleIn
	RuleNotIn
)

// Size bounds a number of bytes, characters, items or pairs.
type Size struct {
	// Min is 0 where nothing is said.
	Min uint64
	// Max is meant when Bounded.
	Max     uint64
	Bounded bool
}

// Bounds are a lower and an upper bound; a nil one is not there.
type Bounds struct {
	// Low and High are the bounds.
	Low, High any
	// LowOpen and HighOpen exclude the bound itself.
	LowOpen, HighOpen bool
}

// EnumValue is a value of an enum.
type EnumValue struct {
	// Number is the value, Name its proto name; empty where the enum declares none.
	Number int64
	Name   string
}
