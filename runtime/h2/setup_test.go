package h2_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// patience is how long a test waits for what must come. It tells a hang from a machine that is busy, and nothing else.
const patience = 30 * time.Second

// wholeLimit is how much "/whole" takes.
const wholeLimit = 64 << 10

// paths is a handler with a path for each way to serve a stream.
type paths struct {
	// release lets the handlers of "/stubborn" go; they do not look at their contexts.
	release chan struct{}
	// running counts the handlers of "/stubborn" and "/wait", most is the most there were at once.
	running, most, begun atomic.Int64
	// ended gets what ended the context of each "/wait".
	ended chan error
	http  h2.Plan
	// panicked counts the panics that were meant.
	panicked atomic.Int64
}

func newPaths(handler http.Handler) *paths {
	if handler == nil {
		handler = http.NotFoundHandler()
	}
	return &paths{release: make(chan struct{}), ended: make(chan error, 10_000), http: h2.HTTP(handler)}
}

func (p *paths) Plan(s *h2.Stream) h2.Plan {
	path, query, _ := strings.Cut(s.Header.Path, "?")
	switch path {
	case "/quick":
		return h2.Plan{Serve: func(s *h2.Stream) { respond(s, "hello") }}
	case "/bare": // a response of nothing but a header
		return h2.Plan{Serve: func(s *h2.Stream) {
			_ = s.Respond(h2.AppendField(h2.AppendStatus(nil, 200), "x-filler", strings.Repeat("f", 200)), nil, nil)
		}}
	case "/header": // nothing but a header, and no end
		return h2.Plan{Serve: func(s *h2.Stream) {
			_ = s.SendHeader(h2.AppendField(h2.AppendStatus(nil, 200), "x-filler", strings.Repeat("f", 200)))
			<-s.Context().Done()
		}}
	case "/echo":
		return h2.Plan{Serve: echo}
	case "/whole":
		return h2.Plan{Serve: whole, Whole: wholeLimit}
	case "/stubborn-whole":
		return h2.Plan{Serve: p.stubborn, Whole: wholeLimit}
	case "/keeper": // it holds its body, and says at last what was in it and what is in it
		return h2.Plan{Whole: wholeLimit, Serve: func(s *h2.Stream) {
			p.enter()
			defer p.running.Add(-1)
			body := s.Body()
			before := string(body)
			<-p.release
			respond(s, before+"|"+string(body))
		}}
	case "/stubborn":
		return h2.Plan{Serve: p.stubborn}
	case "/wait":
		return h2.Plan{Serve: func(s *h2.Stream) {
			p.enter()
			defer p.running.Add(-1)
			<-s.Context().Done()
			p.ended <- s.Context().Err()
		}}
	case "/large":
		size, _ := strconv.Atoi(query)
		size = min(max(size, 0), 2<<20)
		return h2.Plan{Serve: func(s *h2.Stream) {
			_ = s.Respond(h2.AppendStatus(nil, 200), make([]byte, size), h2.AppendField(nil, "x-done", "1"))
		}}
	case "/panic":
		return h2.Plan{Serve: func(*h2.Stream) { p.panicked.Add(1); panic("a defect") }}
	case "/abort":
		return h2.Plan{Serve: func(*h2.Stream) { panic(http.ErrAbortHandler) }}
	}
	return p.http
}

func (p *paths) enter() {
	p.begun.Add(1)
	now := p.running.Add(1)
	for most := p.most.Load(); now > most && !p.most.CompareAndSwap(most, now); most = p.most.Load() {
	}
}

func (p *paths) stubborn(s *h2.Stream) {
	p.enter()
	defer p.running.Add(-1)
	<-p.release
	respond(s, "late")
}

func respond(s *h2.Stream, body string) {
	_ = s.Respond(h2.AppendStatus(nil, 200), []byte(body), nil)
}

// echo sends back what it reads, as it reads it, and the trailers.
func echo(s *h2.Stream) {
	if s.SendHeader(h2.AppendStatus(nil, 200)) != nil {
		return
	}
	buffer := make([]byte, 10_000)
	for {
		n, err := s.Read(buffer)
		if n > 0 && s.SendData(buffer[:n]) != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return
		}
	}
	var block []byte
	if trailers := s.Trailers(); trailers != nil {
		for name, value := range trailers.All() {
			block = h2.AppendField(block, name, value)
		}
	}
	_ = s.SendTrailers(block)
}

// whole says how much came, and of what it was.
func whole(s *h2.Stream) {
	if s.Overflowed() {
		respond(s, "overflowed")
		return
	}
	if s.Late() {
		respond(s, "late")
		return
	}
	body := s.Body()
	respond(s, strconv.Itoa(len(body))+strings.Trim(string(body[:min(len(body), 3)]), "\x00"))
}

