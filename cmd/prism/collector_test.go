package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASmallHeapGrowsByTheFloorOneInBetweenStretchesAndALargeOneDoubles(t *testing.T) {
	for live, want := range map[uint64]int{0: 2400, 1 << 20: 2400, 6 << 20: 400, 7 << 20: 350, 12 << 20: 300, 32 << 20: 200, 64 << 20: 100, 1 << 30: 100} {
		require.Equal(t, want, gcPercent(live), "%d bytes", live)
	}
}
