// Command bench measures the gateway against bare servers, in one run: `go run ./bench`. README.md says what each figure means and holds the results.
//
// Timing never decides: a missed bar is printed and the command still succeeds. It fails when a server or a call fails, since then nothing was measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// benchmark is one run of the command.
type benchmark struct {
	// root is the module's folder, bin the one that everything is built into.
	root, bin string
	// gateway is a prism binary; empty to build this module's.
	gateway  string
	rounds   int
	duration time.Duration
	// serverCore runs the servers, loadCore whatever calls them.
	serverCore, loadCore int
	report               *report
}

// cases are what can be measured, in the order of the report.
var cases = []struct {
	name    string
	measure func(*benchmark, context.Context) error
}{
	{"grpc", (*benchmark).measureGRPC},
	{"connect", (*benchmark).measureConnect},
	{"one-connection", (*benchmark).measureOneConnection},
	{"paced", (*benchmark).measurePaced},
	{"start", (*benchmark).measureStart},
	{"memstore", (*benchmark).measureMemStore},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.name
	}
	b := &benchmark{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&b.rounds, "rounds", 7, "rounds; each takes every server once, in turn")
	flags.DurationVar(&b.duration, "duration", 3*time.Second, "how long one server is measured in one round")
	flags.StringVar(&b.gateway, "gateway", "", "prism binary to measure (default: built from ./cmd/prism)")
	flags.IntVar(&b.serverCore, "server-core", 0, "core that the servers are pinned to")
	flags.IntVar(&b.loadCore, "load-core", 1, "core that the load is pinned to")
	only := flags.String("only", strings.Join(names, ","), "cases to measure, separated by commas")
	output := flags.String("output", "text", "text, json or markdown")
	into := flags.String("into", "", "with --output markdown: the file whose results, between the markers, are replaced")
	if err := flags.Parse(args); err != nil {
		return err
	}
	write, ok := outputs[*output]
	if !ok {
		return fmt.Errorf("unknown output %q; it is one of text, json, markdown", *output)
	}
	if *into != "" && *output != "markdown" {
		return errors.New("--into takes --output markdown")
	}
	wanted := strings.Split(*only, ",")
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown case %q; it is one of %s", name, strings.Join(names, ", "))
		}
	}
	if b.rounds < 1 || b.duration < 100*time.Millisecond {
		return errors.New("--rounds is at least 1 and --duration at least 100ms")
	}
	if err := b.prepare(ctx, args); err != nil {
		return err
	}
	for _, c := range cases {
		if slices.Contains(wanted, c.name) {
			if err := c.measure(b, ctx); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	if *into != "" {
		return replaceResults(*into, b.report)
	}
	result, err := write(b.report)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(result)
	return err
}

// prepare finds the tools and builds the servers.
func (b *benchmark) prepare(ctx context.Context, args []string) error {
	if _, err := exec.LookPath("h2load"); err != nil {
		return errors.New("h2load is not installed: apt-get install nghttp2-client")
	}
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	b.root = filepath.Dir(strings.TrimSpace(string(gomod)))
	b.bin = filepath.Join(b.root, ".build", "bench")
	if err := os.MkdirAll(b.bin, 0o755); err != nil {
		return err
	}
	packages := []string{"./bench/baseline/connectgo", "./bench/baseline/grpcgo"}
	if b.gateway == "" {
		packages = append(packages, "./cmd/prism")
	}
	if err := b.goTool(ctx, append([]string{"build", "-o", b.bin + "/"}, packages...)...); err != nil {
		return err
	}
	if b.gateway == "" {
		b.gateway = filepath.Join(b.bin, "prism")
	}
	b.report = newReport(append([]string{"go", "run", "./bench"}, args...), b.rounds)
	return writeBodies(b.bin)
}

// goTool runs the go command in the module's folder.
func (b *benchmark) goTool(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir, command.Stdout, command.Stderr = b.root, os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// progress tells on stderr what is being measured, since a run takes minutes.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
