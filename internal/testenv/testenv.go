// Package testenv starts real servers for tests, benchmarks and the demo: on ports of their own, with their data in a temporary folder, and stopped with whoever started them, also
// when that is killed.
//
// A program is looked for in .build/servers of the module, which `make servers` fills, then on the PATH and where Debian puts it. A server that is missing skips a test on a developer's
// machine, loudly, and fails it where PRISM_SERVERS names it, as CI does.
//
// # The next server
//
// A server is one file with one [Kind]: redis.go is the shortest. It says
//
//   - which Programs it needs, and what to tell who has not got them (Install). What a package manager has goes into install.sh, what is a Go module into a module of its own under tools/ and
//     into `make servers`;
//   - how its folder is prepared (Prepare): a configuration file, an empty database;
//   - with which Arguments it is started: it listens on [Server.Port] of 127.0.0.1 alone, keeps everything in [Server.Folder], stays in the foreground, and takes the test's own options last;
//   - when it is Ready: when it answers a request, not when its port is open.
//
// Then it is added to the kinds of this package's tests, which show that it starts, stops, can be frozen and killed, keeps its port and its data, and ends with a test that is killed.
package testenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a server may take to be ready. It is generous: machines that run tests are busy.
const startTimeout = 60 * time.Second

// Kind is a kind of server.
type Kind struct {
	// Name is what PRISM_SERVERS and messages call it.
	Name string
	// Programs are what it needs; the first is the server.
	Programs []string
	// Folders are where programs may be besides .build/servers and the PATH.
	Folders []string
	// Install says what to do when a program is missing.
	Install string
	// User is whom the server runs as when the test runs as root; "" is root too.
	User string
	// Prepare makes the server's folder ready; nil when there is nothing to do. It runs before each first start.
	Prepare func(ctx context.Context, s *Server) error
	// Arguments are the server's.
	Arguments func(s *Server) []string
	// Ready returns nil when the server answers.
	Ready func(ctx context.Context, s *Server) error
}

// Server is a running server.
type Server struct {
	// Kind is what it is.
	Kind *Kind
	// Folder holds its data.
	Folder string
	// Port is where it listens, on 127.0.0.1.
	Port int
	// Options are what the test asked for besides the kind's own arguments.
	Options []string

	programs map[string]string
	lock     *os.File // shows other processes that the folder is in use
	as       *syscall.Credential
	mu       sync.Mutex
	command  *exec.Cmd
	exited   chan struct{}
	output   *tail
}

// Address is where the server listens.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Program is the path of one of the kind's programs.
func (s *Server) Program(name string) string { return s.programs[name] }

// New finds the programs of a kind and prepares a folder, on a free port. It starts nothing yet. Close removes the folder.
func New(ctx context.Context, kind *Kind, options ...string) (*Server, error) {
	s := &Server{Kind: kind, Options: options, programs: map[string]string{}}
	for _, name := range kind.Programs {
		found, err := find(kind, name)
		if err != nil {
			return nil, err
		}
		s.programs[name] = found
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s.Port = port
	if s.Folder, s.lock, err = newFolder(kind.Name); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", kind.Name, err), s.Close())
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context) error {
	if os.Geteuid() == 0 && s.Kind.User != "" {
		account, err := user.Lookup(s.Kind.User)
		if err != nil {
			return fmt.Errorf("it does not run as root: %w", err)
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.Folder, int(uid), int(gid)); err != nil {
			return err
		}
	}
	if s.Kind.Prepare == nil {
		return nil
	}
	return s.Kind.Prepare(ctx, s)
}

// Run runs one of the kind's programs to its end, as the server's user.
func (s *Server) Run(ctx context.Context, program string, arguments ...string) error {
	command := exec.CommandContext(ctx, s.programs[program], arguments...)
	command.Dir = s.Folder
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(output))
	}
	return nil
}

// Start starts the server on its port and returns when it is ready. It may be started again after Stop and Kill: its data is as it left them.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command != nil {
		return fmt.Errorf("%s runs already", s.Kind.Name)
	}
	s.output = new(tail)
	command := exec.Command(s.programs[s.Kind.Programs[0]], s.Kind.Arguments(s)...) //nolint:noctx // Stop ends it
	command.Dir, command.Stdout, command.Stderr = s.Folder, s.output, s.output
	if err := startWithParent(command, s.as); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	s.command, s.exited = command, exited

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.Kind.Ready(ctx, s)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			s.command = nil
			return fmt.Errorf("%s ended before it was ready: %s", s.Kind.Name, s.output.text())
		case <-ctx.Done():
			_ = command.Process.Kill()
			<-exited
			s.command = nil
			return fmt.Errorf("%s is not ready: %w: %s", s.Kind.Name, err, s.output.text())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// PID is the process id of the server that runs; 0 when none does.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command == nil {
		return 0
	}
	return s.command.Process.Pid
}

// Stop asks the server to end and waits for that.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server at once, as kill -9 does.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

