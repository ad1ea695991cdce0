package nats

import (
	"context"
	"sync"
	"time"
)

const (
	// clockAgain is after how long the server is asked for its time again, when somebody needs it.
	clockAgain = 10 * time.Second
	// clockDrift is how much faster than the server's the gateway's clock may run, in parts of a million. Time that was told is aged by it, so that nothing expires early.
	clockDrift = 500
)

// clock tells the server's time, which is the only one that expiry goes by: the same for all gateways, and the one that messages are stamped with. What it tells is never ahead of the
// server's, and behind it by at most the time that a question takes.
type clock struct {
	ask func(ctx context.Context) (time.Time, error)

	mu    sync.Mutex
	told  time.Time // the server's time
	since time.Time // when it was that or later, by the gateway's monotonic clock
}

// now returns the server's time.
func (c *clock) now(ctx context.Context) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.since.IsZero() && time.Since(c.since) < clockAgain {
		return c.told.Add(time.Since(c.since)), nil
	}
	begin := time.Now()
	told, err := c.ask(ctx)
	if err != nil {
		return time.Time{}, err
	}
	answered := time.Now()
	if !c.since.IsZero() {
		passed := answered.Sub(c.since)
		aged := c.told.Add(passed - passed*clockDrift/1_000_000)
		// What was told before may be the better bound, unless the server's clock was set back.
		if aged.After(told) && !aged.After(told.Add(answered.Sub(begin))) {
			told = aged
		}
	}
	c.told, c.since = told, answered
	return told, nil
}
