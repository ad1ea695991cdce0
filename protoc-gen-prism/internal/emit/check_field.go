package emit

import (
	"path"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// checker writes the check of one message.
type checker struct {
	message *model.Message
	// tables are the package variables that the check looks things up in; names are those of the file's tables by their values.
	tables []jen.Code
	names  map[string]string
}

// value is something to check: a field, an item, a map's key or value.
type value struct {
	field *model.Field
	typ   model.Type
	// expr makes the expression, path that of the path in errors.
	expr, path func() *jen.Statement
	// verb begins the requirement: "must ".
	verb string
	// element is set for items, keys and values.
	element bool
}

// field writes the checks of a field.
func (c *checker) field(f *model.Field) []jen.Code {
	nested := f.Message != nil && f.Message.Constrained()
	if !f.Constrained() && !nested {
		return nil
	}
	getter := func() *jen.Statement { return jen.Id("m").Dot("Get" + f.GoName).Call() }
	v := value{field: f, typ: f.Type, expr: getter, path: func() *jen.Statement { return jen.Lit(f.Name) }, verb: "must "}
	switch {
	case f.Repeated || f.Map:
		return c.collection(v)
	case f.Oneof != nil:
		return c.member(v)
	}
	return c.single(v)
}

// single writes the checks of a field that is neither repeated nor a member of a oneof. One with presence that is absent meets all rules but required.
func (c *checker) single(v value) []jen.Code {
	f := v.field
	var out []jen.Code
	rules := f.Rules
	absent, present := jen.Add(v.expr()).Op("==").Nil(), jen.Add(v.expr()).Op("!=").Nil()
	if f.Optional {
		absent = jen.Id("m").Op("==").Nil().Op("||").Id("m").Dot(f.GoName).Op("==").Nil()
		present = jen.Id("m").Op("!=").Nil().Op("&&").Id("m").Dot(f.GoName).Op("!=").Nil()
	}
	presence := f.Optional || f.Message != nil
	if len(rules) > 0 && rules[0].Kind == model.RuleRequired {
		if !presence {
			absent = zero(v)
		}
		out = append(out, fail(absent, must(v.path(), "must be set")))
		rules = rules[1:]
		present = nil
	}
	checks := append(c.rules(v, rules), c.nested(v)...)
	if presence && present != nil && len(checks) > 0 {
		checks = []jen.Code{jen.If(present).Block(checks...)}
	}
	return append(out, checks...)
}

// member writes the checks of a member of a oneof.
func (c *checker) member(v value) []jen.Code {
	f := v.field
	rules := f.Rules
	required := len(rules) > 0 && rules[0].Kind == model.RuleRequired
	if required {
		rules = rules[1:]
	}
	v.expr = func() *jen.Statement { return jen.Id("member").Dot(f.GoName) }
	checks := append(c.rules(v, rules), c.nested(v)...)
	set := jen.List(jen.Id("member"), jen.Id("ok")).Op(":=").Id("m").Dot("Get" + f.Oneof.GoName).Call().Assert(jen.Op("*").Add(ident(f.OneofWrapper)))
	unset := jen.List(jen.Id("_"), jen.Id("ok")).Op(":=").Id("m").Dot("Get" + f.Oneof.GoName).Call().Assert(jen.Op("*").Add(ident(f.OneofWrapper)))
	var out []jen.Code
	if required {
		out = append(out, jen.If(unset, jen.Op("!").Id("ok")).Block(jen.Return(must(v.path(), "must be set"))))
	}
	if len(checks) > 0 {
		out = append(out, jen.If(set, jen.Id("ok")).Block(checks...))
	}
	return out
}

// nested writes the call of a message's own check.
func (c *checker) nested(v value) []jen.Code {
	message := v.field.Message
	if message == nil || v.typ != model.TypeMessage || !message.Constrained() {
		return nil
	}
	return []jen.Code{jen.If(jen.Err().Op(":=").Add(ident(message.Check)).Call(v.expr()), jen.Err().Op("!=").Nil()).Block(
		jen.Return(jen.Qual(checkPath, "At").Call(jen.Err(), v.path())))}
}

// collection writes the checks of a repeated field or a map: of the whole, then of each item or entry.
func (c *checker) collection(v value) []jen.Code {
	f := v.field
	rules := f.Rules
	var out, checks []jen.Code
	if len(rules) > 0 && rules[0].Kind == model.RuleRequired {
		out = append(out, fail(jen.Len(v.expr()).Op("==").Lit(0), must(v.path(), "must be set")))
		rules = rules[1:]
	}
	ignoreZero := len(rules) > 0 && rules[0].Kind == model.RuleIgnoreZero
	if ignoreZero {
		rules = rules[1:]
	}
	checks = append(c.rules(v, rules), c.total(v)...)
	if f.Map {
		checks = append(checks, c.entries(v)...)
	} else {
		checks = append(checks, c.items(v)...)
	}
	if ignoreZero && len(checks) > 0 {
		checks = []jen.Code{jen.If(jen.Len(v.expr()).Op("!=").Lit(0)).Block(checks...)}
	}
	return append(out, checks...)
}

func (c *checker) total(v value) []jen.Code {
	f := v.field
	if f.MaxTotalBytes == 0 {
		return nil
	}
	sum := "Total"
	if f.Map {
		sum = "TotalMap"
	}
	return []jen.Code{jen.If(jen.Id("n").Op(":=").Qual(checkPath, sum).Call(v.expr()), jen.Id("n").Op(">").Lit(f.MaxTotalBytes)).Block(
		jen.Return(jen.Qual(checkPath, "Size").Call(v.path(), jen.Lit("must "+model.TotalWords(f.MaxTotalBytes)), jen.Id("n"))))}
}

func (c *checker) items(v value) []jen.Code {
	item := v
	item.element = true
	item.expr = func() *jen.Statement { return jen.Id("item") }
	item.path = func() *jen.Statement { return jen.Qual(checkPath, "Index").Call(v.path(), jen.Id("i")) }
	checks := append(c.rules(item, v.field.Items), c.nested(item)...)
	if len(checks) == 0 {
		return nil
	}
	return []jen.Code{jen.For(jen.List(jen.Id("i"), jen.Id("item")).Op(":=").Range().Add(v.expr())).Block(checks...)}
}

func (c *checker) entries(v value) []jen.Code {
	key, entry := v, v
	key.element, entry.element = true, true
	key.typ, key.verb = v.field.MapKey, "must, as a key, "
	key.expr = func() *jen.Statement { return jen.Id("key") }
	entry.expr = func() *jen.Statement { return jen.Id("entry") }
	entry.path = func() *jen.Statement { return jen.Qual(checkPath, "Key").Call(v.path(), jen.Id("key")) }
	key.path = entry.path
	ofKeys := c.rules(key, v.field.Keys)
	ofEntries := append(c.rules(entry, v.field.Items), c.nested(entry)...)
	if len(ofKeys)+len(ofEntries) == 0 {
		return nil
	}
	names := jen.Id("key")
	if len(ofEntries) > 0 {
		names = jen.List(jen.Id("key"), jen.Id("entry"))
	}
	return []jen.Code{jen.For(names.Op(":=").Range().Add(v.expr())).Block(append(ofKeys, ofEntries...)...)}
}

func lastElement(packagePath string) string { return path.Base(packagePath) }
