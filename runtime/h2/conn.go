package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// conn is one connection. One goroutine reads it; what other goroutines touch too is under the lock.
type conn struct {
	server  *Server
	netConn net.Conn
	tls     *tls.ConnectionState
	remote  string
	local   net.Addr
	input   input

	// Only the reading goroutine touches these.
	decoder  *hpack.Decoder
	decoding *Header
	block    pendingBlock
	settled  bool // the peer's first SETTINGS has come
	starting []*Stream
	pings    pingPolicy

	mu      sync.Mutex
	streams map[uint32]*Stream
	recent  recentStreams
	// opened counts the streams; lastID is the highest identifier that was used.
	opened int64
	lastID uint32
	// zombies are handlers that run though their stream is gone.
	zombies int
	// unwritten counts the streams that are over here and not yet for the peer: what they have sent waits to be written. A peer that reads nothing would fill memory with
	// the responses of calls that are over.
	unwritten int
	// recvWindow is how much the peer may send, wideWindow what that is brought to when half of it is used.
	recvWindow, wideWindow int64
	lastCredit             time.Time
	memory                 holding
	// sendWindow is how much the peer takes, streamSendWindow what a new stream begins with.
	sendWindow, streamSendWindow int64
	// tableUpdate tells that the peer has a smaller table than HPACK begins with, which the next header block must acknowledge (RFC 7541, section 4.2).
	tableUpdate, tableUpdated bool
	out                       *buffer
	control                   int // bytes of control frames in out
	ready                     streamQueue
	flushing                  bool
	flushed                   sync.Cond
	writes                    int64 // counts what was written, for the sweep to see progress
	dead                      bool  // a write has failed
	closing                   bool
	allowance                 int
	drainStep                 drainStep
	drainSince                time.Time
	said                      uint32 // the last stream by the final GOAWAY, which no later one may put higher
	leaving                   bool   // the peer has sent GOAWAY
	watch                     watch
}

func newConn(s *Server, netConn net.Conn, prefix []byte) *conn {
	c := &conn{
		server: s, netConn: netConn, local: netConn.LocalAddr(),
		streams:    make(map[uint32]*Stream),
		recvWindow: frame.DefaultWindow, wideWindow: leastWindow,
		sendWindow: frame.DefaultWindow, streamSendWindow: frame.DefaultWindow,
		allowance: s.limits.FloodAllowance, said: frame.MaxStreamID,
		memory: holding{server: &s.memory},
	}
	if remote := netConn.RemoteAddr(); remote != nil {
		c.remote = remote.String()
	}
	if secure, ok := netConn.(*tls.Conn); ok {
		state := secure.ConnectionState()
		c.tls = &state
	}
	c.flushed.L = &c.mu
	c.input.init(netConn, prefix)
	c.decoder = hpack.NewDecoder(4096, c.emit)
	c.watch.init(time.Now(), s.age())
	return c
}

// connError ends a connection.
type connError struct {
	code    frame.ErrorCode
	refusal Refusal
	text    string
}

func (e *connError) Error() string { return e.code.String() + ": " + e.text }

func protocolError(code frame.ErrorCode, text string) error {
	return &connError{code, EndedProtocol, text}
}

// errDrained ends a connection that has nothing left to do.
var errDrained = errors.New("h2: drained")

// serve serves the connection until it is closed.
func (c *conn) serve() {
	c.greet()
	err := c.read()
	c.finish(err)
}

// greet sends the server's preface, which is its SETTINGS.
func (c *conn) greet() {
	limits := &c.server.limits
	c.mu.Lock()
	c.reserve(64)
	c.out.b = frame.AppendSettings(c.out.b,
		frame.Setting{ID: frame.MaxConcurrentStreams, Value: uint32(limits.MaxStreams)},
		frame.Setting{ID: frame.InitialWindowSize, Value: streamWindow},
		frame.Setting{ID: frame.MaxHeaderListSize, Value: uint32(limits.MaxHeaderBytes)},
	)
	c.flushSoon()
}

