// Command tour runs the commands that a Markdown file shows and compares what they print with what the file says, so that the documentation cannot lie.
//
//	go run ./internal/tour README.md docs/tutorial.md
//
// For each file it starts bin/prism on the default ports and runs every block that is fenced as "console tour": a line that begins with "$ " is a command, the lines
// up to the next one are its output. "..." in the output stands for anything within a line. A block fenced as "go PATH" or "yaml PATH" must be the content of that
// file. The gateway is what `make run` starts, unless a line of the file says another one: <!-- tour: prism serve --config FILE -->.
//
// With -show it also prints what it runs and what comes out, for somebody who watches.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prismgate/prism/runtime/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	show := flag.Bool("show", false, "print the commands and what they print")
	flag.Parse()
	shown := io.Discard
	if *show {
		shown = os.Stdout
	}
	if err := run(ctx, shown, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "tour:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, shown io.Writer, files []string) error {
	if len(files) == 0 {
		return errors.New("name the Markdown files to run, for example README.md")
	}
	path, err := tools(ctx)
	if err != nil {
		return err
	}
	steps, failed := 0, 0
	for _, file := range files {
		run, wrong, err := check(ctx, shown, file, path)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		steps, failed = steps+run, failed+wrong
	}
	fmt.Printf("%d passed, %d failed\n", steps-failed, failed)
	if failed > 0 {
		return errors.New("the documentation and the program disagree")
	}
	return nil
}

// check runs the commands of one file on a gateway of its own.
func check(ctx context.Context, shown io.Writer, file, path string) (steps, failed int, err error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	blocks, err := parse(string(source))
	if err != nil {
		return 0, 0, err
	}
	end, err := startGateway(ctx, gatewayOf(string(source))...)
	if err != nil {
		return 0, 0, err
	}
	defer end()
	heading := ""
	for _, b := range blocks {
		if b.heading != heading {
			heading = b.heading
			_, _ = fmt.Fprintf(shown, "\n%s\n\n", heading)
		}
		for _, mistake := range b.check(ctx, shown, path) {
			failed++
			fmt.Printf("%s:%d: %s\n", file, mistake.line, mistake.text)
		}
		steps += len(b.steps)
	}
	return steps, failed, nil
}

// gatewayOf is the command that starts the gateway of a Markdown file.
func gatewayOf(source string) []string {
	for line := range strings.Lines(source) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "<!-- tour: prism "); ok {
			return append([]string{"bin/prism"}, strings.Fields(strings.TrimSuffix(command, "-->"))...)
		}
	}
	return []string{"bin/prism", "serve"}
}

// tools makes a folder of the clients that the tour uses, pinned by tools/go.mod, and returns a PATH that begins with it.
func tools(ctx context.Context) (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(root, ".build", "tour", "bin")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	// Built here and not when they are first called: what the build prints is no output of theirs.
	build := exec.CommandContext(ctx, "go", "build", "-modfile=tools/go.mod", "-o", folder+string(filepath.Separator),
		"github.com/bufbuild/buf/cmd/buf", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build buf and grpcurl: %w", err)
	}
	list := string(filepath.ListSeparator)
	return filepath.Join(root, "bin") + list + folder + list + os.Getenv("PATH"), nil
}

// readyTimeout is how long a gateway may take to start. It is generous: machines that run tours in CI are busy.
const readyTimeout = time.Minute

// startGateway starts the gateway as `make run` does, and returns when it is ready. That it says so itself, in its log, is what counts: another gateway on the
// same ports would answer a question.
func startGateway(ctx context.Context, program ...string) (end func(), err error) {
	command := exec.CommandContext(ctx, program[0], program[1:]...)
	log := &readiness{log: os.Stderr, ready: make(chan struct{})}
	command.Stderr = log
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the gateway: %w; `make build` makes bin/prism", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	end = func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := <-exited; err != nil {
			fmt.Fprintln(os.Stderr, "tour: the gateway:", err)
		}
	}
	select {
	case <-log.ready:
		return end, nil
	case err := <-exited:
		return nil, fmt.Errorf("the gateway ended before it was ready: %w; the tour needs %s and %s for itself", cmp.Or(err, errors.New("exit status 0")),
			config.DefaultListen, config.DefaultAdmin)
	case <-time.After(readyTimeout):
		end()
		return nil, fmt.Errorf("the gateway was not ready within %s", readyTimeout)
	}
}

// readiness passes a gateway's log on, and tells when it says that the gateway is ready.
type readiness struct {
	log   io.Writer
	ready chan struct{}
	// seen is the log until then.
	seen []byte
	told bool
}

func (r *readiness) Write(data []byte) (int, error) {
	if !r.told {
		r.seen = append(r.seen, data...)
		if r.told = bytes.Contains(r.seen, []byte("prism is ready")); r.told {
			close(r.ready)
		}
	}
	return r.log.Write(data)
}
