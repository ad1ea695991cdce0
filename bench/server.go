package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The servers, by the names that the report gives them.
const (
	gateway   = "gateway"
	connectGo = "connect-go"
	grpcGo    = "grpc-go"
)

// clockTick is the unit of the times in /proc/PID/stat: Linux reports them in hundredths of a second on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// server is a server process under measurement.
type server struct {
	name    string
	address string
	// admin is the address of the gateway's admin port; empty for a bare server.
	admin   string
	command *exec.Cmd
	log     *bytes.Buffer
	exited  chan struct{}
	// ready is how long it took from exec until the server said that it was ready and accepted a connection.
	ready time.Duration
}

// start starts a server on the server's core and waits until it is ready.
func (b *benchmark) start(ctx context.Context, name string) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, address: address, log: new(bytes.Buffer), exited: make(chan struct{})}
	switch name {
	case gateway:
		if s.admin, err = freeAddress(ctx); err != nil {
			return nil, err
		}
		s.command = exec.CommandContext(ctx, b.gateway, "serve", "--listen", s.address, "--admin", s.admin)
	case connectGo:
		s.command = exec.CommandContext(ctx, filepath.Join(b.bin, "connectgo"), "--listen", s.address)
	case grpcGo:
		s.command = exec.CommandContext(ctx, filepath.Join(b.bin, "grpcgo"), "--listen", s.address)
	}
	s.command.Dir, s.command.Stdout, s.command.Stderr = b.bin, s.log, s.log
	began := time.Now()
	if err := startOn(b.serverCore, s.command); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = s.command.Wait() // how it ended is in its log; whoever waits for it to be ready or to answer reports that
		close(s.exited)
	}()
	if err := s.awaitReady(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s: %w; it said: %s", name, err, s.log.String())
	}
	s.ready = time.Since(began)
	return s, nil
}

// startAll starts servers; call stopAll also after an error.
func (b *benchmark) startAll(ctx context.Context, names ...string) ([]*server, error) {
	var servers []*server
	for _, name := range names {
		s, err := b.start(ctx, name)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		if err := s.prepare(ctx); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

func stopAll(servers []*server) {
	for _, s := range servers {
		s.stop()
	}
}

// startOn starts a process that may run on one core only. A child inherits the affinity of the thread that made it.
func startOn(core int, command *exec.Cmd) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its affinity
		if err := pin(core); err != nil {
			result <- err
			return
		}
		result <- command.Start()
	}()
	return <-result
}

// pin pins the calling thread to a core.
func pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("cannot pin to core %d: %w", core, err)
	}
	return nil
}

// awaitReady polls twice a millisecond: coarser would show in the figure.
func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for !s.isReady(ctx) {
		select {
		case <-s.exited:
			return errors.New("the server ended before it was ready")
		case <-ctx.Done():
			return errors.New("the server was not ready in time")
		case <-time.After(500 * time.Microsecond):
		}
	}
	return nil
}

func (s *server) isReady(ctx context.Context) bool {
	if s.admin != "" {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/readyz", http.NoBody)
		if err != nil {
			return false
		}
		if _, err := fetch(request); err != nil {
			return false
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// stop ends the process and waits for it.
func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-s.exited:
	case <-time.After(5 * time.Second):
		_ = s.command.Process.Kill()
		<-s.exited
	}
}

// cpu returns the user and system time that the process has taken.
func (s *server) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold anything; behind it the fields are counted from the third one, the state.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", s.command.Process.Pid, len(fields))
	}
	return ticks(fields[user], fields[system])
}

// rss returns the memory that the process holds, in bytes.
func (s *server) rss() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return float64(kilobytes) * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", s.command.Process.Pid)
}

// coreBusy returns the time that a core has spent on processes and on other machines (steal), but not on interrupts.
func coreBusy(core int) (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 8 && fields[0] == "cpu"+strconv.Itoa(core) {
			return ticks(fields[1], fields[2], fields[3], fields[8]) // user, nice, system, steal
		}
	}
	return 0, fmt.Errorf("/proc/stat has no cpu%d; choose --server-core", core)
}

func ticks(fields ...string) (time.Duration, error) {
	sum := 0
	for _, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * clockTick, nil
}

// taken are the ports that were handed out: the kernel may offer one again before its server listens.
var taken sync.Map

func freeAddress(ctx context.Context) (string, error) {
	for {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		address := listener.Addr().String()
		if err := listener.Close(); err != nil {
			return "", err
		}
		if _, again := taken.LoadOrStore(address, true); !again {
			return address, nil
		}
	}
}
