package gateway

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARetiredHoldLetsNobodyInAndWaitsForThoseWhoAre(t *testing.T) {
	h := newHold()
	require.True(t, h.take())
	h.retire()
	require.False(t, h.take())
	enough := make(chan struct{})
	close(enough)
	require.False(t, h.wait(enough), "one is still in")
	go h.release()
	require.True(t, h.wait(nil))
}

// Whoever got in is waited for: nobody is in when wait has returned.
func TestNobodyIsInAfterTheWait(t *testing.T) {
	for range 200 {
		h := newHold()
		var in, seen atomic.Int64
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for h.take() {
					in.Add(1)
					seen.Add(1)
					in.Add(-1)
					h.release()
				}
			})
		}
		for seen.Load() < 10 {
		}
		h.retire()
		require.True(t, h.wait(nil))
		require.Zero(t, in.Load())
		group.Wait()
	}
}
