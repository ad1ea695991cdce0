package load

import "time"

// schedule says when the calls of an open loop are due. It counts calls and not intervals, so that it neither drifts nor loses calls that were made late.
type schedule struct {
	// interval is the time between two calls in nanoseconds; a fraction counts over a million calls.
	interval float64
	// first is when the first call is due.
	first int64
	// made counts the calls that were made.
	made int64
	// starved tells that a call had to wait for a free stream: until none waits, it is the server that is late and not the generator.
	starved bool
	// blocked is when that was last so: calls that were due before have waited for the server.
	blocked int64
}

// newSchedule divides a rate among threads, whose calls are due in turn.
func newSchedule(rate float64, thread, threads int, start int64) *schedule {
	whole := float64(time.Second) / rate
	return &schedule{interval: whole * float64(threads), first: start + int64(whole*float64(thread))}
}

// due is when the next call is due.
func (s *schedule) due() int64 { return s.first + int64(float64(s.made)*s.interval) }
