package h2

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Handler serves the streams of connections.
type Handler interface {
	// Plan says how a stream is to be served. It is called on the goroutine that reads the connection, when the header of a request is complete, and must neither
	// block nor keep the stream. It may set the stream's deadline.
	Plan(s *Stream) Plan
}

// Plan says how a stream is to be served.
type Plan struct {
	// Serve serves the stream, on a goroutine of its own. When it returns the stream is over: what was not sent is reset.
	Serve func(s *Stream)
	// Whole tells that the request is taken in before Serve is called, if it has at most so many bytes. Serve is also called when the request has more
	// ([Stream.Overflowed]), or did not arrive in time ([Stream.Late]). 0 calls Serve with the header alone.
	Whole int
	// Enough tells whether what has come of such a request is reason to serve it at once: when it can be refused by its beginning. It is called on the goroutine that
	// reads, for each piece that comes, and must neither block nor keep the body. nil is never.
	Enough func(body []byte) bool
}

// Options are what a server needs besides a handler.
type Options struct {
	// Limits bound what peers may hold.
	Limits Limits
	// Log is told why connections were ended, at debug level, and of panics of handlers. nil discards.
	Log *slog.Logger
}

// Server serves connections. Make one with [NewServer]. Its methods may be called at once.
type Server struct {
	handler  Handler
	limits   Limits
	log      *slog.Logger
	memory   memory
	workers  workers
	counters counters
	date     atomic.Pointer[string] // for responses of an http.Handler, renewed by the sweep
	clock    atomic.Pointer[time.Time]

	mu       sync.Mutex
	conns    map[*conn]struct{}
	draining bool
	closed   bool
	sweeping bool
	stop     chan struct{}
	serving  sync.WaitGroup
}

// NewServer returns a server.
func NewServer(handler Handler, options Options) *Server {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		handler: handler, limits: options.Limits.withDefaults(), log: options.Log,
		conns: map[*conn]struct{}{}, stop: make(chan struct{}),
	}
	s.memory.limit = s.limits.MemoryBytes
	s.tick(time.Now())
	return s
}

// ServeConn serves one connection until it is closed. prefix is what was read of it already. The connection must be one on which HTTP/2 was agreed; when it is a
// [*tls.Conn] its handshake must be over.
func (s *Server) ServeConn(netConn net.Conn, prefix []byte) {
	c := newConn(s, netConn, prefix)
	if !s.add(c) {
		_ = netConn.Close()
		return
	}
	defer s.remove(c)
	c.serve()
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining {
		return false
	}
	s.conns[c] = struct{}{}
	s.serving.Add(1)
	s.counters.connections.Add(1)
	if !s.sweeping {
		s.sweeping = true
		go s.sweep()
	}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.counters.connections.Add(-1)
	s.counters.opened.Add(c.opened)
	s.mu.Unlock()
	s.serving.Done()
}

// snapshot returns the connections there are.
func (s *Server) snapshot() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// Shutdown tells every peer to open no more streams, in two steps, so that what was under way meanwhile is served, and waits until all streams are over. When the
// context ends first its error is returned; [Server.Close] then cuts off what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	for _, c := range s.snapshot() {
		c.drain()
	}
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return s.Close()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes every connection, cancels the handlers, and waits until the connections are gone. Handlers may still be on their way out.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		close(s.stop)
	}
	for _, c := range s.snapshot() {
		go func() { _ = c.netConn.Close() }() // with TLS it may wait for a peer that does not read
	}
	s.serving.Wait()
	s.workers.close()
	return nil
}

// sweep looks after what takes its time: no call pays for a timer.
func (s *Server) sweep() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.tick(now)
			s.workers.trim()
			for _, c := range s.snapshot() {
				c.sweep(now)
			}
		}
	}
}

// now is the time, give or take a sweep: good enough for timeouts of minutes, and free.
func (s *Server) now() time.Time { return *s.clock.Load() }

func (s *Server) tick(now time.Time) {
	s.clock.Store(&now)
	date := now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	s.date.Store(&date)
}

// age returns how long a connection may live, with a tenth of jitter, so that those opened together do not end together.
func (s *Server) age() time.Duration {
	if s.limits.MaxAge <= 0 {
		return 0
	}
	return time.Duration(float64(s.limits.MaxAge) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // jitter needs no secrecy
}
