// Command demo starts Redis, NATS and PostgreSQL, on ports of their own, and runs a command with them: `make demo` walks through docs/demo.md.
//
//	go run ./internal/demo COMMAND...
//
// The command finds the configurations of examples/iot-devices in .build/demo, with the servers' addresses in them, and IOT_DEVICES_DSN in its environment. The servers end with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/prismgate/prism/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command []string) (err error) {
	if len(command) == 0 {
		return errors.New("name a command to run with the servers, for example: go run ./internal/tour -show docs/demo.md")
	}
	started := map[*testenv.Kind]*testenv.Server{}
	for _, kind := range []struct {
		*testenv.Kind
		options []string
	}{{testenv.Redis, []string{"--appendonly", "yes"}}, {testenv.NATS, []string{"max_payload: 8MB"}}, {testenv.Postgres, []string{"-c", "fsync=on"}}} {
		server, err := testenv.New(ctx, kind.Kind, kind.options...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		if err := server.Start(ctx); err != nil {
			return err
		}
		fmt.Printf("%s is at %s\n", kind.Name, server.Address())
		started[kind.Kind] = server
	}
	addresses := strings.NewReplacer("127.0.0.1:6379", started[testenv.Redis].Address(), "127.0.0.1:4222", started[testenv.NATS].Address())
	if err := configurations(addresses); err != nil {
		return err
	}
	child := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // it is what the user asks for
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.Env = append(os.Environ(), "IOT_DEVICES_DSN="+testenv.DSN(started[testenv.Postgres]))
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	return child.Run()
}

// configurations writes those of the example with the addresses of the servers that run.
func configurations(addresses *strings.Replacer) error {
	folder := filepath.Join(".build", "demo")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"servers.yaml", "combinations.yaml"} {
		text, err := os.ReadFile(filepath.Join("examples", "iot-devices", name)) //nolint:gosec // the names stand above
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(addresses.Replace(string(text))), 0o600); err != nil {
			return err
		}
	}
	return nil
}
