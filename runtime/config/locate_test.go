package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
)

// write makes files in a folder of their own, and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	return folder
}

func TestProblemsAreLocated(t *testing.T) {
	t.Parallel()
	folder := write(t, map[string]string{
		"a.yaml": `server:
  listen: 127.0.0.1:0
  listeners:
    - address: 127.0.0.1:1
      tls:
        key_file: k.pem
backends:
  - name: memstore
    config:
      max_bytes: 5
      limits: [1, {deep: 2}]
      "a.b": {c: 1}
namespaces:
  - name: first
    backend: memstore
`,
		"b.yaml": `namespaces:
  - {name: second, backend: memstore}
  - name: third
    pattern: multicast-registry
    slots:
      registry: {backend: nowhere}
      "odd.name":
        backend: memstore
`,
	})
	source, err := config.Load(folder)
	require.NoError(t, err)
	for path, want := range map[string]string{
		"":                                       "a.yaml:1:1",
		"server":                                 "a.yaml:1:1",
		"server.listen":                          "a.yaml:2:11",
		"server.admin":                           "a.yaml:1:1", // not there: what it would be in
		"server.limits.max_streams":              "a.yaml:1:1",
		"server.listeners":                       "a.yaml:3:3",
		"server.listeners[0]":                    "a.yaml:4:7",
		"server.listeners[0].tls":                "a.yaml:5:7",
		"server.listeners[0].tls.key_file":       "a.yaml:6:19",
		"server.listeners[0].tls.cert_file":      "a.yaml:5:7",
		"server.listeners[7]":                    "a.yaml:3:3",
		"backends[0].name":                       "a.yaml:8:11",
		"backends[0].type":                       "a.yaml:8:5",
		"backends[0].config.max_bytes":           "a.yaml:10:18",
		"backends[0].config.limits[1].deep":      "a.yaml:11:26",
		"backends[0].config.a.b.c":               "a.yaml:12:18",
		`backends[0].config["a.b"].c`:            "a.yaml:12:18",
		"namespaces[0].backend":                  "a.yaml:15:14",
		"namespaces[1].backend":                  "b.yaml:2:29",
		"namespaces[2].slots.registry.backend":   "b.yaml:6:27",
		`namespaces[2].slots["registry"]`:        "b.yaml:6:7",
		"namespaces[2].slots.registry":           "b.yaml:6:7",
		"namespaces[2].slots.odd.name.backend":   "b.yaml:8:18",
		"namespaces[2].slots.durability":         "b.yaml:5:5",
		"namespaces[9].name":                     "a.yaml:1:1",
		"observability.tracing":                  "a.yaml:1:1",
		"nowhere[3].at.all":                      "a.yaml:1:1",
		"namespaces[2].slots.registry.backend.x": "b.yaml:6:27",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			problem := config.Problem{Path: path, Message: "wrong"}
			located := source.Locate(problem)
			require.EqualError(t, located, filepath.Join(folder, want)+": "+problem.Error())
			var got config.Problem
			require.ErrorAs(t, located, &got)
			require.Equal(t, problem, got)
		})
	}
}

func TestProblemsAreSortedByPlaceAndCounted(t *testing.T) {
	t.Parallel()
	folder := write(t, map[string]string{"a.yaml": "namespaces:\n  - {name: a, backend: memstore}\n", "b.yaml": "server:\n  listen: x\n  admin: y\n"})
	source, err := config.Load(folder)
	require.NoError(t, err)
	wrapped := fmt.Errorf("of the gateway: %w", config.Problem{Path: "server", Message: "wrapped"})
	err = source.Locate(errors.Join(
		wrapped,
		config.Problems{{Path: "server.admin", Message: "two"}, {Path: "server.listen", Message: "one"}},
		errors.Join(config.Problem{Path: "namespaces[0].name", Message: "zero"}),
	))
	text := strings.ReplaceAll(err.Error(), folder+string(filepath.Separator), "")
	require.Equal(t, "a.yaml:2:12: namespaces[0].name: zero\nb.yaml:2:11: server.listen: one\nb.yaml:3:10: server.admin: two\nof the gateway: server: wrapped", text)
	require.ErrorIs(t, err, wrapped)

	var many config.Problems
	for i := range 120 {
		many = append(many, config.Problem{Path: "server.listen", Message: fmt.Sprint(i)})
	}
	lines := strings.Split(source.Locate(many).Error(), "\n")
	require.Len(t, lines, 21)
	require.Equal(t, "and 100 more", lines[20])
}

func TestWhatAFlagHasSetIsCalledByTheFlag(t *testing.T) {
	t.Parallel()
	problem, other := config.Problem{Path: "server.listen", Message: "wrong"}, config.Problem{Path: "server.admin", Message: "wrong too"}
	made := config.FromMessage(new(configv1.Config)).Overridden(new(configv1.Config), map[string]string{"server.listen": "--listen"})
	require.EqualError(t, made.Locate(config.Problems{problem, other}), "--listen: wrong\nserver.admin: wrong too")

	read, err := config.Load(write(t, map[string]string{"a.yaml": "server: {admin: x}\n"}))
	require.NoError(t, err)
	err = read.Overridden(read.Config, map[string]string{"server.listen": "--listen"}).Locate(config.Problems{problem, other})
	require.EqualError(t, err, read.Files[0]+":1:17: server.admin: wrong too\n--listen: wrong")
	require.EqualError(t, read.Locate(problem), read.Files[0]+":1:1: server.listen: wrong", "the source itself is as it was")
}

func TestALoadWithoutPathsIsEmpty(t *testing.T) {
	t.Parallel()
	source, err := config.Load()
	require.NoError(t, err)
	require.Empty(t, source.Files)
	require.Empty(t, source.Config.GetNamespaces())
}

func TestAFileMayNotBeEndless(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large.yaml")
	f, err := os.Create(large) //nolint:gosec // a folder of the test's own
	require.NoError(t, err)
	require.NoError(t, f.Truncate(32<<20+1))
	require.NoError(t, f.Close())
	_, err = config.Load(large)
	require.EqualError(t, err, large+" has more than 8 MiB, which no configuration needs")
}

// A hundred thousand namespaces are as many as there may be. That each has mistakes must not make them wait.
func TestManyMistakesAreFoundInOneGo(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("namespaces:\n")
	for range 5_000 {
		text.WriteString("  - {name: a b, backned: memstore, slots: {x: {backend: ''}}}\n")
	}
	folder := write(t, map[string]string{"a.yaml": text.String()})
	_, err := config.Load(folder)
	require.ErrorContains(t, err, "and 19979 more")

	folder = write(t, map[string]string{"a.yaml": "server: {" + strings.Repeat("listen: x, ", 100_000) + "}\n"})
	_, err = config.Load(folder)
	require.ErrorContains(t, err, "and 99979 more")
}
