package ring

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRingIsFirstInFirstOut(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var r Ring[int]
	var want []int
	for n := range 20_000 {
		if growing := n%4000 < 2000; random.IntN(10) < 7 == growing || len(want) == 0 {
			r.Push(n)
			want = append(want, n)
		} else {
			require.Equal(t, want[0], r.Pop())
			want = want[1:]
		}
		require.Equal(t, len(want), r.Len())
		if len(want) > 0 {
			at := random.IntN(len(want))
			require.Equal(t, want[at], *r.At(at))
		}
	}
}

func TestRingGivesMemoryBack(t *testing.T) {
	var r Ring[*int]
	for range 100_000 {
		r.Push(new(int))
	}
	for r.Len() > 1 {
		r.Pop()
	}
	require.LessOrEqual(t, len(r.items), 2*smallRing)
	held := 0
	for _, item := range r.items {
		if item != nil {
			held++
		}
	}
	require.Equal(t, 1, held, "what was taken out is not held on to")
}
