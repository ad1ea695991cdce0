package gateway

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// longAgo is before any deadline that is meant as one.
var longAgo = time.Unix(1_000_000, 0)

// lazyListener gives connections whose read deadlines cost next to nothing. net/http sets four of them for each request of a connection, and each moves a timer of
// the runtime: measured at a twentieth of a short call.
type lazyListener struct{ net.Listener }

func (l lazyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lazyConn{Conn: conn}, nil
}

// lazyConn moves the connection's read deadline only when it comes nearer. When one passes that was put off or taken back meanwhile, Read sets the right one and
// goes on.
type lazyConn struct {
	net.Conn

	mu sync.Mutex
	// wanted is the deadline that was asked for, armed the one that the connection has: never later than wanted. Zero is none.
	wanted, armed time.Time
	// interrupted tells that armed lies in the past: net/http wakes a read that way, and takes the deadline back at once.
	interrupted bool
}

func (c *lazyConn) SetReadDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = deadline
	if !c.interrupted && (deadline.IsZero() || !c.armed.IsZero() && !deadline.Before(c.armed)) {
		return nil
	}
	return c.arm()
}

func (c *lazyConn) SetDeadline(deadline time.Time) error {
	return errors.Join(c.SetReadDeadline(deadline), c.SetWriteDeadline(deadline))
}

func (c *lazyConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.rearmed() {
			return n, err
		}
	}
}

// rearmed tells whether the deadline that has passed is not the one that was asked for, and sets that.
func (c *lazyConn) rearmed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.wanted.IsZero() && !time.Now().Before(c.wanted) {
		return false
	}
	return c.arm() == nil
}

// arm needs the lock.
func (c *lazyConn) arm() error {
	c.armed = c.wanted
	c.interrupted = !c.armed.IsZero() && c.armed.Before(longAgo)
	return c.Conn.SetReadDeadline(c.wanted)
}
