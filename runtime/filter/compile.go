package filter

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// What several refusals say.
const (
	comparisonWanted = `compare an attribute, as in attributes.name == "x", or ask for one, as in has(attributes.name)`
	unknownName      = `the only variable is attributes, as in attributes.name == "x"; a string stands in quotes`
)

// compile returns no condition for an empty filter.
func compile(text string) (condition, *refusal) {
	if err := scan(text); err != nil {
		return nil, err
	}
	if strings.Trim(text, whiteSpace) == "" {
		return nil, nil
	}
	tree, err := parse(text)
	if err != nil {
		return nil, err
	}
	c := compiler{text: text, info: tree.SourceInfo()}
	return c.condition(tree.Expr())
}

// compiler makes conditions of a syntax tree.
type compiler struct {
	text string
	info *ast.SourceInfo
}

// condition compiles an expression that holds or does not.
func (c *compiler) condition(e ast.Expr) (condition, *refusal) {
	if e.Kind() == ast.CallKind {
		call := e.AsCall()
		switch function := call.FunctionName(); function {
		case operators.LogicalAnd:
			conditions, err := c.conditions(call.Args())
			return all(conditions), err
		case operators.LogicalOr:
			conditions, err := c.conditions(call.Args())
			return some(conditions), err
		case operators.LogicalNot:
			inner, err := c.condition(call.Args()[0])
			return not{inner}, err
		case operators.In:
			return c.in(call.Args()[0], call.Args()[1])
		case operators.Index, "double":
			// An attribute, and no condition.
		default:
			if is, ok := relationOf(function); ok {
				return c.comparison(call.Args()[0], is, call.Args()[1])
			}
			return c.function(e, call)
		}
	}
	if e.Kind() == ast.LiteralKind || e.Kind() == ast.ListKind {
		return nil, refuse(c.start(e), "a value alone is no condition; %s", comparisonWanted)
	}
	if _, err := c.attribute(e); err != nil {
		return nil, err
	}
	return nil, refuse(c.start(e), "an attribute alone is no condition; %s", comparisonWanted)
}

func (c *compiler) conditions(expressions []ast.Expr) ([]condition, *refusal) {
	conditions := make([]condition, len(expressions))
	for i, e := range expressions {
		var err *refusal
		if conditions[i], err = c.condition(e); err != nil {
			return nil, err
		}
	}
	return conditions, nil
}

func relationOf(function string) (is relation, ok bool) {
	switch function {
	case operators.Equals:
		return equal, true
	case operators.NotEquals:
		return unequal, true
	case operators.Less:
		return less, true
	case operators.LessEquals:
		return lessOrEqual, true
	case operators.Greater:
		return greater, true
	case operators.GreaterEquals:
		return greaterOrEqual, true
	}
	return 0, false
}

func (c *compiler) comparison(left ast.Expr, is relation, right ast.Expr) (condition, *refusal) {
	a, err := c.attribute(left)
	if err != nil {
		return nil, err
	}
	if a.number {
		value, err := c.number(right)
		return &numberIs{a.name, is, value}, err
	}
	value, err := c.string(right)
	return &textIs{a.name, is, value}, err
}

func (c *compiler) in(left, right ast.Expr) (condition, *refusal) {
	if isAttributes(right) {
		if name, ok := literal[types.String](left); ok {
			return present(name), nil
		}
		return nil, refuse(c.start(left), `what is looked for among the attributes is a name, as in "any-name" in attributes`)
	}
	if left.Kind() == ast.LiteralKind {
		return nil, refuse(c.start(left), `the attribute stands on the left, as in attributes.name in ["x"]; contains looks for a part of it`)
	}
	a, err := c.attribute(left)
	if err != nil {
		return nil, err
	}
	if right.Kind() != ast.ListKind {
		return nil, refuse(c.start(right), `on the right of in stands a list of values, as in attributes.name in ["x", "y"]`)
	}
	elements := right.AsList().Elements()
	if a.number {
		values, err := each(elements, c.number)
		return &numberIn{a.name, values}, err
	}
	values, err := each(elements, c.string)
	return &textIn{a.name, values}, err
}

func each[T any](elements []ast.Expr, value func(ast.Expr) (T, *refusal)) ([]T, *refusal) {
	values := make([]T, len(elements))
	for i, e := range elements {
		var err *refusal
		if values[i], err = value(e); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// function compiles a call of has, startsWith, endsWith or contains.
func (c *compiler) function(e ast.Expr, call ast.CallExpr) (condition, *refusal) {
	name, args := call.FunctionName(), call.Args()
	if name == "has" && !call.IsMemberFunction() {
		if len(args) == 1 && args[0].Kind() == ast.SelectKind {
			a, err := c.attribute(args[0])
			return present(a.name), err
		}
		return nil, refuse(c.position(e), `has asks for attributes.name; any other name is asked for by "any-name" in attributes`)
	}
	test, ok := tests(name)
	if !ok || !call.IsMemberFunction() {
		return nil, c.unknown(e, call)
	}
	a, err := c.attribute(call.Target())
	if err != nil {
		return nil, err
	}
	if a.number {
		return nil, refuse(c.position(e), "a number has no parts; ask attributes.%s without double()", a.name)
	}
	if len(args) != 1 {
		return nil, refuse(c.position(e), `%s has one argument, as in attributes.name.%s("x")`, name, name)
	}
	part, err := c.string(args[0])
	return &textHas{a.name, test, part}, err
}

// tests returns what a function asks.
func tests(function string) (has func(value, part string) bool, ok bool) {
	switch function {
	case "startsWith":
		return strings.HasPrefix, true
	case "endsWith":
		return strings.HasSuffix, true
	case "contains":
		return strings.Contains, true
	}
	return nil, false
}

// notAttribute says why a call does not stand for an attribute.
func (c *compiler) notAttribute(e ast.Expr, call ast.CallExpr) *refusal {
	function := call.FunctionName()
	_, part := tests(function)
	switch {
	case function == operators.LogicalNot:
		return refuse(c.position(e), `! belongs to what stands directly behind it; write !(attributes.name == "x"), or use !=`)
	case infix(function), part && call.IsMemberFunction(), function == "has" && !call.IsMemberFunction():
		return refuse(c.position(e), "a comparison holds or does not, and is not compared itself; && and || join comparisons, ! negates one")
	}
	return c.unknown(e, call)
}

// unknown says what to use instead of a function that a filter does not have.
func (c *compiler) unknown(e ast.Expr, call ast.CallExpr) *refusal {
	switch name := call.FunctionName(); name {
	case "matches":
		return refuse(c.position(e), "a filter has no regular expressions; use startsWith, endsWith and contains")
	case "all", "exists", "exists_one", "map", "filter":
		return refuse(c.position(e), "a filter has no macro but has()")
	case "has", "double":
		return refuse(c.position(e), "%s stands before its attribute, as in %s(attributes.name)", name, name)
	case "startsWith", "endsWith", "contains":
		return refuse(c.position(e), `%s stands behind its attribute, as in attributes.name.%s("x")`, name, name)
	}
	return refuse(c.position(e), "a filter has the functions has, double, startsWith, endsWith and contains, and not this one")
}
