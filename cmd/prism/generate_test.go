package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testcatalog"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

// TestGeneratedConfigurationsAreValid parses and plans what is printed for every pattern of this build and of the guide, with each backend in each slot that it
// fills, and every backend alone.
func TestGeneratedConfigurationsAreValid(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]*catalog.Catalog{"built": built(t).catalog, "guide": testcatalog.New(t)} {
		d := built(t)
		d.catalog = known
		tested := 0
		for _, p := range known.Patterns() {
			for _, b := range known.Backends() {
				if args, ok := filledWith(known, p, b); ok {
					validates(t, d, "a", append([]string{"--pattern", p.Name, "--namespace", "a"}, args...)...)
					validates(t, d, p.Name, append([]string{"--pattern", p.Name}, args...)...)
					tested++
				}
			}
		}
		require.NotZero(t, tested, name)
		for _, namespace := range []string{"1", "1.5", "null", "true", "no", "0x1", ".inf", "-", "2026-01-31", "a.b", "1e3"} {
			validates(t, d, namespace, "--backend", "memstore", "--namespace="+namespace)
		}
		validates(t, d, "default", "--backend", "memstore")
	}
}

// filledWith are the flags that put a backend into each slot of a pattern that it fills, and another one that needs no configuration into the others.
func filledWith(known *catalog.Catalog, p catalog.Pattern, b catalog.Backend) (args []string, ok bool) {
	usable := func(b catalog.Backend) bool { return b.Check == nil || b.Check(b.NewConfig()) == nil }
	for _, slot := range p.Slots {
		name := ""
		for _, candidate := range known.Filling(slot) {
			if usable(candidate) && (name == "" || candidate.Name == b.Name) {
				name = candidate.Name
			}
		}
		if name == "" && !slot.MayBeEmpty {
			return nil, false
		}
		if name != "" {
			args = append(args, "--slot", slot.Name+":"+name)
		}
	}
	return args, true
}

func validates(t *testing.T, d dependencies, namespace string, args ...string) {
	t.Helper()
	got := runLine(t, d, append([]string{"generate", "config"}, args...)...)
	require.Equal(t, exitOK, got.exit, "%q: %s", args, got.stderr)
	source, err := config.Read("generated", strings.NewReader(got.stdout))
	require.NoError(t, err, got.stdout)
	planned, err := plan.Make(source.Config, d.catalog)
	require.NoError(t, err, got.stdout)
	require.Len(t, planned.Namespaces, 1)
	require.Equal(t, namespace, planned.Namespaces[0].Name)
}
