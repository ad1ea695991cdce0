// Command prism is Prism's command line: it serves the gateway, shows what a build knows, and calls a gateway.
//
// Each command has a file of its own. The tree is made by newCommand from its dependencies, so that tests run it in-process.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
)

func main() {
	signals := make(chan os.Signal, 2) // the first asks to stop, the second ends at once
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	known, err := registry.Catalog()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prism:", err)
		os.Exit(exitFailed)
	}
	os.Exit(run(context.Background(), dependencies{
		stdin:      os.Stdin,
		stdout:     os.Stdout,
		stderr:     os.Stderr,
		catalog:    known,
		backends:   wiring.Backends(),
		patterns:   wiring.Patterns(),
		executable: os.Executable,
		build:      readBuild(),
		signals:    signals,
		hangups: func() <-chan os.Signal {
			received := make(chan os.Signal, 1)
			signal.Notify(received, syscall.SIGHUP)
			return received
		},
	}, os.Args[1:]))
}