func (s *Server) end(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.command == nil {
		return nil
	}
	pid := s.command.Process.Pid
	for _, one := range slices.Concat([]int{pid}, children(pid)) {
		_ = syscall.Kill(one, syscall.SIGCONT) // one that is frozen would not notice
	}
	_ = s.command.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(15 * time.Second):
		_ = s.command.Process.Kill()
		<-s.exited
	}
	s.command = nil
	return nil
}

// Freeze stops the server's process in the middle of whatever it does, as a machine that hangs would; Thaw lets it go on. A kind with several processes is frozen whole.
func (s *Server) Freeze() error { return s.signalAll(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.signalAll(syscall.SIGCONT) }

func (s *Server) signalAll(signal syscall.Signal) error {
	pid := s.PID()
	if pid == 0 {
		return fmt.Errorf("%s does not run", s.Kind.Name)
	}
	for _, one := range slices.Concat([]int{pid}, children(pid)) {
		if err := syscall.Kill(one, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// Close stops the server and removes its folder.
func (s *Server) Close() error {
	return errors.Join(s.Stop(), os.RemoveAll(s.Folder), s.lock.Close())
}

// Start starts a server of a kind for one test, with options of the test's own besides the kind's arguments.
func Start(t testing.TB, kind *Kind, options ...string) *Server {
	t.Helper()
	s, err := New(t.Context(), kind, options...)
	if err != nil {
		missing(t, kind, err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// shared are the servers that tests of one process share.
var shared struct {
	sync.Mutex
	servers map[*Kind]*Server
}

// Shared returns a server of a kind that the tests of this process share; it is started by the first who asks, and ends with the process. Who does something to the server that others would
// notice uses [Start].
func Shared(t testing.TB, kind *Kind) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if s := shared.servers[kind]; s != nil {
		return s
	}
	s, err := New(context.WithoutCancel(t.Context()), kind)
	if err != nil {
		missing(t, kind, err)
	}
	if err := s.Start(t.Context()); err != nil {
		_ = s.Close()
		t.Fatal(err)
	}
	if shared.servers == nil {
		shared.servers = map[*Kind]*Server{}
	}
	shared.servers[kind] = s
	return s
}

// Main is for TestMain of packages that share servers: it runs the tests and then stops what they shared.
func Main(m *testing.M) {
	m.Run() // the code that it returns is the process's
	for _, s := range shared.servers {
		_ = s.Close()
	}
}

// missing skips a test whose server is not installed, or fails it where the server was named.
func missing(t testing.TB, kind *Kind, err error) {
	t.Helper()
	if named := os.Getenv("PRISM_SERVERS"); named == "all" || slices.Contains(strings.Split(named, ","), kind.Name) {
		t.Fatalf("PRISM_SERVERS asks for %s: %v", kind.Name, err)
	}
	t.Skipf("NOT TESTED on %s: %v", kind.Name, err)
}

// find looks for a program.
func find(kind *Kind, name string) (string, error) {
	for _, folder := range slices.Concat([]string{filepath.Join(moduleRoot(), ".build", "servers")}, kind.Folders) {
		matches, _ := filepath.Glob(filepath.Join(folder, name))
		slices.Sort(matches)
		for _, match := range slices.Backward(matches) {
			if _, err := exec.LookPath(match); err == nil {
				return match, nil
			}
		}
	}
	if found, err := exec.LookPath(name); err == nil {
		return found, nil
	}
	return "", fmt.Errorf("%s is missing: %s", name, kind.Install)
}

// moduleRoot is the folder of go.mod, above the one that a test runs in.
func moduleRoot() string {
	folder, err := os.Getwd()
	if err != nil {
		return "."
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		if above := filepath.Dir(folder); above != folder {
			folder = above
			continue
		}
		return "."
	}
}

// freePort returns a port that nobody listens on. It is below those that the system gives to connections, from 32768: a client might get one of them while its server is down for a moment.
func freePort() (int, error) {
	var failure error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it is closed in the next line
		if err == nil {
			return port, l.Close()
		}
		failure = err
	}
	return 0, failure
}

// startWithParent starts a command that the kernel kills when this process ends, however it ends. The kernel looks at the thread that started the child, so that thread stays.
func startWithParent(command *exec.Cmd, as *syscall.Credential) error {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: as}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			select {} // a thread of its own for as long as the process lives
		}
	}()
	return <-started
}

// children are the processes that a process has started.
func children(pid int) []int {
	content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var pids []int
	for _, field := range strings.Fields(string(content)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// tail keeps the last lines of what a server prints.
type tail struct {
	mu    sync.Mutex
	lines []string
}

// Write takes what a server prints.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	scanner := bufio.NewScanner(bytes.NewReader(p))
	for scanner.Scan() {
		t.lines = append(t.lines, scanner.Text())
	}
	if len(t.lines) > 50 {
		t.lines = slices.Clone(t.lines[len(t.lines)-50:])
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
