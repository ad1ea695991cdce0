package backend

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Status is how an instance's server is, as far as its calls and probes have seen. The zero value is ready, and knows nothing else. It may be used by many at once.
type Status struct {
	// Retries counts calls that were made again after they had failed.
	Retries atomic.Uint64
	// Openings counts how often the breaker opened.
	Openings atomic.Uint64

	mu          sync.Mutex
	open        int // breakers that are: an instance may have several, each for a part of its server
	unavailable string
	since       time.Time
	batches     map[string]*Batches
}

// Ready says that the server answers.
func (s *Status) Ready() { s.set("") }

// Unavailable says that the server does not answer, and why, for people: no address, no secret.
func (s *Status) Unavailable(why string) { s.set(why) }

// opened says that one more breaker is open.
func (s *Status) opened() {
	s.Openings.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.become("its server does not answer")
}

// closed says that one breaker less is open.
func (s *Status) closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open--; s.open == 0 {
		s.become("")
	}
}

func (s *Status) set(unavailable string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.become(unavailable)
}

// become is set, with the lock held.
func (s *Status) become(unavailable string) {
	if (s.unavailable == "") != (unavailable == "") {
		s.since = time.Now()
	}
	s.unavailable = unavailable
}

// State tells why the server does not answer, or "" when it does, and since when it is so; zero is since the instance was opened.
func (s *Status) State() (unavailable string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unavailable, s.since
}

// Batches returns the sizes of one lane's batches. Lanes have few names, of the backend's own choice: "read", "write".
func (s *Status) Batches(lane string) *Batches {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batches == nil {
		s.batches = make(map[string]*Batches)
	}
	if s.batches[lane] == nil {
		s.batches[lane] = new(Batches)
	}
	return s.batches[lane]
}

// EachBatches shows the sizes of every lane's batches.
func (s *Status) EachBatches(show func(lane string, sizes *Batches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lane, sizes := range s.batches {
		show(lane, sizes)
	}
}

// Batches counts batches by their size.
type Batches struct {
	calls atomic.Uint64
	sizes [15]atomic.Uint64 // the n-th has those of at most 2^n calls; the last has all others
}

// Observe counts a batch of so many calls, at least one.
func (b *Batches) Observe(calls int) {
	b.calls.Add(uint64(calls))                                           //nolint:gosec // it is a length
	b.sizes[min(bits.Len(uint(max(calls-1, 0))), len(b.sizes)-1)].Add(1) //nolint:gosec // it is a length
}

// Histogram returns how many batches and calls there were, and how many batches had at most 1, 2, 4, ... calls.
func (b *Batches) Histogram() (batches, calls uint64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(b.sizes))
	for n := range b.sizes {
		batches += b.sizes[n].Load()
		if n < len(b.sizes)-1 {
			buckets[float64(uint64(1)<<n)] = batches
		}
	}
	return batches, b.calls.Load(), buckets
}
