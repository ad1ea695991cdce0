package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/catalog"
)

func newCatalog(t *testing.T, interfaces []catalog.Interface, backends []catalog.Backend, patterns []catalog.Pattern) *catalog.Catalog {
	t.Helper()
	c, err := catalog.New(interfaces, backends, patterns)
	require.NoError(t, err)
	return c
}

func TestEntriesAreSortedAndFoundByName(t *testing.T) {
	t.Parallel()
	given := []catalog.Interface{{Name: "set_basic"}, {Name: "keyvalue_scan"}, {Name: "keyvalue_basic"}}
	c := newCatalog(t, given,
		[]catalog.Backend{{Name: "redis"}, {Name: "memstore"}},
		[]catalog.Pattern{{Name: "outbox", Version: "v1"}, {Name: "claim-check"}})

	require.Equal(t, []catalog.Interface{{Name: "keyvalue_basic"}, {Name: "keyvalue_scan"}, {Name: "set_basic"}}, c.Interfaces())
	require.Equal(t, []catalog.Backend{{Name: "memstore"}, {Name: "redis"}}, c.Backends())
	require.Equal(t, []catalog.Pattern{{Name: "claim-check"}, {Name: "outbox", Version: "v1"}}, c.Patterns())
	require.Equal(t, "set_basic", given[0].Name, "the slice that was given is the caller's and stays as it was")

	i, ok := c.Interface("keyvalue_scan")
	require.True(t, ok)
	require.Equal(t, "keyvalue_scan", i.Name)
	b, ok := c.Backend("redis")
	require.True(t, ok)
	require.Equal(t, "redis", b.Name)
	p, ok := c.Pattern("outbox")
	require.True(t, ok)
	require.Equal(t, "v1", p.Version)
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*catalog.Catalog{
		"empty": newCatalog(t, nil, nil, nil),
		"filled": newCatalog(t, []catalog.Interface{{Name: "keyvalue_basic"}}, []catalog.Backend{{Name: "redis"}},
			[]catalog.Pattern{{Name: "outbox"}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, missing := range []string{"", "keyvalue", "keyvalue_basic2", "zzz", "Redis"} {
				_, ok := c.Interface(missing)
				require.False(t, ok, missing)
				_, ok = c.Backend(missing)
				require.False(t, ok, missing)
				_, ok = c.Pattern(missing)
				require.False(t, ok, missing)
			}
		})
	}
}

func TestNamesMustBeUnique(t *testing.T) {
	t.Parallel()
	_, err := catalog.New([]catalog.Interface{{Name: "keyvalue_basic"}, {Name: "a"}, {Name: "keyvalue_basic"}}, nil, nil)
	require.EqualError(t, err, `catalog: two interfaces are named "keyvalue_basic"; names must be unique`)
	_, err = catalog.New(nil, []catalog.Backend{{Name: "redis"}, {Name: "redis"}}, nil)
	require.EqualError(t, err, `catalog: two backends are named "redis"; names must be unique`)
	_, err = catalog.New(nil, nil, []catalog.Pattern{{Name: "outbox", Version: "v1"}, {Name: "outbox", Version: "v2"}})
	require.EqualError(t, err, `catalog: two patterns are named "outbox"; names must be unique`)
}

func TestOneNameMayBeABackendAndAPattern(t *testing.T) {
	t.Parallel()
	_, err := catalog.New([]catalog.Interface{{Name: "cache"}}, []catalog.Backend{{Name: "cache"}}, []catalog.Pattern{{Name: "cache"}})
	require.NoError(t, err)
}

func TestMergePutsCatalogsTogether(t *testing.T) {
	t.Parallel()
	ours := newCatalog(t, []catalog.Interface{{Name: "set_basic"}}, []catalog.Backend{{Name: "redis"}}, []catalog.Pattern{{Name: "outbox"}})
	theirs := newCatalog(t, []catalog.Interface{{Name: "keyvalue_basic"}}, []catalog.Backend{{Name: "etcd"}}, []catalog.Pattern{{Name: "audit"}})

	all, err := catalog.Merge(ours, theirs)
	require.NoError(t, err)
	require.Equal(t, []catalog.Interface{{Name: "keyvalue_basic"}, {Name: "set_basic"}}, all.Interfaces())
	require.Equal(t, []catalog.Backend{{Name: "etcd"}, {Name: "redis"}}, all.Backends())
	require.Equal(t, []catalog.Pattern{{Name: "audit"}, {Name: "outbox"}}, all.Patterns())
	require.Equal(t, []catalog.Interface{{Name: "set_basic"}}, ours.Interfaces(), "a merge changes neither part")

	none, err := catalog.Merge()
	require.NoError(t, err)
	require.Empty(t, none.Interfaces())
}

func TestMergeRefusesANameThatBothHave(t *testing.T) {
	t.Parallel()
	ours := newCatalog(t, nil, []catalog.Backend{{Name: "redis"}}, nil)
	theirs := newCatalog(t, nil, []catalog.Backend{{Name: "etcd"}, {Name: "redis"}}, nil)
	_, err := catalog.Merge(ours, theirs)
	require.EqualError(t, err, `catalog: two backends are named "redis"; names must be unique`)
}

func TestImplementingFindsBackendsThatHaveAllInterfaces(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, nil, []catalog.Backend{
		{Name: "redis", Implements: []string{"keyvalue_basic", "keyvalue_scan", "set_basic"}},
		{Name: "memstore", Implements: []string{"keyvalue_basic", "keyvalue_scan"}},
		{Name: "nats", Implements: []string{"pubsub_basic"}},
	}, nil)
	for _, test := range []struct {
		interfaces, want []string
	}{
		{[]string{"keyvalue_scan"}, []string{"memstore", "redis"}},
		{[]string{"keyvalue_scan", "set_basic"}, []string{"redis"}},
		{[]string{"set_basic", "pubsub_basic"}, nil},
		{[]string{"unknown"}, nil},
		{nil, []string{"memstore", "nats", "redis"}},
	} {
		var got []string
		for _, backend := range c.Implementing(test.interfaces...) {
			got = append(got, backend.Name)
		}
		require.Equal(t, test.want, got, test.interfaces)
	}
}
