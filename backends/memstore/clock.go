package memstore

import "time"

// clock counts the nanoseconds of the monotonic clock since it was started. It is never 0, which stands for "no time" in a deadline, and does not
// jump when somebody sets the wall clock.
type clock struct{ start time.Time }

func startClock() clock { return clock{start: time.Now()} }

func (c clock) now() int64 { return int64(time.Since(c.start)) + 1 }
