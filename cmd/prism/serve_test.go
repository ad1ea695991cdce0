package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// served is a gateway that a test has started.
type served struct {
	*process
	listen, admin string
}

func serve(t *testing.T, d dependencies, args ...string) served {
	t.Helper()
	p := start(t, d, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	line := p.stderr.waitFor(t, "prism is ready")
	addresses := regexp.MustCompile(`listen=(\S+) admin=(\S+) namespaces=\S+ http2=\S+ tls=\S+\n`).FindStringSubmatch(line)
	require.Len(t, addresses, 3, line)
	return served{p, addresses[1], addresses[2]}
}

// stop asks a gateway to stop and waits until it has.
func (s served) stop(t *testing.T) {
	t.Helper()
	s.signals <- syscall.SIGTERM
	require.Equal(t, exitOK, s.wait(t))
}

// get returns what an admin path answers.
func (s served) get(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.admin+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestServeAnswersAndStops(t *testing.T) {
	t.Parallel()
	s := newStore()
	close(s.released)
	g := serve(t, sample(t, s))
	for _, path := range []string{"/healthz", "/readyz"} {
		code, _ := g.get(t, path)
		require.Equal(t, http.StatusOK, code, path)
	}
	got := runLine(t, sample(t, nil), "call", "keyvalue_basic.Get", "-n", "default", "-d", `{"key":"k"}`, "-H", "x-echo: hello", "--address", g.listen)
	require.Equal(t, result{stdout: "{\n  \"found\": true,\n  \"value\": \"aGVsbG8=\"\n}\n"}, got)
	_, metrics := g.get(t, "/metrics")
	require.Contains(t, metrics, `prism_calls_total{code="OK",method="Get",namespace="default",service="prism.keyvalue.v1.KeyValueBasicInterface"} 1`)
	require.Contains(t, metrics, "go_goroutines")
	require.Contains(t, metrics, "process_resident_memory_bytes")
	g.stop(t)
	require.Contains(t, g.stderr.String(), "msg=stopped")
	require.Equal(t, []int64{1, 1}, []int64{s.opened.Load(), s.closed.Load()})
	require.Empty(t, g.stdout.String())
}

func TestServeLogsJSON(t *testing.T) {
	t.Parallel()
	p := start(t, sample(t, nil), "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json")
	require.Regexp(t, `^\{"time":"[^"]+","level":"INFO","msg":"prism is ready","listen":"127.0.0.1:\d+","admin":"127.0.0.1:\d+","namespaces":"default","http2":"own","tls":"off"\}\n$`,
		p.stderr.waitFor(t, "prism is ready"))
	p.signals <- os.Interrupt
	require.Equal(t, exitOK, p.wait(t))
}

func TestServeDrains(t *testing.T) {
	t.Parallel()
	s := newStore()
	d := sample(t, s)
	s.keys.Blocking = false // a stream that ends by itself is waited for; a subscription would not be
	g := serve(t, d)
	calls := []*process{
		start(t, sample(t, nil), "call", "keyvalue_basic.Get", "-n", "default", "--address", g.listen),
		start(t, sample(t, nil), "call", "keyvalue_basic.Get", "-n", "default", "--address", g.listen, "--protocol", "connect"),
		start(t, sample(t, nil), "call", "keyvalue_scan.ScanKeys", "-n", "default", "--address", g.listen, "--protocol", "grpcweb"),
	}
	<-s.entered
	<-s.entered
	require.Equal(t, "{\"key\":\"a\",\"pageToken\":\"\"}\n", calls[2].stdout.waitFor(t, "a"))

	g.signals <- syscall.SIGTERM
	g.stderr.waitFor(t, "draining")
	require.Eventually(t, func() bool {
		code, _ := g.get(t, "/readyz")
		return code == http.StatusServiceUnavailable
	}, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.listen)
		if err != nil {
			return true
		}
		return conn.Close() != nil
	}, patience, time.Millisecond, "the data port still takes connections")
	require.Zero(t, s.closed.Load())

	close(s.released)
	for _, call := range calls {
		require.Equal(t, exitOK, call.wait(t), call.stderr)
	}
	require.Equal(t, "{\"key\":\"a\",\"pageToken\":\"\"}\n{\"key\":\"b\",\"pageToken\":\"t\"}\n", calls[2].stdout.String())
	require.Equal(t, exitOK, g.wait(t))
	require.NotContains(t, g.stderr.String(), "WARN")
	require.EqualValues(t, 1, s.closed.Load())
}

