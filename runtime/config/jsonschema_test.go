package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/config"
)

// beyondSchema are the cases whose mistakes no JSON Schema can tell, or none about one document.
var beyondSchema = map[string]string{
	"anchor":                   "what YAML has and JSON has not is gone before a schema is asked",
	"merge_key":                "what YAML has and JSON has not is gone before a schema is asked",
	"tag":                      "what YAML has and JSON has not is gone before a schema is asked",
	"second_document":          "the schema is asked about the first",
	"second_document_not_yaml": "the schema is asked about the first",
	"empty_second_document":    "the schema is asked about the first",
	"duplicate_backend":        "the names of a list's items cannot be compared",
	"duplicate_namespace":      "the names of a list's items cannot be compared",
	"server_in_two_files":      "each file is right",
	"names_in_two_files":       "each file is right",
	"named_twice":              "each file is right",
	"dangling_link":            "each file that is there is right",
	"mistakes_in_two_files":    "a case of several files",
	"folder_empty":             "there is no document",
	"missing_file":             "there is no document",
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	text, err := config.JSONSchema(known)
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, compiler.AddResource("prism.json", document)) // the compiler checks it against the schema of schemas
	schema, err := compiler.Compile("prism.json")
	require.NoError(t, err)
	return schema
}

// asJSON is a document as a validator takes it; false when it is no JSON.
func asJSON(t *testing.T, file string) (any, bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var document any
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, false
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, false
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return value, true
}

func TestTheSchemaAcceptsGoodConfigurations(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	var files []string
	for _, folder := range cases(t, true) {
		source, err := load(t, folder)
		require.NoError(t, err)
		files = append(files, source.Files...)
	}
	for _, file := range append(files, "../../examples/serve/prism.yaml") {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			document, ok := asJSON(t, file)
			require.True(t, ok)
			require.NoError(t, schema.Validate(document))
		})
	}
}

func TestTheSchemaRefusesBadConfigurations(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	for _, folder := range cases(t, false) {
		name := filepath.Base(folder)
		reason, beyond := beyondSchema[name]
		file := filepath.Join(folder, "prism.yaml")
		if _, err := os.Stat(file); err != nil {
			require.True(t, beyond, "%s has several files", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document, ok := asJSON(t, file)
			if !ok {
				return // not a document: an editor tells by itself
			}
			err := schema.Validate(document)
			if beyond {
				require.NoError(t, err, "the list says that a schema cannot tell: %s", reason)
				return
			}
			require.Error(t, err)
		})
	}
}

func TestTheSchemaKnowsBackendsAndPatterns(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	for text, right := range map[string]bool{
		`{"backends": [{"name": "memstore", "config": {"max_bytes": 5}}]}`:                                                                      true,
		`{"backends": [{"name": "memstore", "config": {"max_bytes": "5Mi"}}]}`:                                                                  true,
		`{"backends": [{"name": "memstore", "config": {"max_byte": 5}}]}`:                                                                       false,
		`{"backends": [{"name": "other", "type": "memstore", "config": {"max_byte": 5}}]}`:                                                      false,
		`{"backends": [{"name": "other", "type": "memstor"}]}`:                                                                                  false,
		`{"backends": [{"name": "other"}]}`:                                                                                                     false,
		`{"namespaces": [{"name": "a", "pattern": "multicast-registry", "slots": {"registry": {"backend": "x"}}}]}`:                             false,
		`{"namespaces": [{"name": "a", "pattern": "multicast-registri", "slots": {}}]}`:                                                         false,
		`{"namespaces": [{"name": "a", "pattern": "multicast-registry"}]}`:                                                                      false,
		`{"namespaces": [{"name": "a", "patterns": [{"pattern": "multicast-registry", "version": "v9", "slots": {}}]}]}`:                        false,
		`{"namespaces": [{"name": "a", "backend": "memstore", "slots": {"anything": {"backend": "x"}}}]}`:                                       true,
		`{"namespaces": [{"name": "a", "pattern": "multicast-registry", "config": {"registry": {"backend": "x"}}, "slots": {}}]}`:               false,
		`{"observability": {"tracing": {"endpoint": "http://127.0.0.1:4318", "headers": {"key": {"env": "A"}}}}}`:                               true,
		`{"observability": {"tracing": {"endpoint": "http://127.0.0.1:4318", "headers": {"key": "hunter2"}}}}`:                                  false,
		`{"observability": {"tracing": {"endpoint": "http://127.0.0.1:4318", "headers": {"key": {"env": "A", "file": "b"}}}}}`:                  false,
		`{"namespaces": [{"name": "a", "pattern": "multicast-registry", "slots": {"registry": {"next": false}, "messaging": {"next": true}}}]}`: false,
	} {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
		require.NoError(t, err)
		require.Equal(t, right, schema.Validate(document) == nil, text)
	}
}

// What an editor shows is what the schema says of a field, wherever it is.
func TestEveryFieldOfTheSchemaIsDescribed(t *testing.T) {
	t.Parallel()
	known, err := registry.Catalog()
	require.NoError(t, err)
	text, err := config.JSONSchema(known)
	require.NoError(t, err)
	again, err := config.JSONSchema(known)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again))

	type definition struct {
		Description string                                  `json:"description"`
		Properties  map[string]struct{ Description string } `json:"properties"`
	}
	var root struct {
		definition
		Definitions map[string]definition `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(text, &root))
	root.Definitions["Config"] = root.definition
	for name, message := range root.Definitions {
		require.NotEmpty(t, message.Description, name)
		for field, described := range message.Properties {
			require.NotEmpty(t, described.Description, "%s.%s", name, field)
		}
	}
	require.Contains(t, root.Definitions, "prism.backends.v1.MemStore")
	require.Contains(t, root.Definitions["prism.config.v1.Limits"].Properties["idle_timeout"].Description, "It must be at least 1s and at most 8760h.")
	require.Equal(t, "Config is a gateway's whole configuration.", root.Description)
}
