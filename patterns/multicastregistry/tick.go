package multicastregistry

import (
	"sync"
	"time"
)

// ticking does something again and again. While it waits it costs a timer and no goroutine, which tells with many idle streams.
type ticking struct {
	mu      sync.Mutex // held while do runs
	timer   *time.Timer
	stopped bool
}

// tick calls do after every interval until it is stopped.
func tick(interval time.Duration, do func()) *ticking {
	t := &ticking{}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(interval, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.stopped {
			do()
			t.timer.Reset(interval)
		}
	})
	return t
}

// stop returns when do does not run and will not run again.
func (t *ticking) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
