package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/internal/testcatalog"
)

var update = flag.Bool("update", false, "write the golden files of testdata from what the commands print now")

// patience is how long a test waits for what must happen.
const patience = time.Minute

// TestGolden runs each case of testdata: a folder with args, one a line, and what the command line must print and return. The cases in testdata/sample run
// with sampleCatalog, those in testdata/guide with the architecture guide's, the others with this build's catalog. stdin is optional.
func TestGolden(t *testing.T) {
	t.Parallel()
	cases := 0
	require.NoError(t, filepath.WalkDir("testdata", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "args" {
			return err
		}
		cases++
		folder := filepath.Dir(path)
		name, err := filepath.Rel("testdata", folder)
		if err != nil {
			return err
		}
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			t.Parallel()
			d := built(t)
			switch {
			case strings.HasPrefix(name, "sample"):
				d = sample(t, nil)
			case strings.HasPrefix(name, "guide"):
				d.catalog = testcatalog.New(t)
			}
			golden(t, d, folder)
		})
		return nil
	}))
	require.NotZero(t, cases)
}

func golden(t *testing.T, d dependencies, folder string) {
	args := strings.Split(strings.TrimSuffix(content(t, filepath.Join(folder, "args")), "\n"), "\n")
	if args[0] == "" {
		args = nil
	}
	d.stdin = strings.NewReader(content(t, filepath.Join(folder, "stdin")))
	got := runLine(t, d, args...)
	for _, part := range []struct{ name, got string }{
		{"stdout", got.stdout},
		{"stderr", got.stderr},
		{"exit", strconv.Itoa(got.exit) + "\n"},
	} {
		path := filepath.Join(folder, part.name)
		if !*update {
			require.Equal(t, content(t, path), part.got, "%s of prism %q; go test ./cmd/prism -update writes it anew", part.name, args)
			continue
		}
		if part.got == "" {
			if err := os.Remove(path); !os.IsNotExist(err) {
				require.NoError(t, err)
			}
			continue
		}
		require.NoError(t, os.WriteFile(path, []byte(part.got), 0o644))
	}
}

// content reads a file; one that is not there is empty.
func content(t *testing.T, path string) string {
	data, err := os.ReadFile(path)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return string(data)
}

// built are the dependencies of the real command, but for its streams.
func built(t *testing.T) dependencies {
	known, err := registry.Catalog()
	require.NoError(t, err)
	return dependencies{catalog: known, backends: wiring.Backends(), build: testBuild()}
}

func testBuild() build {
	return build{version: "v1.2.3", commit: "0123456789abcdef", goVersion: "go1.26.8"}
}

type result struct {
	stdout, stderr string
	exit           int
}

// runLine runs a command line to its end.
func runLine(t *testing.T, d dependencies, args ...string) result {
	t.Helper()
	p := start(t, d, args...)
	exit := p.wait(t)
	return result{p.stdout.String(), p.stderr.String(), exit}
}

// process is a command line that runs in this process.
type process struct {
	signals        chan os.Signal
	stdout, stderr *output
	exit           chan int
}

func start(t *testing.T, d dependencies, args ...string) *process {
	p := &process{signals: make(chan os.Signal, 2), stdout: newOutput(), stderr: newOutput(), exit: make(chan int, 1)}
	d.stdout, d.stderr, d.signals = p.stdout, p.stderr, p.signals
	if d.stdin == nil {
		d.stdin = strings.NewReader("")
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { p.exit <- run(ctx, d, args) }()
	return p
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case exit := <-p.exit:
		return exit
	case <-time.After(patience):
		require.FailNow(t, "the command does not end", "stderr: %s", p.stderr)
		return -1
	}
}

// output is a stream of a process that tests can wait on.
type output struct {
	mu      sync.Mutex
	written bytes.Buffer
	grown   chan struct{} // closed and replaced at each write
}

var _ io.Writer = (*output)(nil)

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.written.Write(data)
}

func (o *output) String() string {
	written, _ := o.get()
	return written
}

func (o *output) get() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written.String(), o.grown
}

// waitFor returns the first line that holds a text, as soon as it is there.
func (o *output) waitFor(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		written, grown := o.get()
		for line := range strings.Lines(written) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				return line
			}
		}
		select {
		case <-grown:
		case <-deadline:
			require.FailNow(t, "it is not printed", "%q in:\n%s", text, written)
		}
	}
}
