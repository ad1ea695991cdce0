package h2

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// Stream is one request and its response. Its methods are for the handler that serves it: reading and writing may be done by one goroutine each, until the
// handler returns.
type Stream struct {
	// Header is the request's header. It is not changed, and stays valid after the stream has ended.
	Header Header

	conn    *conn
	id      uint32
	ctx     streamContext
	handler func(*Stream)

	// What follows is under the connection's lock.

	// recvWindow is how much the peer may send; received is how much data it has sent, without padding.
	recvWindow, received int64
	body                 *buffer
	read                 int // what was read of body
	trailers             *Header
	recvEnded            bool
	whole                int
	enough               func(body []byte) bool
	bodyDeadline         time.Time
	overflowed, late     bool
	readDeadline         time.Time
	readTimer            *time.Timer
	readable             chan struct{}

	sendWindow int64
	// pending is what is to be sent, in the memory of who waits for it; lastBlock is the block that ends the stream after it.
	pending, lastBlock []byte
	sending, endAfter  bool
	// backlog is what is to be sent before it, of a handler that does not wait; from backlogAt on.
	backlog   *buffer
	backlogAt int
	// patient tells that the peer may end its request after the response; dropped is how much of that has come.
	patient      bool
	dropped      int
	torn         bool // some of what was pending was sent and the rest never will be
	headerSent   bool
	sendEnded    bool
	stalledSince time.Time
	queued       bool
	next         *Stream
	sent         chan struct{}

	// begun tells that the handler was given the stream, running that it has not returned; gone that the connection has forgotten the stream.
	begun, running, gone bool
	err                  error
}

func newStream(c *conn, id uint32) *Stream {
	s := &Stream{conn: c, id: id}
	s.ctx.local = c.local
	s.Header.init()
	return s
}

// ResetError is why a stream ended that the peer has reset.
type ResetError struct {
	// Code is the reason that the peer gave.
	Code frame.ErrorCode
}

// Error returns the reason.
func (e *ResetError) Error() string { return "h2: the peer reset the stream: " + e.Code.String() }

// Unwrap returns context.Canceled: the peer does not wait for an answer any more.
func (e *ResetError) Unwrap() error { return context.Canceled }

// errEnded is what a handler gets that uses a stream after its end.
var errEnded = os.ErrClosed

// Context returns the context of the request. It ends when the peer resets the stream, the connection ends, the deadline passes, or the handler has returned.
func (s *Stream) Context() context.Context { return &s.ctx }

// SetDeadline sets the deadline of the context. It is for [Handler.Plan] only.
func (s *Stream) SetDeadline(deadline time.Time) { s.ctx.setDeadline(deadline) }

// RemoteAddr returns the address of the peer.
func (s *Stream) RemoteAddr() string { return s.conn.remote }

// LocalAddr returns the address that the peer has connected to.
func (s *Stream) LocalAddr() net.Addr { return s.ctx.local }

// Body returns what has come of a request that was taken in whole. It is valid until the stream ends.
func (s *Stream) Body() []byte {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.body == nil {
		return nil
	}
	return s.body.b[s.read:]
}

// Overflowed tells that a request which was to be taken in whole has more bytes than its plan allows.
func (s *Stream) Overflowed() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.overflowed
}

// Late tells that a request which was to be taken in whole did not arrive in time.
func (s *Stream) Late() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.late
}

// Trailers returns the trailers of the request once it was read to its end; nil when there are none.
func (s *Stream) Trailers() *Header {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.trailers
}

// Read reads the request's body, and returns io.EOF at its end. It returns as soon as there is anything.
func (s *Stream) Read(p []byte) (int, error) {
	c := s.conn
	s.proceed()
	c.mu.Lock()
	for {
		switch {
		case s.err != nil:
			defer c.mu.Unlock()
			return 0, s.err
		case s.body != nil && s.read < len(s.body.b):
			n := copy(p, s.body.b[s.read:])
			s.consume(n)
			c.flushSoon()
			return n, nil
		case s.recvEnded:
			defer c.mu.Unlock()
			return 0, io.EOF
		case s.gone || s.sendEnded:
			defer c.mu.Unlock()
			return 0, errEnded
		case !s.readDeadline.IsZero() && !time.Now().Before(s.readDeadline):
			defer c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if s.readable == nil {
			s.readable = make(chan struct{}, 1)
		}
		c.mu.Unlock()
		select {
		case <-s.readable:
		case <-s.ctx.Done():
			if err := s.failure(); err != nil {
				return 0, err
			}
		}
		c.mu.Lock()
	}
}

// proceed tells a peer that waits for it to send the body.
func (s *Stream) proceed() {
	if s.Header.expectPending {
		s.Header.expectPending = false
		s.sendInterim(continueBlock)
	}
}

var continueBlock = AppendStatus(nil, 100)

// failure returns why the stream failed, or else why its context ended.
func (s *Stream) failure() error {
	s.conn.mu.Lock()
	err := s.err
	s.conn.mu.Unlock()
	if err != nil {
		return err
	}
	return s.ctx.Err()
}

// SetReadDeadline makes Read fail with os.ErrDeadlineExceeded from then on. The zero time is no deadline.
func (s *Stream) SetReadDeadline(deadline time.Time) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.readDeadline = deadline
	if s.readTimer != nil {
		s.readTimer.Stop()
		s.readTimer = nil
	}
	if deadline.IsZero() {
		return
	}
	if wait := time.Until(deadline); wait > 0 {
		s.readTimer = time.AfterFunc(wait, func() {
			s.conn.mu.Lock()
			defer s.conn.mu.Unlock()
			s.wakeReader()
		})
		return
	}
	s.wakeReader()
}

