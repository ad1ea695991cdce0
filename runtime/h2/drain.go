package h2

import (
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// drainStep is how far a connection is with its end.
type drainStep int

const (
	// drainNot is not draining.
	drainNot drainStep = iota
	// drainAnnounced is after the first GOAWAY: the peer is to open no more streams, and those that are under way are still taken.
	drainAnnounced
	// drainFinal is after the second one: streams that come now are not served.
	drainFinal
)

// drainPing is sent after the first GOAWAY: when it comes back, so has everything that the peer sent before it knew.
var drainPing = [8]byte{'d', 'r', 'a', 'i', 'n', 'i', 'n', 'g'}

// drainTime is how long that may take.
const drainTime = time.Second

// drain begins the end of the connection.
func (c *conn) drain() {
	c.mu.Lock()
	if c.drainStep != drainNot {
		c.mu.Unlock()
		return
	}
	c.drainStep, c.drainSince = drainAnnounced, time.Now()
	c.reserve(64)
	c.out.b = frame.AppendGoAway(c.out.b, frame.MaxStreamID, frame.NoError, "")
	c.out.b = frame.AppendPing(c.out.b, false, drainPing)
	c.flushSoon()
}

// drainFinally says which stream is the last. It needs the lock.
func (c *conn) drainFinally() {
	c.drainStep, c.said = drainFinal, c.lastID
	c.reserve(64)
	c.out.b = frame.AppendGoAway(c.out.b, c.lastID, frame.NoError, "")
	c.flushSoonLocked()
	c.checkOver()
}

// over tells whether the connection has nothing left to do; it needs the lock.
func (c *conn) over() bool {
	return (c.drainStep == drainFinal || c.leaving) && len(c.streams) == 0 && c.zombies == 0
}

// checkOver ends the connection when it has nothing left to do; it needs the lock.
func (c *conn) checkOver() {
	if c.over() && !c.closing {
		_ = c.netConn.SetReadDeadline(time.Unix(1, 0)) // the reading goroutine looks up
	}
}
