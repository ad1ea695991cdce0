// Package listen takes connections and finds out what they speak: HTTP/2 goes to an [h2.Server], HTTP/1.1 to net/http, on one port.
//
// In clear it is the first bytes that tell, with TLS it is ALPN. What speaks neither is closed without an answer. A connection that does not say what it
// speaks in time is closed too, and so are connections beyond the limit.
package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prismgate/prism/runtime/h2"
)

// Config says how connections are served.
type Config struct {
	// HTTP2 serves the connections that speak HTTP/2. nil leaves them to net/http and its own HTTP/2.
	HTTP2 *h2.Server
	// HTTP serves requests of HTTP/1.1, and every request when HTTP2 is nil.
	HTTP http.Handler
	// TLS is how the connections of [Server.Serve] are secured; nil serves in clear. Its NextProtos are set here.
	TLS *tls.Config
	// Limits bound what peers may hold. A field that is zero has its default.
	Limits Limits
	// Log is told at debug level why connections were refused; nil discards.
	Log *slog.Logger
}

// Limits bound what peers may hold of a listener.
type Limits struct {
	// MaxConnections bounds the connections that are open, against a peer that opens more than the process has descriptors for. One more is closed at once.
	// Default 10,000.
	MaxConnections int
	// HandshakeTimeout bounds how long a connection may take to say what it speaks, TLS included, and an HTTP/1.1 request its header, against peers that
	// connect and stay silent. The connection is closed. Default 10 s.
	HandshakeTimeout time.Duration
	// IdleTimeout bounds how long an HTTP/1.1 connection may do nothing between requests. Default 15 min.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the header of an HTTP/1.1 request; the answer is 431. Default 16 KiB.
	MaxHeaderBytes int
	// MaxStreams bounds the calls under way on a connection when net/http serves HTTP/2; an [h2.Server] has its own. Default 250.
	MaxStreams int
}

func (l Limits) withDefaults() Limits {
	l.MaxConnections = orDefault(l.MaxConnections, 10_000)
	l.HandshakeTimeout = orDefault(l.HandshakeTimeout, 10*time.Second)
	l.IdleTimeout = orDefault(l.IdleTimeout, 15*time.Minute)
	l.MaxHeaderBytes = orDefault(l.MaxHeaderBytes, 16<<10)
	l.MaxStreams = orDefault(l.MaxStreams, 250)
	return l
}

func orDefault[T ~int | ~int64](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

// ErrClosed is what [Server.Serve] returns after Shutdown or Close.
var ErrClosed = http.ErrServerClosed

// Server takes connections. Make one with [New].
type Server struct {
	config Config
	tls    *tls.Config
	log    *slog.Logger
	http   *http.Server
	// toHTTP hands connections to net/http.
	toHTTP *handoff
	stats  counters

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	// greeting are the connections of which it is not known yet what they speak.
	greeting map[net.Conn]struct{}
	serving  sync.WaitGroup
}

// New returns a server.
func New(config Config) *Server {
	config.Limits = config.Limits.withDefaults()
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		config: config, log: config.Log, toHTTP: newHandoff(),
		listeners: map[net.Listener]struct{}{}, greeting: map[net.Conn]struct{}{},
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(config.HTTP2 == nil)
	protocols.SetUnencryptedHTTP2(config.HTTP2 == nil)
	s.http = &http.Server{
		Handler:           config.HTTP,
		Protocols:         protocols,
		ReadHeaderTimeout: config.Limits.HandshakeTimeout,
		IdleTimeout:       config.Limits.IdleTimeout,
		MaxHeaderBytes:    config.Limits.MaxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: config.Limits.MaxStreams},
		ErrorLog:          slog.NewLogLogger(config.Log.Handler(), slog.LevelDebug),
	}
	if config.TLS != nil {
		s.tls = Secure(config.TLS)
	}
	return s
}

// Secure returns a copy of a configuration that offers what a server speaks, for [Server.ServeTLS].
func Secure(config *tls.Config) *tls.Config {
	secure := config.Clone()
	secure.NextProtos = []string{"h2", "http/1.1"}
	// Small records in the beginning are for browsers on slow lines; they cost a system call each.
	secure.DynamicRecordSizingDisabled = true
	return secure
}

