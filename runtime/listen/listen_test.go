package listen_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
	"github.com/prismgate/prism/runtime/listen"
)

// handler tells what it knows of a request.
var handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	protocol := "clear"
	if r.TLS != nil {
		protocol = "TLS " + r.TLS.NegotiatedProtocol
	}
	_, _ = fmt.Fprint(w, r.Proto, " ", protocol)
})

type plans struct{ plan h2.Plan }

func (p plans) Plan(*h2.Stream) h2.Plan { return p.plan }

// patience is how long a test waits for what must come. It tells a hang from a machine that is busy, and nothing else.
const patience = 30 * time.Second

type fixture struct {
	*listen.Server
	address string
	// connect connects to the server.
	connect func(ctx context.Context, network, address string) (net.Conn, error)
}

func start(t *testing.T, change func(*listen.Config)) *fixture {
	t.Helper()
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	return startOn(t, listener, new(net.Dialer).DialContext, change)
}

// startInBubble is start for [synctest], whose clock does not know of sockets: the connections are pipes.
func startInBubble(t *testing.T, change func(*listen.Config)) *fixture {
	t.Helper()
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return startOn(t, listener, listener.connect, change)
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) connect(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func startOn(t *testing.T, listener net.Listener, connect func(context.Context, string, string) (net.Conn, error), change func(*listen.Config)) *fixture {
	t.Helper()
	config := listen.Config{HTTP2: h2.NewServer(plans{h2.HTTP(handler)}, h2.Options{}), HTTP: handler}
	if change != nil {
		change(&config)
	}
	f := &fixture{Server: listen.New(config), address: listener.Addr().String(), connect: connect}
	served := make(chan error, 1)
	go func() { served <- f.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, f.Close())
		require.ErrorIs(t, <-served, listen.ErrClosed)
		// A connection that its own goroutine is just closing is open for a moment yet.
		require.Eventually(t, func() bool { return f.Stats().Open == 0 }, patience, time.Millisecond)
	})
	return f
}

func (f *fixture) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := f.connect(t.Context(), "tcp", f.address)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// neighbour calls all the time, by both protocols, until the test ends. No call of it may fail.
func (f *fixture) neighbour(t *testing.T) {
	t.Helper()
	both := &http.Transport{DialContext: f.connect}
	http2 := &http.Transport{DialContext: f.connect, Protocols: new(http.Protocols)}
	http2.Protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for ctx.Err() == nil {
			for _, transport := range []*http.Transport{both, http2} {
				response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://" + f.address)
				if err != nil {
					failed <- err
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-failed, "the neighbour's call failed")
		both.CloseIdleConnections()
		http2.CloseIdleConnections()
	})
}

// secured adds a certificate to a configuration, and returns that of clients who trust it.
func secured(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	authority := testcert.New(t)
	files := authority.Server(t)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	require.NoError(t, err)
	client = authority.Trust(t)
	client.ServerName = "localhost"
	return &tls.Config{Certificates: []tls.Certificate{pair}}, client
}

func TestOnePortSpeaksBoth(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	for _, pieces := range []int{1, 1000} {
		for request, want := range map[string]string{
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":             "HTTP/1.1 clear",
			"GET / HTTP/1.0\r\n\r\n":                                             "HTTP/1.0 clear",
			"GET / HTTP/1.1\nHost: a\nConnection: close\n\n":                     "HTTP/1.1 clear",
			"PRIORITY / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":        "HTTP/1.1 clear",
			"PR / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":              "HTTP/1.1 clear",
			"GET /" + strings.Repeat("p", 3000) + " HTTP/1.0\r\nHost: a\r\n\r\n": "HTTP/1.0 clear",
			// An upgrade is not made: the answer is one of HTTP/1.1.
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n": "HTTP/1.1 clear",
		} {
			conn := f.dial(t)
			for rest := request; rest != ""; {
				n := min(len(rest), pieces)
				_, err := io.WriteString(conn, rest[:n])
				require.NoError(t, err)
				rest = rest[n:]
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err, request)
			body, _ := io.ReadAll(response.Body)
			require.Equal(t, want, string(body))
			require.Equal(t, http.StatusOK, response.StatusCode)
		}
	}
	p := testpeer.Connect(t, f.address, testpeer.Options{})
	p.Headers(1, frame.EndStream, testpeer.Without(testpeer.GRPC("/"), "content-type")...)
	require.Equal(t, "HTTP/2.0 clear", string(p.Response(1).Data))
}

