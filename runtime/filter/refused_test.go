package filter_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/filter"
)

// requireRefused demands that a text is no filter, and compares what is said of it.
func requireRefused(t *testing.T, text, message string) {
	t.Helper()
	_, err := filter.Compile(text)
	var refused *fault.Error
	require.True(t, errors.As(err, &refused), "%s: got %v", text, err)
	require.Equal(t, fault.InvalidArgument, refused.Code)
	require.Equal(t, "filter: "+message, refused.Message, "the message about %s", text)
	require.Equal(t, message, refused.Details[0].(*errdetails.BadRequest).GetFieldViolations()[0].GetDescription())
}

func TestRefusedGolden(t *testing.T) {
	golden, err := os.ReadFile("testdata/refused.golden")
	require.NoError(t, err)
	cases := strings.Split(strings.TrimSuffix(string(golden), "\n"), "\n\n")[1:]
	require.Greater(t, len(cases), 100)
	for _, c := range cases {
		text, message, ok := strings.Cut(c, "\n\t")
		require.True(t, ok, "a case is an expression, a line end, a tab and the message: %q", c)
		requireRefused(t, text, message)
	}
}

func TestRefusedBytes(t *testing.T) {
	const utf8 = "a filter is written in UTF-8, and this byte is not"
	requireRefused(t, "attributes.x == \"a\xffb\"", "byte 18, at `?b\"`: "+utf8)
	requireRefused(t, "attributes.x == \"a\xc3\"", "byte 18, at `?\"`: "+utf8)
	requireRefused(t, "\xff", "byte 0, at `?`: "+utf8)
	requireRefused(t, "attributes.x == \"a\nb\"", "byte 18, at ` b\"`: a string does not go over the end of a line; write \\n")
	requireRefused(t, "attributes.x == \"\\u12", `byte 17, at `+"`\\u12`"+`: this escape does not exist, or stands for no character; a backslash is written \\`)
	requireRefused(t, "attributes.x\x00", "byte 12, at ` `: this character stands only in strings, which are written \"x\" or 'x'")
}

// A place is counted in bytes, whatever the characters and lines before it are.
func TestRefusedPlaceIsInBytes(t *testing.T) {
	const unknown = "the only variable is attributes, as in attributes.name == \"x\"; a string stands in quotes"
	requireRefused(t, "attributes.x == \"é€😀\" && y == \"a\"", "byte 31, at `y == \"a\"`: "+unknown)
	requireRefused(t, "attributes.x == \"é\"\r\n||\n\ty == \"a\"", "byte 26, at `y == \"a\"`: "+unknown)
	requireRefused(t, "attributes.x == \"é\" ||\n", "byte 24, at the end: an attribute, a value or a comparison is missing here")
	requireRefused(t, "x == \"aaaaaaaaaaaaaaaaaaé\"", "byte 0, at `x == \"aaaaaaaaaaaaaaaaaa…`: "+unknown)
}

func TestLimits(t *testing.T) {
	comparisons := func(n int) string { return strings.Repeat(`has(attributes.x)||`, n-1) + `has(attributes.x)` }
	nested := func(n int) string {
		return strings.Repeat("!(", n) + `double(attributes["x"]) in [1]` + strings.Repeat(")", n)
	}
	sized := func(n int) string { return `attributes.x == "` + strings.Repeat("a", n-18) + `"` }

	for _, text := range []string{comparisons(filter.MaxComparisons), nested(filter.MaxNesting), sized(filter.MaxBytes)} {
		_, err := filter.Compile(text)
		require.NoError(t, err)
	}

	requireRefused(t, comparisons(filter.MaxComparisons+1), "byte 1900, at `has(attributes.x)`: this is comparison 101, and a filter may have 100")
	requireRefused(t, nested(filter.MaxNesting+1), "byte 101, at `(double(attributes[\"x\"])…`: this is level 51 of nesting, and a filter may have 50")
	requireRefused(t, sized(filter.MaxBytes+1), "byte 4096, at `\"`: the filter has 4097 bytes and may have 4096")
	requireRefused(t, strings.Repeat("f(", 60), "byte 105, at `(f(f(f(f(f(f(f(`: no filter nests brackets as deeply as here; it may have 50 levels")
	requireRefused(t, strings.Repeat("[", 4096), "byte 52, at `[[[[[[[[[[[[[[[[[[[[[[[[…`: no filter nests brackets as deeply as here; it may have 50 levels")
	requireRefused(t, strings.Repeat("has(attributes.x) && ", 100)+`"y" in attributes`,
		"byte 2104, at `in attributes`: this is comparison 101, and a filter may have 100")
}

// What would make the parser recurse or search without end is refused or small.
func TestHostile(t *testing.T) {
	for name, text := range map[string]string{
		"names":    "attributes" + strings.Repeat(".a", 2000),
		"indices":  "attributes" + strings.Repeat("[0]", 1300),
		"calls":    "attributes" + strings.Repeat(".a()", 1000),
		"chain":    "attributes.a" + strings.Repeat(` < "a"`, 600),
		"points":   strings.Repeat(".", 4096),
		"commas":   strings.Repeat(",", 4096),
		"messages": "a" + strings.Repeat(".a", 2000) + "{}",
		"groups":   strings.Repeat("()", 2000),
		"lists":    "attributes.a in [" + strings.Repeat(`"",`, 1300) + "1]",
	} {
		_, err := filter.Compile(text)
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), name)
	}
	_, err := filter.Compile(strings.Repeat("!", 4000) + "has(attributes.x)")
	require.NoError(t, err)
}