// Serve takes connections from a listener until that fails or the server is closed, and then returns [ErrClosed]. It may be called for several listeners.
func (s *Server) Serve(listener net.Listener) error {
	return s.ServeTLS(listener, func() *tls.Config { return s.tls })
}

// ServeTLS is Serve for a listener that is secured in its own way. It asks for each connection how, so that certificates can be replaced; the answer is one of
// [Secure], or nil to serve in clear.
func (s *Server) ServeTLS(listener net.Listener, secure func() *tls.Config) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errors.Join(ErrClosed, listener.Close())
	}
	if len(s.listeners) == 0 {
		s.toHTTP.start(listener.Addr(), func(l net.Listener) { _ = s.http.Serve(l) })
	}
	s.listeners[listener] = struct{}{}
	s.mu.Unlock()
	var wait time.Duration
	for {
		accepted, err := listener.Accept()
		switch {
		case err == nil:
			wait = 0
			s.take(accepted, secure())
		case s.isClosed():
			return ErrClosed
		case outOfResources(err):
			// The listener is well, the process is not: to try again at once would keep a core busy until a descriptor is free.
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.log.Warn("cannot accept connections", "error", err.Error(), "retry", wait.String())
			<-time.After(wait)
		default:
			return err
		}
	}
}

func outOfResources(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ECONNABORTED)
}

// take serves a connection on a goroutine of its own, if there is room for it.
func (s *Server) take(accepted net.Conn, secure *tls.Config) {
	if open := s.stats.open.Add(1); open > int64(s.config.Limits.MaxConnections) {
		s.stats.open.Add(-1)
		s.stats.refused.Add(1)
		_ = accepted.Close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.stats.open.Add(-1)
		_ = accepted.Close()
		return
	}
	s.stats.accepted.Add(1)
	s.greeting[accepted] = struct{}{}
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		s.greet(accepted, secure)
	}()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// greeted takes a connection off those that have not said what they speak. It tells whether the connection may go on.
func (s *Server) greeted(accepted net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.greeting, accepted)
	return !s.closed
}

// Shutdown takes no more connections and lets the calls of those there are finish until the context ends; then it cuts them off and returns an error. Peers that speak HTTP/2 are told first, so that what they sent meanwhile is served.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting()
	results := make(chan error, 2)
	go func() { results <- s.http.Shutdown(ctx) }()
	go func() {
		if s.config.HTTP2 == nil {
			results <- nil
			return
		}
		results <- s.config.HTTP2.Shutdown(ctx)
	}()
	err := errors.Join(<-results, <-results)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("some calls did not finish in time and were cut off")
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	s.toHTTP.stop()
	s.serving.Wait()
	return nil
}

// Close closes every connection at once.
func (s *Server) Close() error {
	s.stopAccepting()
	err := s.http.Close()
	if s.config.HTTP2 != nil {
		err = errors.Join(err, s.config.HTTP2.Close())
	}
	s.toHTTP.stop()
	s.serving.Wait()
	return err
}

func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for listener := range s.listeners {
		_ = listener.Close() // it is not used again
	}
	for greeting := range s.greeting {
		_ = greeting.Close()
	}
}

// Stats are figures about connections, since the server was made.
type Stats struct {
	// Open is how many connections are open now.
	Open int64
	// Accepted is how many were taken.
	Accepted int64
	// Refused is how many were closed because too many were open.
	Refused int64
	// Silent is how many did not say in time what they speak.
	Silent int64
	// Unsecured is how many failed the TLS handshake.
	Unsecured int64
	// Unknown is how many spoke neither HTTP/2 nor HTTP/1.1.
	Unknown int64
}

// HTTP2 is what serves the connections that speak HTTP/2; nil when net/http does.
func (s *Server) HTTP2() *h2.Server { return s.config.HTTP2 }

type counters struct{ open, accepted, refused, silent, unsecured, unknown atomic.Int64 }

// Stats returns the figures.
func (s *Server) Stats() Stats {
	return Stats{
		Open: s.stats.open.Load(), Accepted: s.stats.accepted.Load(), Refused: s.stats.refused.Load(),
		Silent: s.stats.silent.Load(), Unsecured: s.stats.unsecured.Load(), Unknown: s.stats.unknown.Load(),
	}
}
