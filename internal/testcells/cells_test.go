package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/registry"
)

// printed is what go test prints of the ends of tests.
func printed(t *testing.T, ends ...string) string {
	t.Helper()
	var b strings.Builder
	for _, end := range ends {
		action, test, _ := strings.Cut(end, " ")
		folder, name, _ := strings.Cut(test, " ")
		for _, e := range []event{{"run", folder, name, ""}, {"output", folder, name, "what " + name + " says\n"}, {action, folder, name, ""}} {
			line, err := json.Marshal(e)
			require.NoError(t, err)
			b.Write(append(line, '\n'))
		}
	}
	return b.String()
}

func TestACellCountsWhenItRanWholeAndPassed(t *testing.T) {
	t.Parallel()
	want := []cell{{"redis", "value", "keyvalue_basic"}, {"redis", "grpc", "keyvalue_basic"}, {"memstore", "value", "keyvalue_basic"}}
	good := []string{
		"pass a/redis TestRoutes/value/keyvalue_basic/Case", "pass a/redis TestRoutes/value/keyvalue_basic", "pass a/redis TestRoutes/grpc/keyvalue_basic",
		"pass a/memstore TestRoutes/value/keyvalue_basic", "pass a/memstore TestRoutes", "pass a/memstore ",
	}
	for name, test := range map[string]struct {
		ends    []string
		problem string
		table   string
	}{
		"all": {good, "", "backend   value  grpc  grpcweb"},
		"none": {
			nil, "keyvalue_basic of redis over value did not run\nkeyvalue_basic of redis over grpc did not run\nkeyvalue_basic of memstore over value did not run",
			"0 of 3 cells",
		},
		"one missing":       {good[:3], "keyvalue_basic of memstore over value did not run", "2 of 3 cells"},
		"one failed":        {append(slices.Clip(good), "fail a/redis TestRoutes/grpc/keyvalue_basic"), "keyvalue_basic of redis over grpc failed", "redis     1/1    0/1   -"},
		"one skipped":       {append(slices.Clip(good), "skip a/redis TestRoutes/grpc/keyvalue_basic"), "keyvalue_basic of redis over grpc was skipped", "redis     1/1    0/1"},
		"a case skipped":    {append(slices.Clip(good), "skip a/redis TestRoutes/value/keyvalue_basic/A/b"), "keyvalue_basic of redis over value was skipped in part: A/b", "redis     0/1    1/1"},
		"of another test":   {append(slices.Clip(good[:3]), "pass a/memstore TestOther/value"), "keyvalue_basic of memstore over value did not run", "memstore  0/1"},
		"never ended":       {good[:2], "keyvalue_basic of redis over grpc did not run\nkeyvalue_basic of memstore over value did not run", "1 of 3 cells"},
		"of other cells":    {append(slices.Clip(good), "fail a/other TestRoutes/value/keyvalue_basic"), "", "3 of 3 cells"},
		"a failure is told": {append(slices.Clip(good), "fail a/redis TestRoutes/grpc/keyvalue_basic"), "keyvalue_basic of redis over grpc failed", "what TestRoutes/grpc/keyvalue_basic says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var shown strings.Builder
			cells, err := read(strings.NewReader(printed(t, test.ends...)), &shown)
			require.NoError(t, err)
			err = report(&shown, want, cells)
			if test.problem == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, test.problem)
			}
			require.Contains(t, shown.String(), test.table)
		})
	}
	_, err := read(strings.NewReader("FAIL"), new(strings.Builder))
	require.Error(t, err, "what is no event is not passed over")
}

func TestEveryDeclaredInterfaceOfEveryBackendIsACell(t *testing.T) {
	t.Parallel()
	known, err := registry.Catalog()
	require.NoError(t, err)
	backends, err := choose(known, nil)
	require.NoError(t, err)
	cells := map[cell]bool{}
	for _, c := range expected(known, backends) {
		require.False(t, cells[c], "%v is there twice", c)
		cells[c] = true
	}
	for _, backend := range known.Backends() {
		for _, name := range backend.Implements {
			for _, route := range []string{"value", "grpc", "connect"} {
				require.True(t, cells[cell{folder(backend.Name), route, name}], "%s of %s over %s", name, backend.Name, route)
			}
		}
	}
	require.True(t, cells[cell{"memstore", "connect-http1", "queue_basic"}])
	require.True(t, cells[cell{"nats", "sidecar", "keyvalue_basic"}])
	require.True(t, cells[cell{"redis", "two-gateways", "queue_basic"}])
	require.False(t, cells[cell{"redis", "two-gateways", "keyvalue_basic"}], "it has no handles")

	some, err := choose(known, []string{"nats", "memstore"})
	require.NoError(t, err)
	require.Len(t, some, 2)
	_, err = choose(known, []string{"nats", "mongo"})
	require.EqualError(t, err, `there is no backend "mongo"`)
}