// read reads the preface and then frames, until something ends the connection.
func (c *conn) read() error {
	preface, err := c.need(len(frame.Preface))
	if err != nil {
		return err
	}
	if string(preface[:len(frame.Preface)]) != frame.Preface {
		return protocolError(frame.ProtocolError, "the preface is not HTTP/2's")
	}
	c.input.take(len(frame.Preface))
	for {
		if !c.input.has(frame.HeaderSize) {
			c.endBatch()
		}
		b, err := c.need(frame.HeaderSize)
		if err != nil {
			return err
		}
		h := frame.ParseHeader(b)
		if h.Length > frame.DefaultMaxSize {
			return protocolError(frame.FrameSizeError, "a frame larger than SETTINGS_MAX_FRAME_SIZE")
		}
		size := frame.HeaderSize + int(h.Length)
		if !c.input.has(size) {
			c.endBatch()
		}
		if b, err = c.need(size); err != nil {
			return err
		}
		if err := c.handle(h, b[frame.HeaderSize:size]); err != nil {
			return err
		}
		c.input.take(size)
	}
}

// need returns what was read once it is n bytes or more.
func (c *conn) need(n int) ([]byte, error) {
	for {
		b, err := c.input.need(n)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return b, err
		}
		c.mu.Lock()
		over := c.over()
		if !over {
			err = c.netConn.SetReadDeadline(time.Time{}) // under the lock, so that it takes back no deadline that is set meanwhile
		}
		c.mu.Unlock()
		switch {
		case over:
			return nil, errDrained
		case err != nil:
			return nil, err
		}
	}
}

// endBatch does what was put off while there were frames: nothing more is known to come soon.
func (c *conn) endBatch() {
	for i, s := range c.starting {
		c.start(s)
		c.starting[i] = nil
	}
	c.starting = c.starting[:0]
	c.mu.Lock()
	c.flushSoon()
}

// start has a stream served, unless that was begun already.
func (c *conn) start(s *Stream) {
	c.mu.Lock()
	begin := s.beginServing()
	c.mu.Unlock()
	if begin {
		c.server.workers.run(s)
	}
}

// finish ends the connection: it says why, lets the peer read it, and cancels what is left.
func (c *conn) finish(err error) {
	var broken *connError
	graceful := errors.Is(err, errDrained)
	c.mu.Lock()
	c.closing = true
	for _, s := range c.streams {
		s.abort(&ConnectionError{err})
	}
	if errors.As(err, &broken) {
		c.server.counters.count(broken.refusal)
		c.server.log.Debug("http/2 connection ended", slog.String("peer", c.remote), slog.String("error", broken.Error()))
		c.reserve(64 + len(broken.text))
		c.out.b = frame.AppendGoAway(c.out.b, min(c.lastID, c.said), broken.code, broken.text)
		graceful = true
	}
	c.mu.Unlock()
	_ = c.netConn.SetDeadline(time.Now().Add(lingerTime))
	if graceful {
		c.writeRest()
		c.linger()
	}
	_ = c.netConn.Close()
	c.mu.Lock()
	c.dead = true
	for c.flushing {
		c.flushed.Wait()
	}
	c.out.put()
	c.out = nil
	c.memory.close()
	c.mu.Unlock()
	c.input.close()
}

// writeRest writes what is still to be written.
func (c *conn) writeRest() {
	c.mu.Lock()
	for c.flushing {
		c.flushed.Wait()
	}
	rest := c.out
	c.out = nil
	dead := c.dead
	c.mu.Unlock()
	if rest != nil && !dead {
		_, _ = c.netConn.Write(rest.b) // the connection is closed next
	}
	rest.put()
}

// linger closes the connection's sending side and reads on for a moment.
func (c *conn) linger() {
	half, ok := c.netConn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	drop := getClass(readClass)
	defer drop.put()
	_, _ = io.CopyBuffer(onlyWriter{}, io.LimitReader(onlyReader{c.netConn}, lingerBytes), drop.b[:cap(drop.b)])
}

// onlyWriter drops what is written; unlike io.Discard it uses the buffer that it is given.
type onlyWriter struct{}

func (onlyWriter) Write(p []byte) (int, error) { return len(p), nil }

// onlyReader hides a connection's WriteTo.
type onlyReader struct{ io.Reader }

// ConnectionError is why a stream ended when its connection did.
type ConnectionError struct{ err error }

// Error returns the reason.
func (e *ConnectionError) Error() string { return "h2: the connection ended: " + e.err.Error() }

// Unwrap returns context.Canceled: the peer is gone. It does not return the reason, which is mostly io.EOF, and would be taken for the end of the request.
func (e *ConnectionError) Unwrap() error { return context.Canceled }
