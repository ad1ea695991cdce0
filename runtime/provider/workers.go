package provider

import "sync"

// workers are goroutines that are reused, because a grown stack is worth keeping. A call goes to one that is idle, else to a new one, and never into a queue, where it
// would wait behind a call that waits.
type workers struct {
	jobs chan *servedCall
	stop chan struct{}
	once sync.Once
	kept chan struct{}
}

// mostIdle bounds the workers that are kept.
const mostIdle = 512

func newWorkers() *workers {
	return &workers{jobs: make(chan *servedCall), stop: make(chan struct{}), kept: make(chan struct{}, mostIdle)}
}

// run serves a call on a worker.
func (w *workers) run(c *servedCall) {
	select {
	case w.jobs <- c:
	default:
		go w.work(c)
	}
}

func (w *workers) work(c *servedCall) {
	c.serve()
	select {
	case w.kept <- struct{}{}:
		defer func() { <-w.kept }()
	default:
		return
	}
	for {
		select {
		case c = <-w.jobs:
			c.serve()
		case <-w.stop:
			return
		}
	}
}

func (w *workers) close() { w.once.Do(func() { close(w.stop) }) }
