package filter

import (
	"cmp"
	"slices"
)

// condition is what a filter is made of. It holds or it does not: there is no third value.
type condition interface {
	holds(attributes map[string]string) bool
}

// all holds when each of its conditions does.
type all []condition

func (a all) holds(attributes map[string]string) bool {
	for _, c := range a {
		if !c.holds(attributes) {
			return false
		}
	}
	return true
}

// some holds when one of its conditions does.
type some []condition

func (s some) holds(attributes map[string]string) bool {
	for _, c := range s {
		if c.holds(attributes) {
			return true
		}
	}
	return false
}

// not holds when its condition does not.
type not struct{ condition }

func (n not) holds(attributes map[string]string) bool { return !n.condition.holds(attributes) }

// present holds when the attribute is there.
type present string

func (p present) holds(attributes map[string]string) bool {
	_, ok := attributes[string(p)]
	return ok
}

// textIs compares an attribute with a string, byte by byte.
type textIs struct {
	name  string
	is    relation
	value string
}

func (t *textIs) holds(attributes map[string]string) bool {
	value, ok := attributes[t.name]
	return ok && related(t.is, value, t.value)
}

// textIn looks for an attribute among strings.
type textIn struct {
	name   string
	values []string
}

func (t *textIn) holds(attributes map[string]string) bool {
	value, ok := attributes[t.name]
	return ok && slices.Contains(t.values, value)
}

// textHas asks an attribute for a part of it.
type textHas struct {
	name string
	has  func(value, part string) bool
	part string
}

func (t *textHas) holds(attributes map[string]string) bool {
	value, ok := attributes[t.name]
	return ok && t.has(value, t.part)
}

// numberIs compares an attribute that is a number with a number.
type numberIs struct {
	name  string
	is    relation
	value float64
}

func (n *numberIs) holds(attributes map[string]string) bool {
	value, ok := number(attributes[n.name])
	return ok && related(n.is, value, n.value)
}

// numberIn looks for an attribute that is a number among numbers.
type numberIn struct {
	name   string
	values []float64
}

func (n *numberIn) holds(attributes map[string]string) bool {
	value, ok := number(attributes[n.name])
	return ok && slices.Contains(n.values, value)
}

// relation is what one of the operators of comparison asks.
type relation int

const (
	equal relation = iota
	unequal
	less
	lessOrEqual
	greater
	greaterOrEqual
)

func related[T cmp.Ordered](is relation, a, b T) bool {
	switch is {
	case equal:
		return a == b
	case unequal:
		return a != b
	case less:
		return a < b
	case lessOrEqual:
		return a <= b
	case greater:
		return a > b
	default:
		return a >= b
	}
}
