package h2

import "sync"

// workers are goroutines that are reused, because a grown stack is worth keeping. A stream goes to a worker that is parked, else to a new one; never into a queue,
// where it would wait behind a call that waits for something.
type workers struct {
	mu     sync.Mutex
	parked []*worker
	// least is the smallest number parked since the last trim: so many were not needed.
	least  int
	closed bool
}

type worker struct{ jobs chan *Stream }

// mostParked bounds the workers that are kept.
const mostParked = 4096

// run serves a stream on a worker.
func (p *workers) run(s *Stream) {
	p.mu.Lock()
	n := len(p.parked)
	if n == 0 {
		p.least = 0
		p.mu.Unlock()
		w := &worker{make(chan *Stream, 1)}
		go p.loop(w, s)
		return
	}
	w := p.parked[n-1] // the last one's stack is warm
	p.parked = p.parked[:n-1]
	p.least = min(p.least, n-1)
	p.mu.Unlock()
	w.jobs <- s
}

func (p *workers) loop(w *worker, s *Stream) {
	for s != nil {
		s.serve()
		if !p.park(w) {
			return
		}
		s = <-w.jobs
	}
}

func (p *workers) park(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.parked) >= mostParked {
		return false
	}
	p.parked = append(p.parked, w)
	return true
}

// trim lets go of half of the workers that were not needed since the last time.
func (p *workers) trim() {
	p.mu.Lock()
	n := min((p.least+1)/2, len(p.parked)) // none are when the pool was closed meanwhile
	idle := append([]*worker(nil), p.parked[:n]...)
	p.parked = append(p.parked[:0], p.parked[n:]...)
	p.least = len(p.parked)
	p.mu.Unlock()
	for _, w := range idle {
		w.jobs <- nil
	}
}

func (p *workers) close() {
	p.mu.Lock()
	idle := p.parked
	p.parked, p.closed = nil, true
	p.mu.Unlock()
	for _, w := range idle {
		w.jobs <- nil
	}
}
