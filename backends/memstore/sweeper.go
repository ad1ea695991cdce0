package memstore

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sweepInterval is the least time between two sweeps of a namespace: keys that expire together are collected together, and their memory is theirs for
	// half a second longer at most.
	sweepInterval = int64(500 * time.Millisecond)
	// sweepBite is how many keys a sweep removes under one lock: some 50 µs.
	sweepBite = 256
	// never is a time that does not come.
	never = math.MaxInt64
)

// sweeper runs a function when a deadline has passed. While it knows of no deadline it costs nothing, not even a timer.
type sweeper struct {
	clock clock
	// sweep removes what has expired and returns the next deadline, or never.
	sweep func() int64

	// enough is the time from which on a deadline needs no earlier sweep than the one that is due. It lets a writer that has nothing to change leave without
	// the lock.
	enough atomic.Int64

	mu      sync.Mutex
	timer   *time.Timer
	due     int64 // when the timer fires, or never
	last    int64 // when the last sweep began
	closed  bool
	running sync.WaitGroup
}

func (s *sweeper) init(clock clock, sweep func() int64) {
	s.clock, s.sweep, s.due = clock, sweep, never
	s.enough.Store(never)
}

// wake makes sure that a sweep follows a deadline. Call it after the deadline can be found by a sweep.
func (s *sweeper) wake(deadline int64) {
	if deadline >= s.enough.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	soonest := s.last + sweepInterval
	due := max(deadline, soonest)
	if s.closed || due >= s.due {
		return
	}
	s.due = due
	if due == soonest {
		s.enough.Store(0) // no deadline can bring it forward
	} else {
		s.enough.Store(due)
	}
	wait := time.Duration(due - s.clock.now())
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.run)
	} else {
		s.timer.Reset(wait)
	}
}

func (s *sweeper) run() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	// From here on a deadline arms the timer again, so that one that comes behind the sweep's back is not lost.
	s.last, s.due = s.clock.now(), never
	s.enough.Store(never)
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	s.wake(s.sweep())
}

// close ends sweeping, and returns after a sweep that is running.
func (s *sweeper) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.running.Wait()
}
