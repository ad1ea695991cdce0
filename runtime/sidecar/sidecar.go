// Package sidecar runs a provider in a process of its own beside the gateway: it starts the process, waits until it can be reached, starts it again when it ends or
// does not answer any more, and ends it.
//
// The process is told where to listen by its last two arguments, --listen and "unix:" with a path in a folder that only the gateway's user can enter. What it writes
// goes into the gateway's log. It inherits the gateway's environment, with [Environment] added, and its standard input ends when the gateway does: a provider that
// reads it to its end knows that it is alone. Where the system can, it is killed then.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"time"
)

const (
	// Environment is the variable that tells a process that it is a sidecar; it holds the instance's name.
	Environment = "PRISM_SIDECAR"
	// defaultStartTimeout is how long a sidecar may take to be ready when nothing is said.
	defaultStartTimeout = 10 * time.Second
	// defaultSilence is how long a sidecar may leave questions about its health unanswered. A provider answers them within a second; on a busy machine it may take some more.
	defaultSilence = 10 * time.Second
	// stopTimeout is how long a sidecar may take to end after SIGTERM. The gateway gives all that it closes 10 s.
	stopTimeout = 5 * time.Second
	// firstWait and longestWait bound the pause before a sidecar is started again; it doubles each time.
	firstWait, longestWait = 100 * time.Millisecond, 30 * time.Second
	// steady is how long a sidecar has run when its next end counts as the first one again.
	steady = 30 * time.Second
	// looking is how often it is looked whether a sidecar that was started can be reached.
	looking = 10 * time.Millisecond
)

// Options say what is run.
type Options struct {
	// Instance is the name of the backend instance.
	Instance string
	// Command is the program and its arguments, to which "--listen unix:PATH" is added.
	Command []string
	// StartTimeout is how long it may take until it can be reached. 0 means 10 s.
	StartTimeout time.Duration
	// Silence is how long it may leave questions about its health unanswered before it is killed and started again. 0 means 10 s.
	Silence time.Duration
	// Log takes what it writes, and how it ends; nil discards.
	Log *slog.Logger
}

// Sidecar is a provider's process, and those that take its place. Make one with [Start].
type Sidecar struct {
	o      Options
	folder *folder
	// stopping ends when the sidecar is to end for good; ended is closed when it has.
	stopping context.Context //nolint:containedctx // it is no call's: it ends with the sidecar
	stop     context.CancelFunc
	ended    chan struct{}
	// draining bounds how long the process may take to end.
	draining chan time.Duration
}

// Start starts a sidecar and returns when it can be reached. It then runs until [Sidecar.Close], whatever becomes of the context. When it fails, nothing is left of it.
func Start(ctx context.Context, o Options) (*Sidecar, error) {
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStartTimeout
	}
	if o.Silence == 0 {
		o.Silence = defaultSilence
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	made, err := makeFolder()
	if err != nil {
		return nil, fmt.Errorf("sidecar: a folder for its socket cannot be made; TMPDIR says where it would be: %w", err)
	}
	s := &Sidecar{o: o, folder: made, ended: make(chan struct{}), draining: make(chan time.Duration, 1)}
	s.stopping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	first, err := s.launch()
	if err == nil {
		err = s.ready(ctx, first)
	}
	if err != nil {
		s.stop()
		return nil, errors.Join(fmt.Errorf("sidecar: %w", err), made.remove())
	}
	go s.supervise(first)
	return s, nil
}

// Address is where the sidecar is reached, for as long as it runs: those that take its place listen there too.
func (s *Sidecar) Address() string { return "unix:" + s.socket() }

func (s *Sidecar) socket() string { return filepath.Join(s.folder.path, "provider.sock") }

// Close ends the sidecar: it is asked to end, and killed when it does not within some seconds or before the context ends. It returns when the process is gone.
func (s *Sidecar) Close(ctx context.Context) error {
	s.stop()
	select {
	case <-s.ended:
	case <-ctx.Done():
		select {
		case s.draining <- 0:
		default: // a Close before this one has said so
		}
		<-s.ended
	}
	return s.folder.remove()
}

// supervise sees to it that the sidecar runs.
func (s *Sidecar) supervise(p *process) {
	defer close(s.ended)
	wait := firstWait
	for {
		began := time.Now()
		err := s.attend(p)
		if s.stopping.Err() != nil {
			return
		}
		if time.Since(began) >= steady {
			wait = firstWait
		}
		// The jitter keeps the sidecars of a machine that had no memory for a moment from starting all at once.
		pause := wait/2 + rand.N(wait) //nolint:gosec // it is no secret
		wait = min(2*wait, longestWait)
		s.o.Log.Warn("the sidecar ended; it is started again", "error", err.Error(), "pause", pause.Round(time.Millisecond).String())
		if p = s.again(pause); p == nil {
			return
		}
	}
}

// again starts the sidecar after a pause; nil means that it is to end for good.
func (s *Sidecar) again(pause time.Duration) *process {
	for {
		select {
		case <-s.stopping.Done():
			return nil
		case <-time.After(pause):
		}
		p, err := s.launch()
		if err == nil {
			return p
		}
		pause = longestWait // a program that cannot be started is not there any more, or the machine has no room
		s.o.Log.Error("the sidecar cannot be started", "error", err.Error(), "pause", pause.String())
	}
}

// attend waits for the end of a process: it ends by itself, is killed because it does not answer, or is ended because the sidecar is.
func (s *Sidecar) attend(p *process) error {
	if err := s.ready(s.stopping, p); err != nil {
		return err
	}
	s.o.Log.Info("the sidecar is ready", "pid", p.pid())
	watching, done := context.WithCancel(s.stopping)
	defer done()
	silent := make(chan error, 1)
	go func() { silent <- s.watch(watching) }()
	select {
	case <-p.exited:
		return p.failure()
	case err := <-silent:
		if err == nil { // the sidecar is to end
			s.end(p)
			return nil
		}
		p.kill()
		return err
	}
}

// ready waits until a process can be reached. One that cannot be in time is killed.
func (s *Sidecar) ready(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.StartTimeout)
	defer cancel()
	for {
		if reachable(ctx, s.socket()) {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended before it was ready: %w", s.o.Command[0], p.failure())
		case <-ctx.Done():
			p.kill()
			if s.stopping.Err() != nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%s did not listen on --listen %s within %s, and was killed; provider.start_timeout can give it more time%s",
				s.o.Command[0], s.Address(), s.o.StartTimeout, p.words())
		case <-time.After(looking):
		}
	}
}

// end ends a process in order.
func (s *Sidecar) end(p *process) {
	p.terminate()
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-s.draining:
		p.kill()
	case <-limit.C:
		s.o.Log.Warn("the sidecar did not end when it was asked to, and is killed", "after", stopTimeout.String())
		p.kill()
	}
}
