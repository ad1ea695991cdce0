package filter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// FuzzCompile demands of any text: no panic, the same answer twice, a place within the text, and that what Compile takes is CEL.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		"", "attributes.a == \"\\u00e9\" && !has(attributes[\"b\"])", "double(attributes.n) in [-1.5e3, 2,] || 'é' in attributes", "((((",
		"attributes.a.b[\"c\"](1)", "a ? b : c",
		"attributes.a < 'x' < 'y'", "!attributes.a", "\"\xff", "-.5 == 99999999999999999999", ".f(,)", "in in in", "attributes.a\n==\r\n'\\101'",
	} {
		f.Add(text)
	}
	env := newEnv(f)
	f.Fuzz(func(t *testing.T, text string) {
		root, refused := compile(text)
		again, refusedAgain := compile(text)
		require.Equal(t, refused, refusedAgain)
		if refused != nil {
			require.GreaterOrEqual(t, refused.at, 0)
			require.LessOrEqual(t, refused.at, len(text))
			require.Error(t, refused.fault(text))
			return
		}
		for _, attributes := range []map[string]string{nil, {"a": "1", "b": "x", "n": "-2.5"}} {
			if root != nil {
				require.Equal(t, root.holds(attributes), again.holds(attributes))
			}
		}
		if root != nil {
			_, issues := env.Parse(text)
			require.NoError(t, issues.Err())
		}
	})
}

// FuzzMatches compares what filters say of attributes with cel-go, where CEL has no error and numbers are doubles.
func FuzzMatches(f *testing.F) {
	for _, text := range []string{
		`attributes.a == "x" || attributes["b"] < '\u00e9'`, `!has(attributes.c) && attributes.b in ["", "a",]`, `double(attributes.a) >= -1.5e2`,
		`double(attributes.a) in [1, .5] || "b" in attributes`, `attributes.a.startsWith("x") && !(attributes.b.contains("y") || attributes.b.endsWith("z"))`,
	} {
		f.Add(text, "x", "é")
		f.Add(text, "-7.25e1", "1")
	}
	env := newEnv(f)
	integer := regexp.MustCompile("[0-9]{16}") // may be one that is no double
	f.Fuzz(func(t *testing.T, text, a, b string) {
		filter, err := Compile(text)
		if err != nil || filter.root == nil || integer.MatchString(text) {
			return
		}
		attributes := map[string]string{"a": a, "b": b}
		for _, value := range attributes {
			_, ours := number(value)
			if _, err := strconv.ParseFloat(value, 64); ours != (err == nil) {
				return // hexadecimal, NaN, or infinite
			}
		}
		if want, _, err := program(t, env, text).Eval(map[string]any{"attributes": attributes}); err == nil {
			require.Equal(t, want.Value(), filter.Matches(attributes), "%s with %q", text, attributes)
		}
	})
}

// TestMatchesAgreesWithCEL compares filters of every form with cel-go. Where CEL has an error and a filter has a meaning, the expression that cel-go evaluates
// is guarded: it asks first whether the attribute is there, and by a regular expression whether it is a number.
func TestMatchesAgreesWithCEL(t *testing.T) {
	env := newEnv(t)
	rapid.Check(t, func(t *rapid.T) {
		text, guarded := drawCondition(t, 3)
		filter, err := Compile(text)
		require.NoError(t, err, text)
		cel := program(t, env, guarded)
		for _, attributes := range rapid.SliceOfN(rapid.MapOf(rapid.SampledFrom(names), rapid.SampledFrom(values)), 20, 20).Draw(t, "attributes") {
			want, _, err := cel.Eval(map[string]any{"attributes": attributes})
			require.NoError(t, err, guarded)
			require.Equal(t, want.Value(), filter.Matches(attributes), "%s with %q", text, attributes)
		}
	})
}

