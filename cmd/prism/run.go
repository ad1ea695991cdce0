package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/pattern"
)

// The exit codes. A command that a signal ended exits with 128 and the signal's number, as shells have it.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitSignal = 128
)

// dependencies are what the commands work with: everything that a test replaces.
type dependencies struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// catalog is what the build knows.
	catalog *catalog.Catalog
	// backends are those that serve can open.
	backends []backend.Type
	// patterns are those that serve can open.
	patterns []pattern.Type
	// executable returns this program's path, which sidecars are started with. It may be nil: then they have to be named.
	executable func() (string, error)
	build      build
	// signals ask to stop: the first politely, the second at once. It may be nil.
	signals <-chan os.Signal
	// hangups returns what asks serve to read its configuration again. Other commands do not ask for it: a hangup ends them. It may be nil.
	hangups func() <-chan os.Signal
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, d dependencies, args []string) int {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan outcome, 1)
	go func() { ended <- execute(ctx, d, args) }()
	var first os.Signal
	for {
		select {
		case o := <-ended:
			if first != nil && errors.Is(o.err, context.Canceled) {
				return signalCode(first)
			}
			return o.report(d.stderr)
		case received := <-d.signals:
			if first != nil {
				return signalCode(received)
			}
			first = received
			stop(stopped{received})
		}
	}
}

// stopped is why a context ended: a signal came.
type stopped struct{ signal os.Signal }

func (s stopped) Error() string { return "signal: " + s.signal.String() }

func (s stopped) Unwrap() error { return context.Canceled }

func signalCode(received os.Signal) int {
	if number, ok := received.(syscall.Signal); ok {
		return exitSignal + int(number)
	}
	return exitFailed
}
