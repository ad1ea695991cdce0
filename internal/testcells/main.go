// Command cells runs every conformance suite on every backend over every route, and counts the cells: one interface of one backend over one route. It fails when a cell that the schema
// declares is missing, was skipped, in part or as a whole, or failed.
//
//	go run ./internal/testcells             all backends
//	go run ./internal/testcells redis nats  some
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/catalog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "cells:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string, stdout, stderr io.Writer) error {
	known, err := registry.Catalog()
	if err != nil {
		return err
	}
	backends, err := choose(known, names)
	if err != nil {
		return err
	}
	// Most of a suite's time is spent waiting, so many cases go at once, whatever the number of processors.
	args := []string{"test", "-json", "-count=1", "-timeout=20m", "-parallel=16", "-run=^TestRoutes$"}
	for _, backend := range backends {
		args = append(args, "./backends/"+folder(backend.Name))
	}
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the names are the catalog's
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Stderr = stderr
	command.Env = append(os.Environ(), "PRISM_SERVERS=all")
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	cells, err := read(output, stdout)
	if err != nil {
		return errors.Join(err, command.Wait())
	}
	failed := command.Wait()
	if err := report(stdout, expected(known, backends), cells); err != nil {
		return err
	}
	return failed
}

// choose returns the backends of some names; of none, all.
func choose(known *catalog.Catalog, names []string) ([]catalog.Backend, error) {
	var chosen []catalog.Backend
	for _, backend := range known.Backends() {
		if len(names) == 0 || slices.Contains(names, backend.Name) {
			chosen = append(chosen, backend)
		}
	}
	for _, name := range names {
		if _, ok := known.Backend(name); !ok {
			return nil, fmt.Errorf("there is no backend %q", name)
		}
	}
	return chosen, nil
}

// folder is the folder of a backend's package.
func folder(backend string) string { return strings.ReplaceAll(backend, "-", "") }
