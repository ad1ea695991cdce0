package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The servers, by the names that the report gives them.
const (
	gateway   = "gateway"
	connectGo = "connect-go"
	grpcGo    = "grpc-go"
	tonic     = "tonic"
)

// server is a server process under measurement.
type server struct {
	name    string
	address string
	// tls is how a client trusts the server; nil when it serves in clear.
	tls *tls.Config
	// admin is the address of the gateway's admin port; empty for a bare server.
	admin string
	// config is a gateway's configuration file; empty when it has none.
	config  string
	command *exec.Cmd
	log     *journal
	exited  chan struct{}
	// ready is how long it took from exec until the server said that it was ready and accepted a connection.
	ready time.Duration
}

// setting is how servers are started.
type setting struct {
	secure bool
	// free lets them run on every core instead of on the servers' one.
	free bool
	// config is the text of a gateway's configuration file; empty for none. flags are further ones of its command line.
	config string
	flags  []string
	// logTo is the file that a gateway's log is appended to, by itself; empty for the journal, which this process reads and keeps.
	logTo string
	// environment is what a process has in its environment besides this one's.
	environment []string
	// arguments are those of bare servers, from an exchange.
	arguments []string
}

// start starts a server and waits until it is ready.
func (b *benchmark) start(ctx context.Context, name string, how setting) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, address: address, log: new(journal), exited: make(chan struct{})}
	arguments := []string{"--listen", s.address}
	if how.secure {
		s.tls = b.certificate.trust
		arguments = append(arguments, "--tls-cert", b.certificate.cert, "--tls-key", b.certificate.key)
	}
	switch name {
	case gateway:
		own, err := b.gatewayArguments(ctx, s, how)
		if err != nil {
			return nil, err
		}
		s.command = exec.CommandContext(ctx, b.gateway, append(own, arguments...)...)
	case connectGo:
		s.command = exec.CommandContext(ctx, filepath.Join(b.bin, "connectgo"), arguments...)
	case grpcGo:
		s.command = exec.CommandContext(ctx, filepath.Join(b.bin, "grpcgo"), append(arguments, how.arguments...)...)
	case tonic:
		s.command = exec.CommandContext(ctx, b.tonicBinary(), arguments...)
	}
	s.command.Dir, s.command.Stdout, s.command.Stderr = b.bin, s.log, s.log
	s.command.Env = append(os.Environ(), how.environment...)
	if how.logTo != "" {
		log, err := os.OpenFile(how.logTo, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		defer func() { _ = log.Close() }() // the process has it
		s.command.Stderr = log
	}
	at := place{cores: []int{b.serverCore}}
	if how.free {
		at.cores = b.cores
	}
	began := time.Now()
	if err := at.start(s.command); err != nil {
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

// gatewayArguments are those that only a gateway takes.
func (b *benchmark) gatewayArguments(ctx context.Context, s *server, how setting) ([]string, error) {
	var err error
	if s.admin, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	arguments := append([]string{"serve", "--admin", s.admin}, how.flags...)
	if how.config == "" {
		return arguments, nil
	}
	s.config = filepath.Join(b.bin, "prism-"+s.admin[strings.LastIndexByte(s.admin, ':')+1:]+".yaml")
	return append(arguments, "--config", s.config), s.configure(how.config)
}

// startAll starts servers that answer some exchanges, and checks that they do; call stopAll also after an error.
func (b *benchmark) startAll(ctx context.Context, how setting, exchanges []*exchange, names ...string) ([]*server, error) {
	for _, x := range exchanges {
		how.arguments = append(how.arguments, x.arguments...)
		if err := x.write(b.bin); err != nil {
			return nil, err
		}
	}
	var servers []*server
	for _, name := range names {
		s, err := b.start(ctx, name, how)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		if err := s.prepare(ctx, exchanges...); err != nil {
			return servers, fmt.Errorf("%w\n%s", err, s.log.String())
		}
	}
	return servers, nil
}

func stopAll(servers []*server) {
	for _, s := range servers {
		s.stop()
	}
}

func (s *server) scheme() string {
	if s.tls != nil {
		return "https"
	}
	return "http"
}

func (s *server) isGateway() bool { return s.admin != "" }

func (s *server) speaksConnect() bool { return s.isGateway() || s.name == connectGo }

// configure writes a gateway's configuration file, in one step.
func (s *server) configure(text string) error {
	if err := os.WriteFile(s.config+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(s.config+".new", s.config)
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
		if _, err := fetch(http.DefaultClient, request); err != nil {
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
	if s.config != "" {
		_ = os.Remove(s.config) // one that stays is in a folder of files that were built
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
