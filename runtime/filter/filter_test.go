package filter_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/filter"
)

func compile(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(text)
	require.NoError(t, err, text)
	return f
}

func TestMatches(t *testing.T) {
	attributes := map[string]string{
		"a": "apple", "b": "banana", "empty": "", "n": "42", "neg": "-7.5", "big": "1e308", "eclair": "\u00e9clair",
		"my-name": "x", "in": "y", "quote": `it's "so"`, "nul": "a\x00b",
	}
	for _, c := range []struct {
		filter string
		holds  bool
	}{
		{``, true},
		{" \t\r\n\f", true},

		{`attributes.a == "apple"`, true},
		{`attributes.a == 'apple'`, true},
		{`attributes.a == "Apple"`, false},
		{`attributes.a != "apple"`, false},
		{`attributes.a != "x"`, true},
		{`attributes.a < "b"`, true},
		{`attributes.a < "apple"`, false},
		{`attributes.a <= "apple"`, true},
		{`attributes.a > "Z"`, true},
		{`attributes.a >= "apple"`, true},
		{`attributes.a >= "apple "`, false},
		{`attributes.empty == ""`, true},
		{`attributes.empty < "a"`, true},
		{`attributes.n < "5"`, true},
		{`attributes["my-name"] == "x"`, true},
		{`attributes["in"] == "y"`, true},
		{`attributes . a == "apple"`, true},

		// Byte by byte: no collation, and z is before é.
		{`attributes.eclair > "z"`, true},
		{`attributes.eclair == "éclair"`, true},
		{`attributes.eclair == "e\u0301clair"`, false},

		{`attributes.quote == "it's \"so\""`, true},
		{`attributes.quote == 'it\'s "so"'`, true},
		{`attributes.eclair.startsWith("\u00e9")`, true},
		{`attributes.eclair.startsWith("\U000000e9")`, true},
		{`attributes.eclair.startsWith("\xe9")`, true},
		{`attributes.eclair.startsWith("\351")`, true},
		{`attributes.nul == "a\x00b"`, true},

		{`attributes.a in ["pear", "apple"]`, true},
		{`attributes.a in ["pear", "apple",]`, true},
		{`attributes.a in ["pear"]`, false},
		{`attributes.a in []`, false},

		{`double(attributes.n) == 42`, true},
		{`double(attributes.n) == 42.0`, true},
		{`double(attributes.n) == 4.2e1`, true},
		{`double(attributes.n) == 420E-1`, true},
		{`double(attributes.n) != 42`, false},
		{`double(attributes.n) != 41`, true},
		{`double(attributes.n) > 5`, true},
		{`double(attributes.n) >= 42`, true},
		{`double(attributes.n) < 42`, false},
		{`double(attributes.n) <= 42`, true},
		{`double(attributes.n) in [1, 42]`, true},
		{`double(attributes.n) in [1, 41.5]`, false},
		{`double(attributes.n) in []`, false},
		{`double(attributes.neg) == -7.5`, true},
		{`double(attributes.neg) > -.5`, false},
		{`double(attributes.big) > 1e307`, true},
		{`double(attributes["n"]) == 42`, true},

		{`has(attributes.a)`, true},
		{`has(attributes.empty)`, true},
		{`has(attributes.x)`, false},
		{`"a" in attributes`, true},
		{`"my-name" in attributes`, true},
		{`"x" in attributes`, false},

		{`attributes.b.startsWith("ban")`, true},
		{`attributes.b.startsWith("an")`, false},
		{`attributes.b.endsWith("ana")`, true},
		{`attributes.b.endsWith("an")`, false},
		{`attributes.b.contains("nan")`, true},
		{`attributes.b.contains("x")`, false},
		{`attributes.b.contains("")`, true},
		{`attributes["b"].contains("nan")`, true},

		// && binds more than ||, and ! more than both.
		{`has(attributes.a) || has(attributes.x) && has(attributes.x)`, true},
		{`(has(attributes.a) || has(attributes.x)) && has(attributes.x)`, false},
		{`has(attributes.x) && has(attributes.x) || has(attributes.a)`, true},
		{`!has(attributes.x) && has(attributes.a)`, true},
		{`!(has(attributes.x) && has(attributes.a))`, true},
		{`!has(attributes.a) || has(attributes.a)`, true},
		{`!(has(attributes.a) || has(attributes.a))`, false},
		{`!!has(attributes.a)`, true},
		{`!!!has(attributes.a)`, false},
		{`! ! attributes.a.startsWith("x")`, false},
		{`((((has(attributes.a)))))`, true},
		{`has(attributes.a) && has(attributes.b) && has(attributes.n) && has(attributes.x)`, false},
		{`has(attributes.x) || has(attributes.y) || has(attributes.z) || has(attributes.a)`, true},

		// Without the attribute each comparison is false, and its negation true.
		{`attributes.x == "x"`, false},
		{`attributes.x == ""`, false},
		{`attributes.x != "x"`, false},
		{`!(attributes.x != "x")`, true},
		{`!(attributes.x == "x")`, true},
		{`attributes.x < "x"`, false},
		{`attributes.x <= ""`, false},
		{`attributes.x in [""]`, false},
		{`!(attributes.x in [""])`, true},
		{`attributes.x.startsWith("")`, false},
		{`!attributes.x.contains("")`, true},
		{`attributes.x.endsWith("")`, false},
		{`double(attributes.x) == 0`, false},
		{`double(attributes.x) != 0`, false},
		{`!(double(attributes.x) != 0)`, true},
		{`double(attributes.x) in [0]`, false},
		{`attributes.x == "x" || has(attributes.a)`, true},
		{`!(attributes.x == "x" && has(attributes.a))`, true},

		// Nor with what is not a number.
		{`double(attributes.a) == 0`, false},
		{`double(attributes.a) != 0`, false},
		{`!(double(attributes.a) != 0)`, true},
		{`double(attributes.empty) == 0`, false},
		{`double(attributes.empty) in [0]`, false},
	} {
		require.Equal(t, c.holds, compile(t, c.filter).Matches(attributes), c.filter)
	}
}

