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
	"os/signal"
	"runtime"
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
	// serverCore runs the servers, loadCore whatever calls them, cores what is not pinned.
	serverCore, loadCore int
	cores                []int
	certificate          *certificate
	report               *report
}

// benchCase is something that can be measured.
type benchCase struct {
	name    string
	measure func(context.Context, *benchmark) error
}

// allCases are the cases, in the order of the report.
func allCases() []benchCase {
	var cases []benchCase
	for _, c := range comparisons() {
		cases = append(cases, benchCase{c.name, c.measure})
	}
	cases = append(
		cases,
		benchCase{"pipeline", measurePipeline},
		benchCase{namespacesCase, measureNamespaces},
		benchCase{subscriptionsCase, measureSubscriptions},
		benchCase{multicastCase, measureMulticast},
		benchCase{redisCase, measureRedis},
		benchCase{redisNamespacesCase, measureRedisNamespaces},
		benchCase{postgresCase, measurePostgres},
		benchCase{queueCase, measureQueue},
		benchCase{natsCase, measureNATS},
		benchCase{sidecarCase, measureSidecar},
		benchCase{"paced", measurePaced},
		benchCase{"neighbour", measureNeighbour},
		benchCase{namespaceNeighbourCase, measureNamespaceNeighbour},
		benchCase{"flood", measureFlood},
		benchCase{"fairness", measureFairness},
	)
	for _, c := range idlenesses() {
		cases = append(cases, benchCase{c.name, c.measure})
	}
	return append(
		cases,
		benchCase{"start", measureStart},
		benchCase{"memstore", measureMemStore},
	)
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
	cases := allCases()
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = c.name
	}
	b := &benchmark{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&b.rounds, "rounds", 7, "rounds; each takes every server once, in turn")
	flags.DurationVar(&b.duration, "duration", 2*time.Second, "how long one server is measured in one round")
	flags.StringVar(&b.gateway, "gateway", "", "prism binary to measure (default: built from ./cmd/prism)")
	flags.IntVar(&b.serverCore, "server-core", 0, "core that the servers are pinned to")
	flags.IntVar(&b.loadCore, "load-core", 1, "core that the load is pinned to")
	quick := flags.Bool("quick", false, "3 rounds of 1s, to try a case out")
	only := flags.String("only", strings.Join(names, ","), "cases to measure, separated by commas")
	output := flags.String("output", "text", "text, json or markdown")
	into := flags.String("into", "", "with --output markdown: the file whose results, between the markers, are replaced")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *quick {
		b.rounds, b.duration = 3, time.Second
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
	if err := b.prepare(ctx); err != nil {
		return err
	}
	b.report = newReport(append([]string{"go", "run", "./bench"}, args...), b.rounds)
	if err := pinSelf(b.loadCore); err != nil {
		return err
	}
	// A goroutine that waits in the kernel keeps its share of GOMAXPROCS for a while; with more of them than threads that wait, nobody is held up by that.
	runtime.GOMAXPROCS(8)
	for _, c := range cases {
		if slices.Contains(wanted, c.name) {
			if err := c.measure(ctx, b); err != nil {
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

// progress tells on stderr what is being measured, since a run takes minutes.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
