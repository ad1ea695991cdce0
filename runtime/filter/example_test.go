package filter_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/filter"
)

func ExampleCompile() {
	f, err := filter.Compile(`attributes.region == "eu" && double(attributes.amount) > 100`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Matches(map[string]string{"region": "eu", "amount": "250.5"}))
	fmt.Println(f.Matches(map[string]string{"region": "eu", "amount": "lots"}))
	fmt.Println(f.Matches(map[string]string{"amount": "250.5"}))

	_, err = filter.Compile(`attributes.region = "eu"`)
	fmt.Println(err)
	// Output:
	// true
	// false
	// false
	// INVALID_ARGUMENT: filter: byte 18, at `= "eu"`: equality is written ==
}

// section returns the examples of a fenced block of docs/filter.md: a filter, and the lines below it that say something of it.
func section(t *testing.T, name string) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/filter.md")
	require.NoError(t, err)
	_, block, ok := strings.Cut(string(page), "```"+name+"\n")
	require.True(t, ok, "docs/filter.md has no block %s", name)
	block, _, _ = strings.Cut(block, "```")
	examples := map[string][]string{}
	for example := range strings.SplitSeq(strings.TrimSpace(block), "\n\n") {
		lines := strings.Split(example, "\n    ")
		require.Greater(t, len(lines), 1, example)
		examples[lines[0]] = lines[1:]
	}
	return examples
}

func TestDocumentedFilters(t *testing.T) {
	for text, lines := range section(t, "filters") {
		f := compile(t, text)
		for _, line := range lines {
			pairs, holds := strings.CutSuffix(line, " holds")
			pairs, not := strings.CutSuffix(pairs, " does not hold")
			require.True(t, holds != not, "%q says neither that it holds nor that it does not", line)
			attributes := map[string]string{}
			for _, pair := range strings.Fields(pairs) {
				name, value, ok := strings.Cut(pair, "=")
				require.True(t, ok, line)
				attributes[name] = value
			}
			require.Equal(t, holds, f.Matches(attributes), "%s: %s", text, line)
		}
	}
}

func TestDocumentedRefusals(t *testing.T) {
	for text, lines := range section(t, "refused") {
		require.Len(t, lines, 1, text)
		requireRefused(t, text, lines[0])
	}
}