// program is cel-go's of an expression. It is not checked: the checker does not compare a double with an integer, the evaluation does.
func program(t require.TestingT, env *cel.Env, text string) cel.Program {
	tree, issues := env.Parse(text)
	require.NoError(t, issues.Err(), text)
	program, err := env.Program(tree)
	require.NoError(t, err)
	return program
}

func newEnv(t testing.TB) *cel.Env {
	env, err := cel.NewEnv(cel.Variable("attributes", cel.MapType(cel.StringType, cel.StringType)))
	require.NoError(t, err)
	return env
}

var (
	names  = []string{"a", "b", "startsWith", "my-name", "é"}
	values = []string{
		"", "a", "ab", "b", "é", "e\u0301", "\x00", "z", "0", "-0", "1", "1.0", "+1", ".5", "5.", "1e2", "100",
		"-2.5", "1e", "0x1p4", "NaN", "Inf", "1_0", "1e-400", " 1",
	}
	numbers = []string{"0", "-0", "1", "1.0", "1e2", ".5", "-2.5", "100", "007", "1E-400", "9223372036854775807"}
)

// aNumber guards double() in the expression for cel-go: it tells by other means than ours what a decimal number is.
const aNumber = `matches("^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$")`

// drawCondition returns a filter and the CEL expression that means the same.
func drawCondition(t *rapid.T, depth int) (filter, guarded string) {
	kinds := 6
	if depth == 0 {
		kinds = 3
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 3, 4:
		operator := rapid.SampledFrom([]string{" && ", " || "}).Draw(t, "operator")
		n := rapid.IntRange(2, 4).Draw(t, "n")
		filters, guards := make([]string, n), make([]string, n)
		for i := range n {
			filters[i], guards[i] = drawCondition(t, depth-1)
		}
		filter, guarded = strings.Join(filters, operator), strings.Join(guards, operator)
		if rapid.Bool().Draw(t, "grouped") {
			return "(" + filter + ")", "(" + guarded + ")"
		}
		return filter, guarded
	case 5:
		filter, guarded = drawCondition(t, depth-1)
		return "!(" + filter + ")", "!(" + guarded + ")"
	}
	name := rapid.SampledFrom(names).Draw(t, "name")
	attribute := fmt.Sprintf("attributes[%q]", name)
	if isLetter(name[0]) && !strings.Contains(name, "-") {
		attribute = rapid.SampledFrom([]string{attribute, "attributes." + name}).Draw(t, "attribute")
	}
	relation := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "relation")
	quoted := rapid.Map(rapid.SampledFrom(values), strconv.QuoteToASCII)
	number := rapid.SampledFrom(numbers)
	list := func(of *rapid.Generator[string]) string {
		return "[" + strings.Join(rapid.SliceOfN(of, 0, 4).Draw(t, "list"), ", ") + "]"
	}
	there := fmt.Sprintf("%q in attributes", name)
	switch rapid.IntRange(0, 5).Draw(t, "comparison") {
	case 0:
		filter = fmt.Sprintf("%s %s %s", attribute, relation, quoted.Draw(t, "value"))
	case 1:
		filter = attribute + " in " + list(quoted)
	case 2:
		function := rapid.SampledFrom([]string{"startsWith", "endsWith", "contains"}).Draw(t, "function")
		filter = fmt.Sprintf("%s.%s(%s)", attribute, function, quoted.Draw(t, "part"))
	case 3:
		filter = fmt.Sprintf("double(%s) %s %s", attribute, relation, number.Draw(t, "value"))
		there += fmt.Sprintf(" && %s.%s", attribute, aNumber)
	case 4:
		filter = fmt.Sprintf("double(%s) in %s", attribute, list(number))
		there += fmt.Sprintf(" && %s.%s", attribute, aNumber)
	case 5:
		if filter = there; strings.HasPrefix(attribute, "attributes.") {
			filter = "has(" + attribute + ")"
		}
	}
	return filter, "(" + there + " && " + filter + ")"
}
