package emit

import (
	"slices"
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// rules writes the checks of rules on a value.
func (c *checker) rules(v value, rules []model.Rule) []jen.Code {
	if len(rules) > 0 && rules[0].Kind == model.RuleIgnoreZero {
		checks := c.rules(v, rules[1:])
		if len(checks) == 0 {
			return nil
		}
		return []jen.Code{jen.If(notZero(v)).Block(checks...)}
	}
	var out []jen.Code
	for _, rule := range rules {
		out = append(out, c.rule(v, rule)...)
	}
	return out
}

// rule writes the check of one rule: nothing when it holds for every value.
func (c *checker) rule(v value, rule model.Rule) []jen.Code {
	requirement := v.verb + rule.Words()
	switch rule.Kind {
	case model.RuleItems, model.RulePairs, model.RuleBytes:
		return size(v, jen.Len(v.expr()), rule.Value.(model.Size), requirement)
	case model.RuleChars:
		return size(v, jen.Qual("unicode/utf8", "RuneCountInString").Call(v.expr()), rule.Value.(model.Size), requirement)
	case model.RuleCharset:
		return c.charset(v, rule.Value.(model.Charset), requirement)
	case model.RulePattern:
		return []jen.Code{fail(jen.Op("!").Id(c.expression(v, rule)).Dot("MatchString").Call(v.expr()), text(v, requirement))}
	case model.RulePrefix, model.RuleSuffix, model.RuleContains, model.RuleNotContains:
		return []jen.Code{fail(contains(v, rule), text(v, requirement))}
	case model.RuleFinite:
		number := func() *jen.Statement {
			if v.typ == model.TypeFloat {
				return jen.Float64().Call(v.expr())
			}
			return v.expr()
		}
		return []jen.Code{fail(jen.Qual("math", "IsNaN").Call(number()).Op("||").Qual("math", "IsInf").Call(number(), jen.Lit(0)), scalar(v, requirement))}
	case model.RuleUnique:
		return unique(v)
	case model.RuleBounds:
		return bounds(v, rule.Value.(model.Bounds), requirement)
	case model.RuleDefined:
		return []jen.Code{fail(undefined(v, rule.Value.([]int64)), scalar(v, requirement))}
	default:
		return []jen.Code{fail(valueCondition(v, rule), scalar(v, requirement))}
	}
}

// size compares a number of something with its bounds.
func size(v value, count jen.Code, s model.Size, requirement string) []jen.Code {
	condition := sizeCondition(jen.Id("n"), s)
	if condition == nil {
		return nil
	}
	return []jen.Code{jen.If(jen.Id("n").Op(":=").Add(count), condition).Block(jen.Return(jen.Qual(checkPath, "Size").Call(v.path(), jen.Lit(requirement), jen.Id("n"))))}
}

func sizeCondition(n jen.Code, s model.Size) *jen.Statement {
	var conditions []jen.Code
	switch {
	case s.Bounded && s.Min == s.Max:
		conditions = append(conditions, jen.Add(n).Op("!=").Lit(int(s.Min)))
	default:
		if s.Min > 0 {
			conditions = append(conditions, jen.Add(n).Op("<").Lit(int(s.Min)))
		}
		if s.Bounded {
			conditions = append(conditions, jen.Add(n).Op(">").Lit(int(s.Max)))
		}
	}
	return join("||", conditions)
}

// charset looks each byte up in a table.
func (c *checker) charset(v value, set model.Charset, requirement string) []jen.Code {
	table := c.table(v, "Charset", jen.Qual(checkPath, "NewCharset").Call(jen.Lit(set.Pairs)))
	outside := jen.Op("!").Id(table).Dot("Holds").Call(v.expr())
	conditions := []jen.Code{outside}
	if s := sizeCondition(jen.Len(v.expr()), set.Size); s != nil {
		conditions = []jen.Code{s, outside}
	}
	return []jen.Code{fail(join("||", conditions), text(v, requirement))}
}

// expression is the regular expression of a rule.
func (c *checker) expression(v value, rule model.Rule) string {
	return c.table(v, "Pattern", jen.Qual("regexp", "MustCompile").Call(constant(rule.Value)))
}

// table is the package variable that has a value to look things up in. It is named after the first field that uses it.
func (c *checker) table(v value, suffix string, initial *jen.Statement) string {
	key := initial.GoString()
	if name, ok := c.names[key]; ok {
		return name
	}
	name := model.Unexported(c.message.Go.Name) + v.field.GoName
	if v.verb != "must " {
		name += "Key"
	}
	name += suffix
	c.names[key] = name
	c.tables = append(c.tables, jen.Var().Id(name).Op("=").Add(initial))
	return name
}

func contains(v value, rule model.Rule) jen.Code {
	call := func(name string) *jen.Statement { return jen.Qual("strings", name).Call(v.expr(), jen.Lit(rule.Value)) }
	switch rule.Kind {
	case model.RulePrefix:
		return jen.Op("!").Add(call("HasPrefix"))
	case model.RuleSuffix:
		return jen.Op("!").Add(call("HasSuffix"))
	case model.RuleContains:
		return jen.Op("!").Add(call("Contains"))
	default:
		return call("Contains")
	}
}

func unique(v value) []jen.Code {
	find := "Duplicate"
	if v.typ == model.TypeBytes {
		find = "DuplicateBytes"
	}
	path := jen.Qual(checkPath, "Index").Call(v.path(), jen.Id("i"))
	return []jen.Code{jen.If(jen.Id("i").Op(":=").Qual(checkPath, find).Call(v.expr()), jen.Id("i").Op(">=").Lit(0)).Block(
		jen.Return(must(path, "must not repeat a former item")))}
}

// undefined is the condition that an enum has a value that is not declared.
func undefined(v value, numbers []int64) jen.Code {
	first, last := numbers[0], numbers[len(numbers)-1]
	if last-first == int64(len(numbers)-1) {
		return jen.Add(v.expr()).Op("<").Add(constant(first)).Op("||").Add(v.expr()).Op(">").Add(constant(last))
	}
	conditions := make([]jen.Code, len(numbers))
	for i, number := range numbers {
		conditions[i] = jen.Add(v.expr()).Op("!=").Add(constant(number))
	}
	return join("&&", conditions)
}

// valueCondition is the condition that a value is not the one, or not among those, that it should be.
func valueCondition(v value, rule model.Rule) jen.Code {
	if wanted, ok := rule.Value.(bool); ok {
		if wanted {
			return jen.Op("!").Add(v.expr())
		}
		return v.expr()
	}
	if rule.Kind == model.RuleConst {
		return jen.Add(v.expr()).Op("!=").Add(constant(rule.Value))
	}
	compare, combine := "!=", "&&"
	if rule.Kind == model.RuleNotIn {
		compare, combine = "==", "||"
	}
	var conditions []jen.Code
	for _, one := range rule.Value.([]any) {
		conditions = append(conditions, jen.Add(v.expr()).Op(compare).Add(constant(one)))
	}
	return join(combine, conditions)
}

// text is the error of a string; it is not quoted where its role forbids that.
func text(v value, requirement string) jen.Code {
	if hidden(v.field) {
		return must(v.path(), requirement)
	}
	return jen.Qual(checkPath, "Text").Call(v.path(), jen.Lit(requirement), v.expr())
}

// scalar is the error of any other value.
func scalar(v value, requirement string) jen.Code {
	if v.typ == model.TypeString {
		return text(v, requirement)
	}
	if hidden(v.field) {
		return must(v.path(), requirement)
	}
	return jen.Qual(checkPath, "Value").Call(v.path(), jen.Lit(requirement), v.expr())
}

// hidden tells whether an error must not show what a field holds.
func hidden(f *model.Field) bool {
	return slices.Contains([]string{"Payload", "Compared", "Secret"}, f.Role)
}

// join combines conditions; nil when there are none.
func join(operator string, conditions []jen.Code) *jen.Statement {
	var out *jen.Statement
	for _, condition := range conditions {
		if out == nil {
			out = jen.Add(condition)
		} else {
			out = out.Op(operator).Add(condition)
		}
	}
	return out
}

// constant is a value as a constant without type.
func constant(value any) jen.Code {
	switch v := value.(type) {
	case model.EnumValue:
		return jen.Op(strconv.FormatInt(v.Number, 10))
	case int64:
		return jen.Op(strconv.FormatInt(v, 10))
	case uint64:
		return jen.Op(strconv.FormatUint(v, 10))
	case float64:
		return jen.Op(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return jen.Lit(value)
}
