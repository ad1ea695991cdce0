package nats

import (
	"context"
	"sync"
	"time"
)

const (
	// clockAgain is after how long the server is asked for its time again, when somebody needs it.
	clockAgain = 10 * time.Second
	// clockDrift is how much faster than the server's the gateway's clock may run: one part of so many. Time that was told is aged by it, so that nothing expires early.
	clockDrift = 2000
)

// clock tells the server's time, which is the only one that expiry goes by: the same for all gateways, and the one that messages are stamped with. What it tells is never ahead of the
// server's, and behind it by at most the time that a question takes and the drift since.
type clock struct {
	ask func(ctx context.Context) (time.Time, error)

	mu     sync.Mutex
	told   time.Time     // the server's time
	since  time.Time     // when it was that or later, by the gateway's monotonic clock
	asking chan struct{} // closed when the question that is under way is answered; nil when there is none
}

// now returns the server's time.
func (c *clock) now(ctx context.Context) (time.Time, error) {
	for {
		c.mu.Lock()
		if !c.since.IsZero() && time.Since(c.since) < clockAgain {
			defer c.mu.Unlock()
			return c.aged(time.Now()), nil
		}
		asking := c.asking
		if asking == nil {
			c.asking = make(chan struct{})
			c.mu.Unlock()
			return c.renew(ctx)
		}
		c.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// renew asks the server for its time, for all who wait for it.
func (c *clock) renew(ctx context.Context) (time.Time, error) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.asking)
		c.asking = nil
	}()
	begin := time.Now()
	told, err := c.ask(ctx)
	if err != nil {
		return time.Time{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	answered := time.Now()
	if !c.since.IsZero() {
		aged := c.aged(answered)
		// What was told before may be the better bound, unless the server's clock was set back.
		if aged.After(told) && !aged.After(told.Add(answered.Sub(begin))) {
			told = aged
		}
	}
	c.told, c.since = told, answered
	return told, nil
}

// aged is the least that the server's time can be, by what it has told.
func (c *clock) aged(at time.Time) time.Time {
	passed := at.Sub(c.since)
	return c.told.Add(passed - passed/clockDrift)
}
