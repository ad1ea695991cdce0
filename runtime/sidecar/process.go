package sidecar

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// process is one run of a sidecar.
type process struct {
	command *exec.Cmd
	// parent is the end of the process's standard input that the gateway holds.
	parent io.Closer
	out    *lines
	err    *lines
	// mu is held where the process's number is used; reaped tells that the number may be another's.
	mu     sync.Mutex
	reaped bool
	// exited is closed when the process is gone and what it wrote is in the log; then ended says how.
	exited chan struct{}
	ended  error
}

// launch starts a process.
func (s *Sidecar) launch() (*process, error) {
	if err := os.Remove(s.socket()); err != nil && !os.IsNotExist(err) { // not every provider replaces what one that was killed has left
		return nil, err
	}
	arguments := append(append([]string{}, s.o.Command[1:]...), "--listen", s.Address())
	p := &process{
		command: exec.Command(s.o.Command[0], arguments...), //nolint:noctx // it does not end with a context: it is asked first
		exited:  make(chan struct{}),
		out:     &lines{log: s.o.Log, from: "stdout"}, err: &lines{log: s.o.Log, from: "stderr"},
	}
	p.command.Env = append(os.Environ(), Environment+"="+s.o.Instance)
	p.command.Stdout, p.command.Stderr = p.out, p.err
	p.command.WaitDelay = time.Second // what the process has started may hold its output open
	p.command.SysProcAttr = attributes()
	stdin, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.parent = stdin
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s cannot be started; provider.command says what is: %w", s.o.Command[0], err)
	}
	return p, nil
}

// run starts the process and waits for its end, all on one thread: the system takes the end of the thread that has started a process for that of its parent.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.command.Start()
	started <- err
	if err != nil {
		return
	}
	if awaitEnd(p.command.Process) {
		p.mu.Lock()
		killGroup(p.command.Process) // what the process has started and left behind
		p.reaped = true
		p.mu.Unlock()
	}
	p.ended = p.command.Wait()
	_ = p.parent.Close()
	p.out.flush()
	p.err.flush()
	close(p.exited)
}

func (p *process) pid() int { return p.command.Process.Pid }

// terminate asks the process to end: by a signal, and by the end of its input.
func (p *process) terminate() {
	_ = p.parent.Close()
	terminate(p.command.Process)
}

// kill ends the process and waits until it is gone.
func (p *process) kill() {
	p.mu.Lock()
	if !p.reaped {
		killGroup(p.command.Process)
	}
	p.mu.Unlock()
	<-p.exited
}

// failure says how the process ended. Call it when it has.
func (p *process) failure() error {
	how := "with exit status 0, which nobody asked for"
	if p.ended != nil {
		how = "with " + p.ended.Error()
	}
	return fmt.Errorf("it ended %s%s", how, p.words())
}

// words are the last that the process wrote to standard error, as the end of a sentence.
func (p *process) words() string {
	if last := p.err.last(); len(last) > 0 {
		return "; it said last: " + strings.Join(last, " | ")
	}
	return ""
}
