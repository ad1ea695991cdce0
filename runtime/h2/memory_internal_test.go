package h2

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// check demands that what connections have reserved is what was taken, and covers what they hold.
func check(t *testing.T, m *memory, holdings []*holding) {
	t.Helper()
	var sum int64
	for _, h := range holdings {
		require.GreaterOrEqual(t, h.reserved, int64(0))
		require.GreaterOrEqual(t, h.window, int64(0))
		if !h.closed {
			require.GreaterOrEqual(t, h.reserved, h.held-memoryStep, "held %d", h.held)
			require.LessOrEqual(t, h.reserved, max(h.held-memoryStep, 0)+3*memoryStep, "held %d", h.held)
		}
		sum += h.reserved + h.window
	}
	require.Equal(t, sum, m.taken.Load(), "drift")
}

func TestMemoryNeverDrifts(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, seed))
		m := &memory{limit: 1 << 20}
		holdings := make([]*holding, 5)
		pieces := make([][]int, len(holdings))
		for i := range holdings {
			holdings[i] = &holding{server: m}
		}
		for range 500 {
			i := random.IntN(len(holdings))
			h := holdings[i]
			switch random.IntN(12) {
			case 0:
				h.widen(int64(random.IntN(400_000)))
			case 1:
				h.narrow()
			case 2:
				if random.IntN(20) == 0 {
					h.close()
				}
			case 3, 4, 5, 6:
				n := random.IntN(200_000)
				h.hold(n)
				pieces[i] = append(pieces[i], n)
			default:
				if n := len(pieces[i]); n > 0 {
					at := random.IntN(n)
					h.release(pieces[i][at])
					pieces[i] = append(pieces[i][:at], pieces[i][at+1:]...)
				}
			}
			check(t, m, holdings)
		}
		for i, h := range holdings {
			for _, n := range pieces[i] {
				h.release(n)
			}
			h.narrow()
			require.Zero(t, h.reserved, "nothing is held any more")
		}
		require.Zero(t, m.taken.Load())
	}
}

func TestAConnectionIsShortUntilThereIsMemoryAgain(t *testing.T) {
	m := &memory{limit: 4 * memoryStep}
	greedy, modest := &holding{server: m}, &holding{server: m}
	greedy.hold(5 * memoryStep)
	require.False(t, greedy.short)
	require.True(t, m.scarce())
	modest.hold(memoryStep)
	require.False(t, modest.short, "the first step is free")
	modest.hold(1)
	require.True(t, modest.short)
	require.Equal(t, int64(5*memoryStep), m.taken.Load(), "what is there is counted also when it is too much")
	require.False(t, modest.widen(1))
	greedy.release(5 * memoryStep)
	modest.release(1)
	require.False(t, modest.short)
	modest.release(memoryStep)
	require.Zero(t, m.taken.Load())
	require.True(t, modest.widen(memoryStep))
	require.False(t, modest.widen(4*memoryStep))
	modest.close()
	modest.hold(10 * memoryStep)
	modest.release(3)
	require.False(t, modest.widen(1), "a connection that is over takes nothing")
	require.Zero(t, m.taken.Load())
}
