package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/catalog"
)

func TestSlotLacks(t *testing.T) {
	t.Parallel()
	slot := catalog.Slot{Required: []string{"a", "b"}, AnyOf: []string{"x", "y"}, Optional: []string{"o"}}
	for _, test := range []struct {
		offered, required, anyOf []string
	}{
		{offered: nil, required: []string{"a", "b"}, anyOf: []string{"x", "y"}},
		{offered: []string{"a", "o"}, required: []string{"b"}, anyOf: []string{"x", "y"}},
		{offered: []string{"b", "y", "a"}},
	} {
		required, anyOf := slot.Lacks(test.offered)
		require.Equal(t, test.required, required)
		require.Equal(t, test.anyOf, anyOf)
	}
	required, anyOf := catalog.Slot{}.Lacks(nil)
	require.Empty(t, required)
	require.Empty(t, anyOf)
}

func TestFilling(t *testing.T) {
	t.Parallel()
	known, err := catalog.New(nil, []catalog.Backend{
		{Name: "all", Implements: []string{"a", "b", "x"}},
		{Name: "half", Implements: []string{"a", "x"}},
		{Name: "most", Implements: []string{"a", "b"}},
	}, nil)
	require.NoError(t, err)
	for _, test := range []struct {
		slot catalog.Slot
		want []string
	}{
		{catalog.Slot{}, []string{"all", "half", "most"}},
		{catalog.Slot{Required: []string{"a", "b"}}, []string{"all", "most"}},
		{catalog.Slot{Required: []string{"b"}, AnyOf: []string{"x", "y"}}, []string{"all"}},
		{catalog.Slot{Required: []string{"none"}}, nil},
	} {
		var names []string
		for _, backend := range known.Filling(test.slot) {
			names = append(names, backend.Name)
		}
		require.Equal(t, test.want, names)
	}
}