// fixture is a server on a port, and what is needed to judge it.
type fixture struct {
	*paths
	t       *testing.T
	server  *h2.Server
	address string
	panics  *atomic.Int64
	serving sync.WaitGroup
}

type panicCounter struct {
	slog.Handler
	count *atomic.Int64
}

func (c panicCounter) Enabled(context.Context, slog.Level) bool { return true }
func (c panicCounter) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		c.count.Add(1)
	}
	return nil
}

// start starts a server. When the test ends the server is closed, and must hold nothing any more.
func start(t *testing.T, limits h2.Limits) *fixture { return startWith(t, limits, nil, nil) }

func startWith(t *testing.T, limits h2.Limits, handler http.Handler, secure *tls.Config) *fixture {
	t.Helper()
	f := &fixture{paths: newPaths(handler), t: t, panics: new(atomic.Int64)}
	f.server = h2.NewServer(f.paths, h2.Options{Limits: limits, Log: slog.New(panicCounter{slog.DiscardHandler, f.panics})})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.address = listener.Addr().String()
	f.serve(listener, secure)
	t.Cleanup(func() {
		_ = listener.Close()
		require.NoError(t, f.server.Close())
		f.serving.Wait()
		stats := f.server.Stats()
		require.Zero(t, stats.Memory, "the server is closed and still says that it holds memory")
		require.Zero(t, stats.Connections)
		require.Zero(t, stats.Streams)
	})
	return f
}

// serve serves the connections of a listener until that is closed.
func (f *fixture) serve(listener net.Listener, secure *tls.Config) {
	f.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(interface{ SetWriteBuffer(n int) error }).SetWriteBuffer(16 << 10) // so that a peer that does not read is noticed soon
			f.serving.Go(func() {
				if secure != nil {
					wrapped := tls.Server(conn, secure)
					if wrapped.Handshake() != nil {
						_ = conn.Close()
						return
					}
					conn = wrapped
				}
				f.server.ServeConn(conn, nil)
			})
		}
	})
}

// neighbour calls all the time on a connection of its own until the test ends. No call of it may fail, once there is a connection: where a handshake may take no more
// than a moment, a busy machine may need several.
func (f *fixture) neighbour() {
	f.t.Helper()
	client := &http.Client{Transport: h2cTransport(), Timeout: patience}
	f.eventually(func() bool { return callQuick(client, "http://"+f.address+"/quick") == nil }, "the neighbour connects")
	ctx, cancel := context.WithCancel(context.Background())
	var calls int
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for ctx.Err() == nil {
			if err := callQuick(client, "http://"+f.address+"/quick"); err != nil {
				failed <- err
				return
			}
			calls++
			time.Sleep(time.Millisecond)
		}
	}()
	f.t.Cleanup(func() {
		cancel()
		require.NoError(f.t, <-failed, "the neighbour's call failed")
		require.NotZero(f.t, calls)
		client.CloseIdleConnections()
	})
}

func callQuick(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != "hello" {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func h2cTransport() *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return transport
}

// connect connects a peer that plays by the rules until it is told otherwise.
func (f *fixture) connect() *testpeer.Peer {
	f.t.Helper()
	return testpeer.Connect(f.t, f.address, testpeer.Options{})
}

func (f *fixture) connectWith(o testpeer.Options) *testpeer.Peer {
	f.t.Helper()
	return testpeer.Connect(f.t, f.address, o)
}

func (f *fixture) refused(r h2.Refusal) int64 { return f.server.Stats().Refused[r] }

// eventually waits for something that no frame tells.
func (f *fixture) eventually(condition func() bool, what string) {
	f.t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		require.False(f.t, time.Now().After(end), "%s: %+v", what, f.server.Stats())
	}
}

// fields are those of a request.
func fields(method, path string, others ...string) []string {
	return append([]string{":method", method, ":scheme", "http", ":path", path, ":authority", "localhost"}, others...)
}

func post(path string, others ...string) []string { return fields("POST", path, others...) }

// answers demands that a stream is answered with a status and a body.
func answers(t *testing.T, p *testpeer.Peer, id uint32, status, body string) {
	t.Helper()
	r := p.Response(id)
	require.Equal(t, status, r.HTTP(), "stream %d: %+v", id, r)
	require.Equal(t, body, string(r.Data))
	require.True(t, r.Ended)
}

// call makes a call that must succeed: the connection is well.
func call(t *testing.T, p *testpeer.Peer, id uint32) {
	t.Helper()
	p.Headers(id, frame.EndStream, fields("GET", "/quick")...)
	answers(t, p, id, "200", "hello")
}
