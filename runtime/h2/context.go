package h2

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// streamContext is the context of one stream. It is part of the stream, costs a timer only when somebody waits for a deadline, and has AfterFunc, so that
// contexts made from it cost no goroutine.
type streamContext struct {
	local net.Addr
	// ended tells that err is set: the way that needs no lock.
	ended atomic.Bool

	mu       sync.Mutex
	deadline time.Time
	err      error
	done     chan struct{} // made when somebody asks
	timer    *time.Timer   // runs when somebody waits
	after    map[*afterFunc]struct{}
}

type afterFunc struct{ f func() }

// Deadline returns the deadline of the call, if it has one.
func (c *streamContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, !c.deadline.IsZero()
}

// Value returns the address that the peer has connected to for [http.LocalAddrContextKey], as contexts of net/http do, and nil for every other key.
func (c *streamContext) Value(key any) any {
	if key == http.LocalAddrContextKey {
		return c.local
	}
	return nil
}

// Err asks the clock, because no timer may be running.
func (c *streamContext) Err() error {
	if !c.ended.Load() {
		c.mu.Lock()
		late := c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline)
		c.mu.Unlock()
		if late {
			c.end(context.DeadlineExceeded)
		}
		if !c.ended.Load() {
			return nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Done returns a channel that is closed when the context ends.
func (c *streamContext) Done() <-chan struct{} {
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
func (c *streamContext) AfterFunc(f func()) (stop func() bool) {
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

// watch starts the deadline's timer; it needs the lock.
func (c *streamContext) watch() {
	if c.timer == nil && c.err == nil && !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
	}
}

// setDeadline gives the context its deadline. It is called before anybody else has the context.
func (c *streamContext) setDeadline(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = deadline
}

// end ends the context; the first reason counts.
func (c *streamContext) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	c.ended.Store(true)
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