func TestWhatIsNoRequestLineIsClosedWithoutAByte(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	f.neighbour(t)
	for i, first := range []string{
		"\r\n", "\n", "GET /\r\n", "GET / HTTP/0.9\r\n", "GET / HTTP/2.0\r\n", "GET  / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", "GET /a b HTTP/1.1\r\n",
		"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", "INVALID CONNECTION PREFACE\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\n", strings.Repeat("x", 20_000), "\x00\x00\x00\x04\n",
	} {
		conn := f.dial(t)
		_, err := io.WriteString(conn, first)
		require.NoError(t, err)
		n, err := conn.Read(make([]byte, 1))
		require.Zero(t, n, "%q", first)
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "%q", first)
		require.Equal(t, int64(i+1), f.Stats().Unknown)
	}
}

func TestSilenceIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 50 * time.Millisecond
		f := startInBubble(t, func(c *listen.Config) { c.Limits.HandshakeTimeout = timeout })
		f.neighbour(t)
		for i, first := range []string{"", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", "GET / HT"} {
			begin := time.Now()
			conn := f.dial(t)
			_, err := io.WriteString(conn, first)
			require.NoError(t, err)
			_, err = conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, timeout, time.Since(begin))
			require.Equal(t, int64(i+1), f.Stats().Silent)
		}
		// A header of HTTP/1.1 that does not end is net/http's to cut off.
		conn := f.dial(t)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n")
		require.NoError(t, err)
		_, err = io.ReadAll(conn)
		require.NoError(t, err)
	})
}

// A peer that drips its first line does not win time with each byte.
func TestDrippingIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 100 * time.Millisecond
		f := startInBubble(t, func(c *listen.Config) { c.Limits.HandshakeTimeout = timeout })
		begin := time.Now()
		conn := f.dial(t)
		var dripping sync.WaitGroup
		defer dripping.Wait()
		dripping.Go(func() {
			for err := error(nil); err == nil; time.Sleep(timeout / 10) {
				_, err = io.WriteString(conn, "G")
			}
		})
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, timeout, time.Since(begin))
	})
}

func TestAHandshakeThatStallsIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 100 * time.Millisecond
		server, client := secured(t)
		f := startInBubble(t, func(c *listen.Config) { c.TLS, c.Limits.HandshakeTimeout = server, timeout })
		hello := func() []byte {
			near, far := net.Pipe()
			go func() { _ = tls.Client(near, client).Handshake() }()
			b := make([]byte, 1<<14)
			n, err := far.Read(b)
			require.NoError(t, err)
			_ = far.Close()
			return b[:n]
		}()
		stalled := int64(0)
		for name, sent := range map[string][]byte{"nothing": nil, "half a record": hello[:3], "half of the hello": hello[:len(hello)/2], "the hello and no more": hello} {
			begin := time.Now()
			conn := f.dial(t)
			_, err := conn.Write(sent)
			require.NoError(t, err, name)
			_, err = io.Copy(io.Discard, conn)
			require.NoError(t, err, name)
			require.Equal(t, timeout, time.Since(begin), name)
			stalled++
			require.Equal(t, stalled, f.Stats().Silent, name)
		}
		conn := f.dial(t)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") // no TLS at all
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, conn)
		require.Equal(t, int64(1), f.Stats().Unsecured)
	})
}

func TestALPNTellsWhatTLSCarries(t *testing.T) {
	t.Parallel()
	server, client := secured(t)
	f := start(t, func(c *listen.Config) { c.TLS = server })
	for _, protocols := range [][]string{nil, {"http/1.1"}} {
		config := client.Clone()
		config.NextProtos = protocols
		conn := tls.Client(f.dial(t), config)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		body, _ := io.ReadAll(response.Body)
		require.Equal(t, "HTTP/1.1 TLS "+strings.Join(protocols, ""), string(body))
	}
	p := testpeer.Connect(t, f.address, testpeer.Options{TLS: client})
	p.Headers(1, frame.EndStream, testpeer.Without(testpeer.GRPC("/"), "content-type")...)
	require.Equal(t, "HTTP/2.0 TLS h2", string(p.Response(1).Data))

	config := client.Clone()
	config.NextProtos = []string{"spdy/1"}
	require.Error(t, tls.Client(f.dial(t), config).Handshake(), "RFC 7301: no protocol in common")
}

