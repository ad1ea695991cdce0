package filter

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// attribute is the left side of a comparison.
type attribute struct {
	name string
	// number says that it is compared as one, by double().
	number bool
}

// attribute compiles attributes.name, attributes["any-name"] and double() of them.
func (c *compiler) attribute(e ast.Expr) (attribute, *refusal) {
	switch e.Kind() {
	case ast.SelectKind:
		of := e.AsSelect().Operand()
		if isAttributes(of) {
			return attribute{name: e.AsSelect().FieldName()}, nil
		}
		if _, err := c.attribute(of); err != nil {
			return attribute{}, err
		}
		return attribute{}, refuse(c.position(e), `an attribute has no parts; a name with a point is written attributes["a.name"]`)
	case ast.CallKind:
		call := e.AsCall()
		switch args := call.Args(); {
		case call.FunctionName() == operators.Index:
			return c.indexed(e, args[0], args[1])
		case call.FunctionName() == "double" && !call.IsMemberFunction():
			if len(args) != 1 {
				return attribute{}, refuse(c.position(e), "double has one argument, as in double(attributes.name)")
			}
			a, err := c.attribute(args[0])
			if err == nil && a.number {
				err = refuse(c.position(e), "what is a number already needs no double()")
			}
			return attribute{a.name, true}, err
		default:
			return attribute{}, c.notAttribute(e, call)
		}
	case ast.IdentKind:
		if isAttributes(e) {
			return attribute{}, refuse(c.position(e), `the name of an attribute is missing; write attributes.name or attributes["any-name"]`)
		}
		return attribute{}, refuse(c.position(e), unknownName)
	default:
		return attribute{}, refuse(c.start(e), `the attribute stands on the left of a comparison, as in attributes.name == "x"`)
	}
}

func (c *compiler) indexed(e, of, index ast.Expr) (attribute, *refusal) {
	if !isAttributes(of) {
		if _, err := c.attribute(of); err != nil {
			return attribute{}, err
		}
		return attribute{}, refuse(c.position(e), "an attribute is a string and has no parts; use startsWith, endsWith and contains")
	}
	name, ok := literal[types.String](index)
	if !ok {
		return attribute{}, refuse(c.start(index), `the name of an attribute stands in quotes here, as in attributes["any-name"]`)
	}
	return attribute{name: string(name)}, nil
}

func isAttributes(e ast.Expr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == "attributes" }

// string compiles what an attribute is compared with.
func (c *compiler) string(e ast.Expr) (string, *refusal) {
	if value, ok := literal[types.String](e); ok {
		return string(value), nil
	}
	if e.Kind() == ast.LiteralKind {
		return "", refuse(c.start(e), "an attribute is a string: write this in quotes, or double(attributes.name) on the left to compare numbers")
	}
	return "", c.noLiteral(e, "a string in quotes")
}

// number compiles what an attribute is compared with as a number.
func (c *compiler) number(e ast.Expr) (float64, *refusal) {
	if value, ok := literal[types.Int](e); ok {
		return float64(value), nil
	}
	if value, ok := literal[types.Double](e); ok {
		return float64(value), nil
	}
	if e.Kind() == ast.LiteralKind {
		return 0, refuse(c.start(e), "double() is compared with a number: write this as one, without quotes, or leave double() out")
	}
	return 0, c.noLiteral(e, "a number")
}

func (c *compiler) noLiteral(e ast.Expr, wanted string) *refusal {
	return refuse(c.start(e), "an attribute is compared with %s, not with other attributes, lists and calls; in takes a list", wanted)
}

func literal[T types.Bool | types.Double | types.Int | types.String](e ast.Expr) (T, bool) {
	var none T
	if e.Kind() != ast.LiteralKind {
		return none, false
	}
	value, ok := e.AsLiteral().(T)
	return value, ok
}

// start returns the byte where an expression starts, without the parentheses that it stands in.
func (c *compiler) start(e ast.Expr) int {
	for {
		switch {
		case e.Kind() == ast.SelectKind:
			e = e.AsSelect().Operand()
		case e.Kind() != ast.CallKind:
			return c.position(e)
		case e.AsCall().IsMemberFunction():
			e = e.AsCall().Target()
		case infix(e.AsCall().FunctionName()):
			e = e.AsCall().Args()[0]
		default:
			return c.position(e)
		}
	}
}

// infix tells whether a call is of an operator that stands behind its first argument.
func infix(function string) bool {
	switch function {
	case operators.LogicalAnd, operators.LogicalOr, operators.In, operators.Index:
		return true
	}
	_, ok := relationOf(function)
	return ok
}

// position returns the byte of what makes an expression what it is: its operator, its point, the name of its function.
func (c *compiler) position(e ast.Expr) int {
	offsets, _ := c.info.GetOffsetRange(e.ID())
	at := byteAt(c.text, offsets.Start)
	if e.Kind() == ast.CallKind && strings.HasPrefix(c.text[at:], "(") { // cel-go has the place of the parenthesis
		before := strings.TrimRight(c.text[:at], whiteSpace)
		at = len(strings.TrimRightFunc(before, func(r rune) bool { return r < 0x80 && (isLetter(byte(r)) || isDigit(byte(r))) }))
	}
	return at
}
