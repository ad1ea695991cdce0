package gateway

import (
	"math"
	"sync/atomic"
	"time"
)

// rate lets so many calls begin in a second. It is the generic cell rate algorithm: one word, the time at which the calls that were let in would have begun had they
// come evenly; a call that comes before that time by more than the burst allows is refused. It takes no lock and no timer.
type rate struct {
	// interval is the time between two calls that come evenly, burst how far ahead of that calls may be.
	interval, burst float64
	begin           time.Time
	// due is the time from begin in nanoseconds, as the bits of a float64: an interval may be shorter than a nanosecond.
	due atomic.Uint64
}

// longestInterval is what one call in an age comes to: a time that can still be told.
const longestInterval = 100 * 365 * 24 * time.Hour

func newRate(perSecond float64, burst uint32) *rate {
	if burst == 0 {
		burst = uint32(min(max(perSecond, 1), math.MaxUint32))
	}
	interval := min(float64(time.Second)/perSecond, float64(longestInterval))
	r := &rate{interval: interval, burst: interval * float64(burst-1), begin: time.Now()}
	r.due.Store(math.Float64bits(math.Inf(-1))) // a call may have begun before the rate did
	return r
}

// take lets a call in that comes at a time, or says how long it must wait.
func (r *rate) take(at time.Time) (wait time.Duration, ok bool) {
	now := float64(at.Sub(r.begin))
	for {
		former := r.due.Load()
		due := max(math.Float64frombits(former), now)
		if early := due - now - r.burst; early > 0 {
			return time.Duration(math.Ceil(early)), false
		}
		if r.due.CompareAndSwap(former, math.Float64bits(due+r.interval)) {
			return 0, true
		}
	}
}
