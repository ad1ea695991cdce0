package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckTakesStreamedMessagesInAnyOrder(t *testing.T) {
	t.Parallel()
	x := scan(3)
	got := slices.Clone(x.responses)
	slices.Reverse(got)
	require.NoError(t, x.check(got))
	require.ErrorContains(t, x.check(got[1:]), "2 messages, want 3")
	got[0] = got[1]
	require.Error(t, x.check(got))
}

func TestCheckComparesBytes(t *testing.T) {
	t.Parallel()
	x := get(100)
	require.NoError(t, x.check(x.responses))
	require.Error(t, x.check([][]byte{nil}))
}

func TestStreamedMessagesHaveAHundredBytes(t *testing.T) {
	t.Parallel()
	x := scan(2001)
	require.Len(t, x.stored, 3)
	for _, message := range x.responses {
		require.Len(t, message, 100)
	}
	require.Equal(t, 2001*105, x.grpcLength())
}