func TestMoreConnectionsThanAllowedAreClosed(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *listen.Config) { c.Limits.MaxConnections = 3 })
	peers := make([]*testpeer.Peer, 3)
	for i := range peers {
		peers[i] = testpeer.Connect(t, f.address, testpeer.Options{})
	}
	for i := range 10 {
		n, err := f.dial(t).Read(make([]byte, 1))
		require.Zero(t, n)
		require.Error(t, err)
		require.Eventually(t, func() bool { return f.Stats().Refused == int64(i+1) }, patience, time.Millisecond)
	}
	for i, p := range peers {
		p.Alive()
		if i > 0 {
			continue
		}
		p.Close()
	}
	require.Eventually(t, func() bool { return f.Stats().Open == 2 }, patience, time.Millisecond)
	testpeer.Connect(t, f.address, testpeer.Options{}).Alive()
}

// scarce is a listener without descriptors for a while.
type scarce struct {
	net.Listener
	failures atomic.Int64
	tries    []time.Time
}

func (s *scarce) Accept() (net.Conn, error) {
	s.tries = append(s.tries, time.Now())
	if s.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

func TestWithoutDescriptorsAcceptingWaits(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := &scarce{Listener: inner}
	listener.failures.Store(5)
	server := listen.New(listen.Config{HTTP: handler})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	response, err := http.Get("http://" + inner.Addr().String()) //nolint:gosec // a server of this test
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-served, listen.ErrClosed)
	for i := 1; i < 6; i++ {
		require.GreaterOrEqual(t, listener.tries[i].Sub(listener.tries[i-1]), 5*time.Millisecond<<(i-1), "twice as long each time")
	}
}

type broken struct{ net.Listener }

func (broken) Accept() (net.Conn, error) { return nil, errors.New("broken") }

func TestAListenerThatFailsEndsServe(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := listen.New(listen.Config{HTTP: handler})
	require.ErrorContains(t, server.Serve(broken{inner}), "broken")
	require.NoError(t, server.Close())
	late, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, server.Serve(late), listen.ErrClosed)
	_, err = late.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestShutdownLetsCallsOfBothFinishOrCutsThemOff(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	waits := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun.Add(1)
		<-r.Context().Done()
	})
	f := start(t, func(c *listen.Config) { c.HTTP2, c.HTTP = h2.NewServer(plans{h2.HTTP(waits)}, h2.Options{}), waits })
	p := testpeer.Connect(t, f.address, testpeer.Options{})
	p.Headers(1, frame.EndStream, testpeer.Without(testpeer.GRPC("/wait"), "content-type")...)
	conn := f.dial(t)
	_, err := io.WriteString(conn, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)
	silent := f.dial(t)
	require.Eventually(t, func() bool { return f.Stats().Open == 3 && begun.Load() == 2 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, f.Shutdown(ctx), "some calls did not finish")
	_, err = silent.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	_ = p.ExpectClosed()
	require.Eventually(t, func() bool { return f.Stats().Open == 0 }, patience, time.Millisecond)
}

func TestManyConnectionsAreForgotten(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			conn, err := net.Dial("tcp", f.address)
			if err != nil {
				return
			}
			_, _ = conn.Write([][]byte{nil, []byte("GET / HTTP/1.1\r\n"), []byte(frame.Preface), bytes.Repeat([]byte("\n"), 10)}[i%4])
			_ = conn.Close()
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { return f.Stats().Open == 0 && f.Stats().Accepted == 200 }, patience, time.Millisecond)
}

func TestAUnixSocketSpeaksBothAndLeavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for range 2 {
		listener, err := listen.Open(t.Context(), "unix:"+path)
		require.NoError(t, err)
		server := listen.New(listen.Config{HTTP2: h2.NewServer(plans{h2.HTTP(handler)}, h2.Options{}), HTTP: handler})
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		for _, http2 := range []bool{false, true} {
			transport := &http.Transport{
				Protocols: new(http.Protocols),
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "unix", path)
				},
			}
			transport.Protocols.SetHTTP1(!http2)
			transport.Protocols.SetUnencryptedHTTP2(http2)
			response, err := (&http.Client{Transport: transport}).Get("http://localhost/")
			require.NoError(t, err)
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			require.Equal(t, response.Proto+" clear", string(body))
			transport.CloseIdleConnections()
		}
		require.NoError(t, server.Shutdown(t.Context()))
		require.ErrorIs(t, <-served, listen.ErrClosed)
		_, err = os.Stat(path)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
}
