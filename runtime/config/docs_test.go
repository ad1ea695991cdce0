package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/prismgate/prism/runtime/config"
)

const page = "../../docs/configuration.md"

// blocks are the parts of a page that are code in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var found []string
	for _, part := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		block, _, closed := strings.Cut(part, "\n```\n")
		require.True(t, closed)
		found = append(found, block+"\n")
	}
	require.NotEmpty(t, found)
	return found
}

func TestTheExamplesOfTheDocumentationAreRight(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	for _, block := range blocks(t, "yaml") {
		_, err := config.Load(write(t, map[string]string{"prism.yaml": block}))
		require.NoError(t, err)
		var document any
		require.NoError(t, yaml.Unmarshal([]byte(block), &document))
		text, err := json.Marshal(document)
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(value))
	}
	_, err := config.Load("../../examples/serve/prism.yaml")
	require.NoError(t, err)
}

// The table of what is written how is a promise: whatever stands in its second column is read, and nothing of its third.
func TestTheFormsOfTheDocumentationAreRight(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	fields := map[string]string{
		"text": "server: {listen: %}", "whole number": "namespace_limits: {burst: %}", "number": "namespace_limits: {calls_per_second: %}", "yes or no": "server: {pprof: %}",
		"duration": "server: {drain_timeout: %}", "secret": `observability: {tracing: {endpoint: "http://127.0.0.1:4318", headers: {a: %}}}`,
	}
	for kind, field := range fields {
		_, row, found := strings.Cut(string(text), "\n| "+kind+" | ")
		require.True(t, found, kind)
		row, _, _ = strings.Cut(row, "\n")
		right, wrong, found := strings.Cut(row, "|")
		require.True(t, found, kind)
		for _, form := range quoted(right) {
			_, err := config.Load(write(t, map[string]string{"prism.yaml": strings.Replace(field, "%", form, 1)}))
			require.NoError(t, err, form)
		}
		for _, form := range quoted(wrong) {
			_, err := config.Load(write(t, map[string]string{"prism.yaml": strings.Replace(field, "%", form, 1)}))
			require.Error(t, err, form)
		}
	}
}

// quoted are the parts of a text that stand in backquotes.
func quoted(text string) []string {
	var found []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			found = append(found, part)
		}
	}
	return found
}

func TestTheMistakesOfTheDocumentationAreTrue(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("testdata/bad/documentation/want.txt")
	require.NoError(t, err)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "\n```\n"+string(want)+"```\n")
}
