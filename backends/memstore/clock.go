package memstore

import "time"

// clock counts the nanoseconds of the monotonic clock since it was started. It is never 0, which stands for "no time" in a deadline, and does not
// jump when somebody sets the wall clock.
type clock struct{ start time.Time }

func startClock() clock { return clock{start: time.Now()} }

func (c clock) now() int64 { return c.at(time.Now()) }

// at is what the clock showed at a moment that [time.Now] returned: for those who need the wall clock's time of the same moment too.
func (c clock) at(moment time.Time) int64 { return int64(moment.Sub(c.start)) + 1 }