// TestNumbers tells what double() takes for a number.
func TestNumbers(t *testing.T) {
	number := compile(t, `double(attributes.n) == 0 || double(attributes.n) != 0`)
	for _, value := range []string{
		"0", "-0", "+5", "007", "5.", ".5", "-.5", "1.50", "1e3", "1E3", "1e+3", "1e-3", "5.e1", "9007199254740993", "123456789012345678901234567890",
		"1.7976931348623157e308", "-1.7976931348623157e308", "0.001e310", "1e-400", "0e999", "0.000e99999999999999999999", "1e-99999999999999999999",
		strings.Repeat("9", 308), "0." + strings.Repeat("0", 400) + "1e400",
	} {
		require.True(t, number.Matches(map[string]string{"n": value}), "%q is a number", value)
	}
	for _, value := range []string{
		"", " ", "-", "+", ".", "-.", "e1", ".e1", "1e", "1e+", "1e1.5", "1.2.3", "--1", "+-1", "1-", " 1", "1 ", "1,5", "1_000", "0x10", "0x1p4", "0b1", "1f",
		"NaN", "nan", "Inf", "-inf", "Infinity", "1e309", "1.8e308", "-1.8e308", "1e99999999999999999999", strings.Repeat("9", 310), "٣", "five",
	} {
		require.False(t, number.Matches(map[string]string{"n": value}), "%q is no number", value)
	}
}

func TestZeroFilterHoldsForEveryMessage(t *testing.T) {
	require.True(t, new(filter.Filter).Matches(nil))
	require.True(t, compile(t, "").Matches(map[string]string{"a": "b"}))
}

func TestMatchesAllocatesNothing(t *testing.T) {
	f := compile(t, everything)
	for _, attributes := range []map[string]string{
		nil,
		{"region": "eu-west-1", "kind": "order.created", "amount": "1250.75", "my-name": "x"},
		{"amount": "twelve"},
		{"amount": "1e999"},
		{"amount": strings.Repeat("9", 4096)},
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() { f.Matches(attributes) }))
	}
}

// everything is a filter with each kind of comparison, of which none but the last holds for the attributes that it is measured with.
const everything = `attributes.region == "us-east-1" || attributes.region in ["us-east-1", "us-east-2", "us-west-1"] ` +
	`|| attributes.kind.startsWith("invoice.") || double(attributes.amount) > 5000 ` +
	`|| double(attributes.amount) in [1, 2, 3.5] || !has(attributes.kind) || "other" in attributes ` +
	`|| attributes["my-name"] != "x" || attributes.kind.contains("refund") && attributes.kind.endsWith("x") || attributes.kind >= "order"`

func BenchmarkMatches(b *testing.B) {
	attributes := map[string]string{"region": "eu-west-1", "kind": "order.created", "amount": "1250.75", "my-name": "x"}
	for name, text := range map[string]string{
		"equal":      `attributes.kind == "order.created"`,
		"number":     `double(attributes.amount) > 1000`,
		"everything": everything,
	} {
		b.Run(name, func(b *testing.B) {
			f := compile(b, text)
			b.ReportAllocs()
			for b.Loop() {
				if !f.Matches(attributes) {
					b.Fatal("does not hold")
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := filter.Compile(everything); err != nil {
			b.Fatal(err)
		}
	}
}
