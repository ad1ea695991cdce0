package sidecar_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/gen/go/prism/provider/v1/providerrpc"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
	"github.com/prismgate/prism/runtime/sidecar"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// TestMain is the provider too, when it is started as one.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(sidecar.Environment) != "":
		os.Exit(play(os.Args[1]))
	case len(os.Args) == 3 && os.Args[1] == "gateway":
		os.Exit(playGateway(os.Args[2]))
	}
	os.Exit(m.Run())
}

// playGateway is a process that has a sidecar, until it is killed.
func playGateway(kind string) int {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	if _, err := sidecar.Start(context.Background(), sidecar.Options{Instance: "orders", Command: []string{os.Args[0], kind}, Log: log}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	select {}
}

// play is a provider of some kind.
func play(kind string) int {
	address := os.Args[len(os.Args)-1]
	fmt.Fprintln(os.Stderr, "pid", os.Getpid(), "on", os.Args[len(os.Args)-2], "as", os.Getenv(sidecar.Environment))
	switch kind {
	case "fails":
		fmt.Fprint(os.Stderr, "a first line\nno storage\n")
		return 3
	case "deaf":
		select {}
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	listener, err := listen.Open(context.Background(), address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var routes []rpc.Route
	for _, h := range providerrpc.PatternProviderHandlers(healthy{}) {
		routes = append(routes, rpc.Route{Method: h.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return h.Serve(ctx, stream) }})
	}
	terminated := make(chan os.Signal, 2)
	if kind != "stubborn" { // before it is ready: whoever knows that it is may end it
		signal.Notify(terminated, syscall.SIGTERM)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			terminated <- syscall.SIGTERM
		}()
	}
	server := front.NewServer(routes, front.ServerOptions{})
	go func() { _ = server.Serve(listener) }()
	<-terminated
	fmt.Println("the end")
	return 0
}

// healthy answers questions about its health only.
type healthy struct{ providerrpc.PatternProvider }

func (healthy) HealthCheck(context.Context, *providerv1.HealthCheckRequest) (*providerv1.HealthCheckResponse, error) {
	return &providerv1.HealthCheckResponse{State: providerv1.HealthState_HEALTH_STATE_READY}, nil
}

// logged is a log that a test can wait for.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// pids are those that the providers have told, the first one first.
func (l *logged) pids(t *testing.T) []int {
	var pids []int
	for _, line := range strings.Split(l.String(), "\n") {
		if _, rest, ok := strings.Cut(line, `msg="pid `); ok {
			pid, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

func (l *logged) waitFor(t *testing.T, text string, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Count(l.String(), text) >= times }, patience, 5*time.Millisecond, "no %q in the log", text)
}

func options(t *testing.T, kind string) (sidecar.Options, *logged) {
	t.Helper()
	log := new(logged)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return sidecar.Options{Instance: "orders", Command: []string{os.Args[0], kind}, Log: log.logger()}, log
}

func started(t *testing.T, o sidecar.Options) *sidecar.Sidecar {
	t.Helper()
	s, err := sidecar.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	return s
}

func reached(s *sidecar.Sidecar) bool {
	connection, err := net.Dial("unix", strings.TrimPrefix(s.Address(), "unix:"))
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

// gone tells that there is no such process any more.
func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }

func TestASidecarRunsUntilItIsClosed(t *testing.T) {
	t.Parallel()
	o, log := options(t, "good")
	s := started(t, o)
	require.True(t, reached(s))
	folder := strings.TrimSuffix(strings.TrimPrefix(s.Address(), "unix:"), "/provider.sock")
	info, err := os.Stat(folder)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	log.waitFor(t, "the sidecar is ready", 1)
	require.Contains(t, log.String(), "on --listen as orders")
	require.NoError(t, s.Close(t.Context()))
	require.True(t, gone(log.pids(t)[0]))
	require.Contains(t, log.String(), `msg="the end" from=stdout`, "it ended in order")
	require.NotContains(t, log.String(), "killed")
	_, err = os.Stat(folder)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, s.Close(t.Context()), "a second time")
}

func TestASidecarThatDiesIsStartedAgain(t *testing.T) {
	t.Parallel()
	o, log := options(t, "good")
	s := started(t, o)
	for i := range 3 {
		log.waitFor(t, "the sidecar is ready", i+1)
		require.NoError(t, syscall.Kill(log.pids(t)[i], syscall.SIGKILL))
		log.waitFor(t, "it ended with signal: killed; it said last: pid", i+1)
	}
	log.waitFor(t, "the sidecar is ready", 4)
	require.True(t, reached(s))
}

func TestASidecarThatDoesNotAnswerIsStartedAgain(t *testing.T) {
	t.Parallel()
	o, log := options(t, "good")
	o.Silence = 400 * time.Millisecond
	s := started(t, o)
	log.waitFor(t, "the sidecar is ready", 1)
	frozen := log.pids(t)[0]
	require.NoError(t, syscall.Kill(frozen, syscall.SIGSTOP))
	log.waitFor(t, "it did not answer for 400ms and was killed", 1)
	log.waitFor(t, "the sidecar is ready", 2)
	require.True(t, gone(frozen))
	require.True(t, reached(s))
}

func TestASidecarThatFailsToStartSaysWhy(t *testing.T) {
	t.Parallel()
	o, _ := options(t, "fails")
	_, err := sidecar.Start(t.Context(), o)
	require.ErrorContains(t, err, "ended before it was ready: it ended with exit status 3; it said last: pid")
	require.ErrorContains(t, err, "| a first line | no storage")

	o, log := options(t, "deaf")
	o.StartTimeout = 300 * time.Millisecond
	_, err = sidecar.Start(t.Context(), o)
	require.ErrorContains(t, err, "within 300ms, and was killed; provider.start_timeout can give it more time")
	for _, pid := range log.pids(t) { // it may not even have come to its first line
		require.True(t, gone(pid))
	}

	o.Command = []string{"prism-no-such-program"}
	_, err = sidecar.Start(t.Context(), o)
	require.ErrorContains(t, err, "prism-no-such-program cannot be started; provider.command says what is")

	o, _ = options(t, "deaf")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = sidecar.Start(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
}

func TestASidecarThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	o, log := options(t, "stubborn")
	s := started(t, o)
	log.waitFor(t, "the sidecar is ready", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Close(ctx))
	require.True(t, gone(log.pids(t)[0]))
}

// TestASidecarEndsWithItsGateway kills a gateway whose sidecar would never end by itself. The gateways that come next remove what it has left, and leave alone what others use.
func TestASidecarEndsWithItsGateway(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills the children of a process that is killed")
	}
	temporary := t.TempDir()
	start := func() (log *logged, kill func()) {
		log = new(logged)
		gateway := exec.Command(os.Args[0], "gateway", "stubborn")
		gateway.Stdout, gateway.Stderr = log, log
		gateway.Env = append(os.Environ(), "TMPDIR="+temporary)
		require.NoError(t, gateway.Start())
		kill = sync.OnceFunc(func() {
			_ = gateway.Process.Kill()
			_ = gateway.Wait()
		})
		t.Cleanup(kill)
		log.waitFor(t, "the sidecar is ready", 1)
		return log, kill
	}
	folders := func() []string {
		found, err := filepath.Glob(filepath.Join(temporary, "prism-sidecar-*"))
		require.NoError(t, err)
		return found
	}
	log, kill := start()
	left := folders()
	require.Len(t, left, 1)
	kill()
	pid := log.pids(t)[0]
	require.Eventually(t, func() bool { return gone(pid) }, patience, 5*time.Millisecond)
	require.Equal(t, left, folders(), "a gateway that is killed cannot remove it")

	start()
	used := folders()
	require.Len(t, used, 1)
	require.NotEqual(t, left, used)
	start()
	require.Len(t, folders(), 2)
	require.Contains(t, folders(), used[0])
}

func TestLongLinesAreCut(t *testing.T) {
	t.Parallel()
	o, log := options(t, "good")
	o.Command = []string{"sh", "-c", `head -c 20000 /dev/zero | tr '\0' x >&2; exit 1`}
	_, err := sidecar.Start(t.Context(), o)
	require.ErrorContains(t, err, "exit status 1")
	require.Equal(t, 20000, strings.Count(log.String(), "x")-strings.Count(log.String(), "text"))
	require.Equal(t, 3, strings.Count(log.String(), "from=stderr"))
}
