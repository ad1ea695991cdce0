package h2

import (
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// watch is what the sweep remembers of a connection from one time to the next. The connection's lock guards it.
type watch struct {
	settled bool
	// born is when the connection began, endOfLife when it is too old; zero is never.
	born, endOfLife time.Time
	// idleSince is since when there is no stream; opened is how many had been opened then.
	idleSince time.Time
	opened    int64
	// sent counts the frames of responses.
	sent int64
	// writing tells that a write is under way, stuckSince since when the sweep sees the same one.
	writing    bool
	stuckSince time.Time
	writes     int64
}

func (w *watch) init(now time.Time, age time.Duration) {
	w.born, w.idleSince = now, now
	if age > 0 {
		w.endOfLife = now.Add(age)
	}
}

// sweep looks after the connection's timeouts.
func (c *conn) sweep(now time.Time) {
	var late []*Stream
	var drain, cut bool
	limits, count := &c.server.limits, c.server.counters.count
	c.mu.Lock()
	if c.closing || c.dead {
		c.mu.Unlock()
		return
	}
	w := &c.watch
	switch {
	case !w.settled && now.Sub(w.born) > limits.HandshakeTimeout:
		count(EndedHandshake)
		cut = true
	case w.stuck(c.writes, now) > limits.WriteTimeout:
		count(EndedWrite)
		cut = true
	case c.aged(now, count, &drain) && limits.AgeGrace > 0 && now.Sub(w.endOfLife) > limits.AgeGrace:
		cut = true
	case c.idle(now) > limits.IdleTimeout && c.drainStep == drainNot:
		count(EndedIdle)
		drain = true
	}
	if c.drainStep == drainAnnounced && now.Sub(c.drainSince) > drainTime {
		c.drainFinally()
	}
	c.refill()
	for _, s := range c.streams {
		switch {
		case s.whole > 0 && !s.begun && (now.After(s.bodyDeadline) || s.ctx.Err() != nil):
			count(CutBody)
			s.late = true
			if s.beginServing() {
				late = append(late, s)
			}
		case s.sendEnded && now.Sub(s.stalledSince) > patience:
			s.stop()
		case s.sending && !s.stalledSince.IsZero() && now.Sub(s.stalledSince) > limits.StallTimeout:
			count(CutStall)
			c.cut(s, frame.Cancel)
		}
	}
	c.flushSoon()
	for _, s := range late {
		c.server.workers.run(s)
	}
	if drain {
		c.drain()
	}
	if cut {
		go func() { _ = c.netConn.Close() }() // with TLS it may wait for a peer that does not read
	}
}

// stuck returns for how long the write that is under way has been.
func (w *watch) stuck(writes int64, now time.Time) time.Duration {
	if !w.writing || w.writes != writes || w.stuckSince.IsZero() {
		w.writes, w.stuckSince = writes, now
		return 0
	}
	return now.Sub(w.stuckSince)
}

// aged tells whether the connection is too old.
func (c *conn) aged(now time.Time, count func(Refusal), drain *bool) bool {
	if c.watch.endOfLife.IsZero() || now.Before(c.watch.endOfLife) {
		return false
	}
	if c.drainStep == drainNot {
		count(EndedAge)
		*drain = true
	}
	return true
}

// idle returns for how long there was no stream.
func (c *conn) idle(now time.Time) time.Duration {
	w := &c.watch
	if len(c.streams) > 0 || c.zombies > 0 || w.opened != c.opened {
		w.opened, w.idleSince = c.opened, now
		return 0
	}
	idle := now.Sub(w.idleSince)
	if idle > shrinkTime && c.memory.window > 0 {
		// What the peer may send already stays so, but it is not renewed.
		c.wideWindow = leastWindow
		c.memory.narrow()
	}
	return idle
}

// shrinkTime is after how long without a stream a wide window is narrowed again.
const shrinkTime = 10 * time.Second

// refill lets time pass for the allowance and for memory.
func (c *conn) refill() {
	if full := c.server.limits.FloodAllowance; c.allowance < full {
		c.allowance = min(full, c.allowance+max(full*int(sweepInterval/time.Millisecond)/10_000, 1))
	}
	if c.memory.short && !c.server.memory.scarce() {
		c.memory.short = false
	}
	c.credit()
}
