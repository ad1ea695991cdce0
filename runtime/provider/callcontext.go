package provider

import (
	"context"
	"sync"
	"time"
)

// callContext is the context of one call. It costs a timer and a channel only when somebody waits for its end.
type callContext struct {
	mu       sync.Mutex
	deadline time.Time
	err      error
	done     chan struct{}
	timer    *time.Timer
	after    map[*afterFunc]struct{}
}

type afterFunc struct{ f func() }

// Deadline returns the deadline of the call, if it has one.
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Value returns nil: nothing is bound to a call here.
func (c *callContext) Value(any) any { return nil }

// Err asks the clock, because no timer may be running.
func (c *callContext) Err() error {
	c.mu.Lock()
	err := c.err
	late := err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline)
	c.mu.Unlock()
	if late {
		c.end(context.DeadlineExceeded)
		return context.DeadlineExceeded
	}
	return err
}

// Done returns a channel that is closed when the context ends.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	c.watch()
	return c.done
}

// AfterFunc runs f on a goroutine of its own when the context ends, unless the function that it returns is called before. Package context looks for it.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	a := &afterFunc{f}
	if c.after == nil {
		c.after = make(map[*afterFunc]struct{}, 1)
	}
	c.after[a] = struct{}{}
	c.watch()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.after[a]
		delete(c.after, a)
		return waiting
	}
}

// watch starts the deadline's timer. It needs the lock.
func (c *callContext) watch() {
	if c.timer == nil && c.err == nil && !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
	}
}

// end ends the context; the first reason counts.
func (c *callContext) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for a := range after {
		go a.f()
	}
}
