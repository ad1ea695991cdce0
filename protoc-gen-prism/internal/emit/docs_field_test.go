package emit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// ruleWords has a rule of each kind with what the documentation says of it.
var ruleWords = map[string]struct {
	rule model.Rule
	want string
}{
	"RuleRequired":    {model.Rule{Kind: model.RuleRequired}, "be set"},
	"RuleIgnoreZero":  {model.Rule{Kind: model.RuleIgnoreZero}, "be empty, or else:"},
	"RuleItems":       {model.Rule{Kind: model.RuleItems, Value: model.Size{Min: 1, Max: 1000, Bounded: true}}, "have 1 to 1,000 items"},
	"RulePairs":       {model.Rule{Kind: model.RulePairs, Value: model.Size{Max: 64, Bounded: true}}, "have at most 64 entries"},
	"RuleUnique":      {model.Rule{Kind: model.RuleUnique}, "have no item twice"},
	"RuleBytes":       {model.Rule{Kind: model.RuleBytes, Value: model.Size{Min: 1, Max: 1024, Bounded: true}}, "be 1 to 1,024 bytes"},
	"RuleChars":       {model.Rule{Kind: model.RuleChars, Value: model.Size{Min: 2}}, "be at least 2 characters"},
	"RuleCharset":     {model.Rule{Kind: model.RuleCharset, Value: model.Charset{Text: "a-z", Size: model.Size{Min: 1, Max: 9, Bounded: true}}}, "be 1 to 9 characters of a-z"},
	"RulePattern":     {model.Rule{Kind: model.RulePattern, Value: "^a+b"}, "match ^a+b"},
	"RulePrefix":      {model.Rule{Kind: model.RulePrefix, Value: "x-"}, `begin with "x-"`},
	"RuleSuffix":      {model.Rule{Kind: model.RuleSuffix, Value: ".md"}, `end with ".md"`},
	"RuleContains":    {model.Rule{Kind: model.RuleContains, Value: "@"}, `contain "@"`},
	"RuleNotContains": {model.Rule{Kind: model.RuleNotContains, Value: "\x00"}, `not contain "\x00"`},
	"RuleFinite":      {model.Rule{Kind: model.RuleFinite}, "be finite"},
	"RuleBounds":      {model.Rule{Kind: model.RuleBounds, Value: model.Bounds{Low: int64(-5), High: int64(5000)}}, "be -5 to 5,000"},
	"RuleDefined":     {model.Rule{Kind: model.RuleDefined, Value: []int64{0, 1}}, "be a declared value"},
	"RuleConst":       {model.Rule{Kind: model.RuleConst, Value: true}, "be true"},
	"RuleIn":          {model.Rule{Kind: model.RuleIn, Value: []any{"a", "b"}}, `be one of "a", "b"`},
	"RuleNotIn":       {model.Rule{Kind: model.RuleNotIn, Value: []any{uint64(7)}}, "not be 7"},
}

// TestEveryKindOfRuleHasWords fails when a kind is added to the model and nobody says what the documentation is to say of it.
func TestEveryKindOfRuleHasWords(t *testing.T) {
	t.Parallel()
	source, err := parser.ParseFile(token.NewFileSet(), "../model/rule.go", nil, 0)
	require.NoError(t, err)
	var kinds []string
	for _, declaration := range source.Decls {
		if constants, ok := declaration.(*ast.GenDecl); ok && constants.Tok == token.CONST {
			for _, spec := range constants.Specs {
				kinds = append(kinds, spec.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	require.True(t, slices.Contains(kinds, "RuleRequired"), "the kinds of rules are no longer in model/rule.go")
	for n, kind := range kinds {
		test, ok := ruleWords[kind]
		require.True(t, ok, "%s has no words here", kind)
		require.Equal(t, model.RuleKind(n+1), test.rule.Kind, kind)
		require.Equal(t, test.want, test.rule.Words(), kind)
	}
}

func TestConstraintsAreASentenceAfterMust(t *testing.T) {
	t.Parallel()
	rule := func(kind string) model.Rule { return ruleWords[kind].rule }
	for want, field := range map[string]*model.Field{
		"": {},
		`be 1 to 1,024 bytes; not contain "\x00"`: {
			Rules: []model.Rule{rule("RuleBytes"), rule("RuleNotContains")},
		},
		`have at most 64 entries; each key be 1 to 1,024 bytes; each value match ^a+b; hold at most 16,384 bytes in all`: {
			Map: true, Rules: []model.Rule{rule("RulePairs")}, Keys: []model.Rule{rule("RuleBytes")}, Items: []model.Rule{rule("RulePattern")}, MaxTotalBytes: 16384,
		},
		`have 1 to 1,000 items; each item be empty, or else: be 1 to 1,024 bytes; begin with "x-"`: {
			Repeated: true, Rules: []model.Rule{rule("RuleItems")}, Items: []model.Rule{rule("RuleIgnoreZero"), rule("RuleBytes"), rule("RulePrefix")},
		},
	} {
		require.Equal(t, want, mustWords(field))
	}
}

func TestProseIsShownAsItIsWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		" plain ":              "plain",
		"<shelf>/<good>":       "&lt;shelf>/&lt;good>",
		"all * of them":        `all \* of them`,
		"`a*b<c>` and a*b":     "`a*b<c>` and a\\*b",
		"- a list\n- of lines": "- a list\n- of lines",
	} {
		require.Equal(t, want, prose(text))
	}
	require.Equal(t, `two lines, a \| bar`, cell("two\nlines, a | bar"))
}

func TestTotalsAreCountedByKind(t *testing.T) {
	t.Parallel()
	interfaces := []*model.Interface{
		{ModelName: "KeyValue", Kind: model.KindCore},
		{ModelName: "KeyValue", Kind: model.KindCore},
		{ModelName: "Set", Kind: model.KindCore},
		{ModelName: "Object", Kind: model.KindExtension},
		{ModelName: "Change", Kind: model.KindSlot},
		{ModelName: "Change", Kind: model.KindSlot},
	}
	require.Equal(t, "3 core interfaces in 2 data models, 1 extension, 2 slot kinds", totals(interfaces))
	require.Equal(t, "1 core interface in 1 data model", totals(interfaces[:1]))
	require.Equal(t, "", totals(nil))
}

func TestSizesHaveTheLargestUnitThatFits(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1000: "1000 bytes", 65536: "64 KiB", 8 << 20: "8 MiB", 5 << 19: "2560 KiB"} {
		require.Equal(t, want, byteSize(n))
	}
	require.Equal(t, "partition key", roleWords("PartitionKey"))
	require.Equal(t, "TTL", roleWords("TTL"))
	require.False(t, strings.Contains(roleWords(""), " "))
}