func TestServeCutsOffAtTheDeadline(t *testing.T) {
	t.Parallel()
	s := newStore()
	g := serve(t, sample(t, s), "--drain-timeout", "10ms")
	call := start(t, sample(t, nil), "call", "keyvalue_basic.Get", "-n", "default", "--address", g.listen)
	<-s.entered
	g.signals <- syscall.SIGTERM
	require.Equal(t, exitFailed, g.wait(t))
	require.Contains(t, g.stderr.String(), "\nprism: some calls did not finish in time and were cut off\n")
	require.Equal(t, exitFailed, call.wait(t))
	require.EqualValues(t, 1, s.closed.Load(), "the call that was cut off has ended")
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			s := newStore()
			g := serve(t, sample(t, s))
			call := start(t, sample(t, nil), "call", "keyvalue_basic.Get", "-n", "default", "--address", g.listen)
			<-s.entered
			g.signals <- syscall.SIGTERM
			g.stderr.waitFor(t, "draining")
			g.signals <- signal
			require.Equal(t, want, g.wait(t))
			close(s.released)
			require.Equal(t, exitOK, call.wait(t))
			g.stderr.waitFor(t, "msg=stopped") // what would have ended with the process
		})
	}
}

func TestAHangupReloads(t *testing.T) {
	t.Parallel()
	s := newStore()
	d := sample(t, s)
	hangups := make(chan os.Signal, 1)
	openedBefore := int64(-1)
	d.hangups = func() <-chan os.Signal {
		openedBefore = s.opened.Load()
		return hangups
	}
	file := configFile(t, "namespaces: [{name: one, backend: memstore}]")
	g := serve(t, d, "--config", file, "--watch=false")
	require.Zero(t, openedBefore, "a hangup during the start would have ended the process")
	require.NoError(t, os.WriteFile(file, []byte("namespaces: [{name: one, backend: memstore}, {name: two, backend: memstore}]"), 0o600))
	hangups <- syscall.SIGHUP
	require.Contains(t, g.stderr.waitFor(t, "the configuration was reloaded"), "namespaces.added=1")
	require.NoError(t, os.WriteFile(file, []byte("namespaces: [{name: 1 2}]"), 0o600))
	hangups <- syscall.SIGHUP
	g.stderr.waitFor(t, "nothing has changed")
	g.stop(t)
	require.Equal(t, []int64{1, 1}, []int64{s.opened.Load(), s.closed.Load()})
}

func TestServeRefusesATakenPort(t *testing.T) {
	t.Parallel()
	taken := dialListen(t, "127.0.0.1:0")
	socket := filepath.Join(t.TempDir(), "s") // a port that is free now might be another process's when it is needed
	for flag, other := range map[string]string{"listen": "admin", "admin": "listen"} {
		s := newStore()
		got := runLine(t, sample(t, s), "serve", "--"+flag, taken.Addr().String(), "--"+other, "unix:"+socket)
		require.Equal(t, exitFailed, got.exit)
		require.Regexp(t, fmt.Sprintf(`^prism: --%s: cannot listen on %s: another process does, perhaps another prism; stop it, or choose another address .*address already in use\n$`, flag, taken.Addr()), got.stderr)
		require.Zero(t, s.opened.Load(), "a backend was opened")
		require.NoFileExists(t, socket)
	}
}

func dialListen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func TestInsecureIsWarnedAbout(t *testing.T) {
	t.Parallel()
	p := start(t, sample(t, nil), "serve", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0", "--insecure")
	p.stderr.waitFor(t, "prism is ready")
	require.Contains(t, p.stderr.String(), `level=WARN msg="other machines can reach this address, and nobody is authenticated" address=[::]:`)
	p.signals <- os.Interrupt
	require.Equal(t, exitOK, p.wait(t))
}

func TestServeOpensNothingWithoutABackend(t *testing.T) {
	t.Parallel()
	d := sample(t, nil)
	d.backends = nil
	got := runLine(t, d, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stderr, `prism: backend "memstore": open: this build knows what memstore is, and has no code for it`)
	require.NotContains(t, got.stderr, "ready")
}

func TestServeRefusesAPortThatIsNone(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:99999999999999999999", "127.0.0.1:", "127.0.0.1:http"} {
		for _, flag := range []string{"--listen", "--admin"} {
			got := runLine(t, sample(t, nil), "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", flag, address)
			require.Equal(t, exitFailed, got.exit, got.stderr)
			require.Contains(t, got.stderr, fmt.Sprintf("prism: %s: the port of %q is not a number from 0 to 65535\n", flag, address))
		}
	}
}
