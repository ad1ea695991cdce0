package listen

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// longAgo is before any deadline that is meant as one.
var longAgo = time.Unix(1_000_000, 0)

// conn is an accepted connection on its way to net/http. It first gives back what was read to tell the protocol, and its read deadlines cost next to nothing:
// net/http sets four of them for each request of a connection, and each moves a timer of the runtime, measured at a twentieth of a short call.
type conn struct {
	net.Conn
	// peeked is what was read already; only the reader touches it.
	peeked []byte
	closed func()
	once   sync.Once

	mu sync.Mutex
	// wanted is the deadline that was asked for, armed the one that the connection has: never later than wanted. Zero is none.
	wanted, armed time.Time
	// interrupted tells that armed lies in the past: net/http wakes a read that way, and takes the deadline back at once.
	interrupted bool
}

// Close closes the connection, and says so once.
func (c *conn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

// SetReadDeadline moves the connection's deadline only when it comes nearer. When one passes that was put off or taken back meanwhile, Read sets the right one and
// goes on.
func (c *conn) SetReadDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = deadline
	if !c.interrupted && (deadline.IsZero() || !c.armed.IsZero() && !deadline.Before(c.armed)) {
		return nil
	}
	return c.arm()
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(deadline time.Time) error {
	return errors.Join(c.SetReadDeadline(deadline), c.SetWriteDeadline(deadline))
}

// Read reads what was peeked, and then from the connection.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.peeked) > 0 {
		n := copy(p, c.peeked)
		if c.peeked = c.peeked[n:]; len(c.peeked) == 0 {
			c.peeked = nil
		}
		return n, nil
	}
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.rearmed() {
			return n, err
		}
	}
}

// rearmed tells whether the deadline that has passed is not the one that was asked for, and sets that.
func (c *conn) rearmed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.wanted.IsZero() && !time.Now().Before(c.wanted) {
		return false
	}
	return c.arm() == nil
}

// arm needs the lock.
func (c *conn) arm() error {
	c.armed = c.wanted
	c.interrupted = !c.armed.IsZero() && c.armed.Before(longAgo)
	return c.Conn.SetReadDeadline(c.wanted)
}
