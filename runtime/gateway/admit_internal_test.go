package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhoGetsNoPlaceHoldsNone(t *testing.T) {
	var p places
	require.True(t, p.take(2))
	require.True(t, p.take(2))
	for range 10 {
		require.False(t, p.take(2))
	}
	p.leave()
	require.True(t, p.take(2), "the crowd that was refused is not in the way")
}
