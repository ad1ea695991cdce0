package load

import (
	"bytes"
	"errors"
	"io"
)

// speaker speaks a protocol on a connection.
type speaker interface {
	// consume reads what was received, as far as it is whole, and returns how much that is.
	consume(data []byte) (int, error)
	// room is how many calls can be opened now.
	room() int
	// open makes a call; there must be room.
	open(*call)
	// active is how many calls are under way.
	active() int
	// pump goes on with requests that wait.
	pump()
	// expire ends the calls that have heard nothing since a time.
	expire(since int64)
	// cut gives up the calls that a test chooses.
	cut(which func(*call) bool)
	// lose ends all calls.
	lose(code, message string)
	// farewell appends what the server is told before the connection is closed.
	farewell(err error)
}

// conn is a connection.
type conn struct {
	w    *worker
	slot *slot
	wire *wire
	speaker
	// out is what is to be sent, of which done was; with TLS done is of the records.
	out  []byte
	done int
	// blocked tells that the socket takes no more, and that the poller waits for it.
	blocked bool
	// rest is the beginning of what is not whole yet.
	rest []byte
	// draining tells that it takes no new calls.
	draining bool
	closed   bool
	// answers counts the calls that it has answered.
	answers int64
}

// waiting is how much is to be sent.
func (c *conn) waiting() int { return len(c.out) + len(c.wire.sealed) - c.done }

// maxWaiting bounds what a server that never reads makes of answers to its PINGs and SETTINGS.
const maxWaiting = 16 << 20

// readable reads and handles what is there.
func (c *conn) readable() {
	c.wire.reads = 0
	for !c.closed {
		n, err := c.wire.receive(c.w.buffer)
		if errors.Is(err, errAgain) {
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server closed the connection")
			}
			c.lost(err)
			return
		}
		c.w.now = c.w.run.clock()
		if err := c.received(c.w.buffer[:n]); err != nil {
			c.lost(err)
			return
		}
		if n < len(c.w.buffer) && c.wire.tls == nil {
			return // that was all; the poller says when there is more
		}
	}
}

// received handles what was read.
func (c *conn) received(data []byte) error {
	if len(c.rest) > 0 {
		c.rest = append(c.rest, data...)
		data = c.rest
	}
	used, err := c.consume(data)
	if err != nil {
		return err
	}
	// What is left may be the end of rest itself; append copes with that.
	c.rest = append(c.rest[:0], data[used:]...)
	if cap(c.rest) > 2*len(c.w.buffer) {
		c.rest = bytes.Clone(c.rest)
	}
	if c.waiting() > maxWaiting {
		return errors.New("the server reads nothing")
	}
	return nil
}

// flush sends what waits, as far as the socket takes it.
func (c *conn) flush() {
	for !c.closed && !c.blocked {
		if c.waiting() == 0 {
			return
		}
		pending := &c.out
		made, err := c.wire.seal(c.out)
		if err != nil {
			c.lost(err)
			return
		}
		if made {
			c.out = c.out[:0]
		}
		if c.wire.tls != nil {
			pending = &c.wire.sealed
		}
		n, err := writeSocket(c.wire.fd, (*pending)[c.done:])
		switch {
		case errors.Is(err, errAgain):
			if err := c.block(true); err != nil {
				c.lost(err)
			}
			return
		case err != nil:
			c.lost(cause(err))
			return
		}
		if c.done += n; c.done == len(*pending) {
			*pending, c.done = (*pending)[:0], 0
			if cap(*pending) > 4*enough {
				*pending = nil
			}
		}
		c.pump()
	}
}

func (c *conn) block(blocked bool) error {
	c.blocked = blocked
	return c.w.poller.wantWrite(c.wire.fd, blocked)
}

// drain stops new calls on the connection, and has another one dialed in its place.
func (c *conn) drain(why, detail string) {
	if c.draining {
		return
	}
	c.draining = true
	if why != "" {
		c.w.tally.disconnected(why, detail)
	}
	c.w.replace(c)
}

// lost closes a connection that is of no more use.
func (c *conn) lost(err error) {
	if c.closed {
		return
	}
	var wrong *connectionError
	code := failConnection
	if errors.As(err, &wrong) {
		code = failMalformed
	}
	// A server that was asked to close after GOAWAY does; that is no loss.
	if !c.draining || c.active() > 0 {
		c.w.tally.disconnected(code, err.Error())
	}
	c.lose(code, err.Error())
	c.draining = true
	c.close(err)
	c.w.replace(c)
}

// close says farewell and closes the socket.
func (c *conn) close(err error) {
	if c.closed {
		return
	}
	if !c.blocked {
		c.farewell(err)
		if c.wire.tls == nil {
			_, _ = writeSocket(c.wire.fd, c.out[min(c.done, len(c.out)):]) // whether it is heard or not
		} else if made, err := c.wire.seal(c.out); made && err == nil && c.wire.tls.CloseWrite() == nil {
			_, _ = writeSocket(c.wire.fd, c.wire.sealed[min(c.done, len(c.wire.sealed)):])
		}
	}
	c.closed = true
	c.w.forget(c)
	_ = c.wire.Close() // nothing is left to be sent
	c.out, c.rest = nil, nil
}

// ended counts a call that has ended.
func (c *conn) ended(call *call, code, message string, size int64) {
	c.answers++
	c.w.ended(call, code, message, size)
}

// again has a call made anew, on another connection.
func (c *conn) again(call *call) { c.w.again(call) }

// unfinished counts a call that was given up because the run is over.
func (c *conn) unfinished(call *call) { c.w.cutOff(call) }