// accept keeps data for the handler, if that is still to read any; it needs the lock.
func (s *Stream) accept(data []byte) {
	if len(data) == 0 || s.sendEnded || s.overflowed || s.whole > 0 && s.begun { // a body that was given to the handler does not change
		return
	}
	before := s.body.size()
	s.body = s.body.grown(len(data))
	s.body.b = append(s.body.b, data...)
	s.conn.memory.hold(s.body.size() - before) // what it costs, which may be ten times what it is
}

// consume forgets n bytes that were read; it needs the lock.
func (s *Stream) consume(n int) {
	if s.read += n; s.read == len(s.body.b) {
		s.freeBody()
	} else if s.read > cap(s.body.b)/2 {
		s.body.b = append(s.body.b[:0], s.body.b[s.read:]...)
		s.read = 0
	}
	s.credit()
	s.conn.credit()
}

// freeBody gives back the memory of the body; it needs the lock.
func (s *Stream) freeBody() {
	s.conn.release(s.body.size())
	s.body.put()
	s.body, s.read = nil, 0
}

// credit opens the stream's window again when half of it was used. A request that is taken in whole is bounded by its plan and needs no window of that size.
func (s *Stream) credit() {
	if s.recvEnded || s.overflowed || s.gone {
		return
	}
	allowed := int64(streamWindow)
	if s.whole == 0 && s.body != nil {
		allowed -= int64(len(s.body.b) - s.read)
	}
	if allowed-s.recvWindow < streamWindow/2 {
		return
	}
	c := s.conn
	c.reserve(frame.HeaderSize + 4)
	c.out.b = frame.AppendWindowUpdate(c.out.b, s.id, uint32(allowed-s.recvWindow))
	s.recvWindow = allowed
}

func (s *Stream) wakeReader() { signal(s.readable) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // nil, or signaled already
	}
}

// beginServing tells whether the handler is to be started now; it needs the lock.
func (s *Stream) beginServing() bool {
	if s.begun || s.gone {
		return false
	}
	s.begun, s.running = true, true
	return true
}

// abort makes everything that the handler does fail; it needs the lock.
func (s *Stream) abort(err error) {
	if s.err == nil {
		s.err = err
	}
	s.unqueue()
	s.wakeReader()
	signal(s.sent)
	s.ctx.end(context.Canceled)
}

// serve runs the handler.
func (s *Stream) serve() {
	defer s.served()
	s.handler(s)
}

// served ends the stream when its handler has returned.
func (s *Stream) served() {
	panicked := recover()
	c := s.conn
	c.mu.Lock()
	freed := s.gone && s.body != nil
	if freed {
		s.freeBody()
		c.credit()
	}
	switch {
	case s.running:
		s.running = false
		switch {
		case s.gone:
			c.zombies--
		case !s.sendEnded:
			c.cut(s, frame.InternalError)
		}
		c.checkOver()
		c.flushSoon()
	case freed:
		c.flushSoon()
	default:
		c.mu.Unlock()
	}
	s.ctx.end(context.Canceled)
	if panicked != nil && !isAbort(panicked) {
		c.server.log.Error("http/2 handler panicked", slog.Any("panic", panicked), slog.String("path", s.Header.Path), slog.String("stack", string(debug.Stack())))
	}
}

// closeStream forgets a stream; it needs the lock.
func (c *conn) closeStream(s *Stream, byUs bool) {
	if s.gone {
		return
	}
	s.gone = true
	delete(c.streams, s.id)
	c.recent.add(s.id, byUs)
	s.unqueue()
	s.wakeReader()
	s.freeBacklog()
	if s.body != nil && (!s.running || s.whole == 0) { // a handler may still read a body that it was given whole: served frees it
		s.freeBody()
	}
	if s.readTimer != nil {
		s.readTimer.Stop()
	}
	if s.running {
		c.zombies++
	}
	if s.headerSent {
		c.unwritten++
	}
	c.credit() // what was held is free again, and nothing else may come to say so
	c.checkOver()
}

// reset ends a stream with an error, and counts it against the peer: who provokes resets starts work as one who resets. It needs the lock.
func (c *conn) reset(s *Stream, code frame.ErrorCode) error {
	c.cut(s, code)
	return c.spend()
}

// cut ends a stream with an error that is not the peer's doing. It needs the lock.
func (c *conn) cut(s *Stream, code frame.ErrorCode) {
	s.abort(context.Canceled)
	c.appendReset(s.id, code)
	c.closeStream(s, true)
}

// resetID ends a stream that may not be there.
func (c *conn) resetID(id uint32, code frame.ErrorCode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		return c.reset(s, code)
	}
	c.appendReset(id, code)
	return c.spend()
}

// resetSize is the size of a RST_STREAM frame.
const resetSize = frame.HeaderSize + 4

// appendReset needs the lock.
func (c *conn) appendReset(id uint32, code frame.ErrorCode) {
	c.reserve(resetSize)
	c.out.b = frame.AppendRSTStream(c.out.b, id, code)
	c.control += resetSize
	if c.streams[id] == nil {
		c.recent.add(id, true)
	}
}
