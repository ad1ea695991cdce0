// Package subject starts what strangers' suites and clients are pointed at: a `prism serve` of its own, on a loopback port, on either front.
package subject

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// readyTimeout is how long a gateway may take to start; it needs milliseconds, and a busy machine some seconds.
const readyTimeout = time.Minute

// Front names a front as `make` does, in FRONT.
type Front string

// The fronts.
const (
	// Own is runtime/h2 and runtime/grpcserver.
	Own Front = "own"
	// Standard is net/http and connect-go.
	Standard Front = "standard"
)

// Fronts are those that a word names: one, or both when it is empty.
func Fronts(word string) ([]Front, error) {
	switch Front(word) {
	case "":
		return []Front{Standard, Own}, nil
	case Own, Standard:
		return []Front{Front(word)}, nil
	}
	return nil, fmt.Errorf("the front is %q; it must be %s or %s", word, Own, Standard)
}

// Options say which gateway is started.
type Options struct {
	// Prism is the program.
	Prism string
	// Front serves HTTP/2.
	Front Front
	// Certificate secures the gateway; nil serves in clear.
	Certificate *Certificate
}

// Subject is a gateway that runs.
type Subject struct {
	// Address is where it serves clients.
	Address string
	command *exec.Cmd
	waited  chan struct{}
	err     error
	log     tail
}

// Start starts a gateway and waits until it is ready. It ends with the context, or by [Subject.Stop].
func Start(ctx context.Context, o Options) (*Subject, error) {
	args := []string{"serve", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--drain-timeout=5s"}
	if o.Front == Standard {
		args = append(args, "--http2=standard")
	}
	if o.Certificate != nil {
		args = append(args, "--tls-cert="+o.Certificate.CertFile, "--tls-key="+o.Certificate.KeyFile)
	}
	s := &Subject{command: exec.CommandContext(ctx, o.Prism, args...), waited: make(chan struct{})}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.command.Stderr = writer
	if err := s.command.Start(); err != nil {
		return nil, errors.Join(err, reader.Close(), writer.Close())
	}
	_ = writer.Close() // the child has its own
	ready := make(chan string, 1)
	go s.follow(reader, ready)
	select {
	case s.Address = <-ready:
		return s, nil
	case <-s.waited:
		return nil, fmt.Errorf("%s serve ended: %w\n%s", o.Prism, s.err, s.log.String())
	case <-time.After(readyTimeout):
		return nil, errors.Join(fmt.Errorf("%s serve is not ready after %s\n%s", o.Prism, readyTimeout, s.log.String()), s.Stop())
	}
}

// follow reads the gateway's log until that ends, finds the address in it, and waits for the process.
func (s *Subject) follow(log io.ReadCloser, ready chan<- string) {
	address := regexp.MustCompile(`msg="prism is ready".* listen=(\S+)`)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.log.add(lines.Text())
		if match := address.FindStringSubmatch(lines.Text()); match != nil {
			ready <- match[1]
		}
	}
	_ = log.Close()
	s.err = s.command.Wait()
	close(s.waited)
}

// Stop tells the gateway to drain, and waits for its end. A gateway that does not end well is an error: it crashed, or a call was never finished.
func (s *Subject) Stop() error {
	select {
	case <-s.waited:
		return fmt.Errorf("the gateway ended before it was told to: %w\n%s", s.err, s.log.String())
	default:
	}
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.waited
	if s.err != nil {
		return fmt.Errorf("the gateway ended badly: %w\n%s", s.err, s.log.String())
	}
	return nil
}

// tail keeps the last lines of a log.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if len(t.lines) > 40 {
		t.lines = t.lines[1:]
	}
}

// String is the lines as one text.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := ""
	for _, line := range t.lines {
		text += line + "\n"
	}
	return text
}
