package gateway

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestARateLetsTheBurstInAndThenAnEvenStream(t *testing.T) {
	r := newRate(10, 3)
	for range 3 {
		_, ok := r.take(r.begin)
		require.True(t, ok)
	}
	wait, ok := r.take(r.begin)
	require.False(t, ok)
	require.Equal(t, 100*time.Millisecond, wait)
	_, ok = r.take(r.begin.Add(wait - 1))
	require.False(t, ok, "a nanosecond too early")
	_, ok = r.take(r.begin.Add(wait))
	require.True(t, ok, "who waits as long as he was told is let in")
	_, ok = r.take(r.begin.Add(wait))
	require.False(t, ok)
}

func TestAPauseGivesNoMoreThanTheBurst(t *testing.T) {
	r := newRate(1000, 5)
	let := 0
	for range 100 {
		if _, ok := r.take(r.begin.Add(time.Hour)); ok {
			let++
		}
	}
	require.Equal(t, 5, let)
}

func TestTheBurstIsASecondsWorthUnlessItIsSaid(t *testing.T) {
	for perSecond, want := range map[float64]int{0.5: 1, 1: 1, 20: 20} {
		r := newRate(perSecond, 0)
		let := 0
		for range 100 {
			if _, ok := r.take(r.begin); ok {
				let++
			}
		}
		require.Equal(t, want, let, "%v calls a second", perSecond)
	}
}

func TestManyAtOnceGetExactlyWhatTheRateAllows(t *testing.T) {
	r := newRate(100_000, 1000)
	var let atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				if _, ok := r.take(r.begin.Add(10 * time.Millisecond)); ok {
					let.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1000, let.Load())
}

func BenchmarkRate(b *testing.B) {
	r := newRate(1e9, 1<<30)
	at := r.begin
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.take(at)
	}
}

// A reload makes a namespace anew; a call may have begun just before.
func TestACallThatBeganBeforeTheRateIsLetIn(t *testing.T) {
	r := newRate(1, 1)
	_, ok := r.take(r.begin.Add(-time.Millisecond))
	require.True(t, ok)
	wait, ok := r.take(r.begin)
	require.False(t, ok)
	require.Equal(t, 999*time.Millisecond, wait)
}

func TestARateThatIsNextToNothingLetsOneIn(t *testing.T) {
	for _, perSecond := range []float64{1e-9, 1e-12, 1e-300, math.SmallestNonzeroFloat64} {
		for _, burst := range []uint32{0, 1, 3} {
			r := newRate(perSecond, burst)
			for range max(burst, 1) {
				_, ok := r.take(r.begin)
				require.True(t, ok)
			}
			wait, ok := r.take(r.begin.Add(time.Minute))
			require.False(t, ok, "%v calls a second", perSecond)
			require.Greater(t, wait, time.Hour)
		}
	}
}
