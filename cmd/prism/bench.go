package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/internal/load"
	"github.com/prismgate/prism/runtime/config"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	namespace string
	data      []string
	mix       string
	headers   []string
	protocol  choice

	address      string
	useTLS       bool
	tls          clientTLS
	skipVerify   bool
	pids         []int
	against      string
	againstPIDs  []int
	rounds       int
	plot         string
	distribution choice

	// plan has the flags that are numbers and durations.
	plan load.Plan
}

func (c *cli) benchCommand() *cobra.Command {
	distributions := make([]string, 0, 3)
	for _, d := range load.Distributions() {
		distributions = append(distributions, string(d))
	}
	o := benchOptions{
		protocol:     newChoice(string(load.GRPC), string(load.Connect), string(load.ConnectHTTP1)),
		distribution: newChoice(distributions...),
	}
	command := &cobra.Command{
		Use:   "bench [INTERFACE.RPC] --namespace NAME [--data JSON]",
		Short: "Put load on a gateway and measure it",
		Long: `Put load on a gateway, or on any server of the same RPCs, and measure rate, latency and processor time.

A closed loop keeps --connections x --streams calls under way and makes the next when one is answered. With --rate it is
an open loop: calls are made when they are due, and their latency counts from then, also when a slow server keeps them
waiting ("coordinated omission"). How late the generator itself was is reported beside it.

The request is the JSON of protobuf, with placeholders that each call fills in:
  {{key}}          one of --keys keys, chosen by --distribution; {{key base64}} in a field of bytes
  {{seq}}          the number of the call, in 12 digits
  {{bytes 100}}    100 bytes, in a field of bytes; {{text 100}} is as many letters

Unary RPCs and server streams can be called, several of them with --mix. With --against a second server is measured in
turn with the first, and figures are compared round by round. --pid reads the processor time of local processes.

The exit code is 1 when the server cannot be reached, when it answers nothing for --timeout, or when no call succeeds.
Single failed calls are part of the report. SIGINT ends a run with the report of what was measured until then.`,
		Example: `  # Fill 10,000 keys, one call each; then read them as fast as the gateway answers
  prism bench keyvalue_basic.Set -n default -d '{"key": "{{key}}", "value": "{{bytes 100}}"}' \
      --keys 10000 --distribution sequential --calls 10000
  prism bench keyvalue_basic.Get -n default -d '{"key": "{{key}}"}' --keys 10000 --distribution zipf

  # 1,000 calls a second: latencies of a gateway that is not saturated, and what a call costs it
  prism bench keyvalue_basic.Get -n default -d '{"key": "{{key}}"}' --rate 1000 --pid $(pidof prism)

  # Nine reads for each write
  prism bench -n default --mix keyvalue_basic.Get=90,keyvalue_basic.Set=10 --keys 10000 \
      -d 'keyvalue_basic.Get={"key": "{{key}}"}' -d 'keyvalue_basic.Set={"key": "{{key}}", "value": "{{bytes 100}}"}'

  # Two servers in seven alternating pairs, and a picture of their percentiles
  prism bench keyvalue_basic.Get -n default -d '{"key": "{{key}}"}' --address 127.0.0.1:8980 --pid 101 \
      --against 127.0.0.1:9980 --against-pid 102 --duration 3s --plot latency.svg`,
		Args: benchArgs,
		RunE: func(command *cobra.Command, args []string) error {
			if !command.Flags().Changed("namespace") {
				return usagef("bench needs --namespace, the namespace that calls address, such as --namespace default")
			}
			if o.plan.Calls != 0 {
				// A number of calls is exact: nothing is called beside it, and no time ends it early, unless that was asked for.
				if !command.Flags().Changed("duration") {
					o.plan.Duration = 0
				}
				if !command.Flags().Changed("warm-up") {
					o.plan.WarmUp = 0
				}
			}
			if o.protocol.value == string(load.ConnectHTTP1) && !command.Flags().Changed("streams") {
				o.plan.Streams = 1
			}
			if o.against != "" && !command.Flags().Changed("rounds") {
				o.rounds = pairRounds
			}
			return c.bench(command.Context(), args, o)
		},
		ValidArgsFunction: c.completeProcedures,
	}
	o.addFlags(command)
	return command
}

// pairRounds is how often two servers are measured in turn: fewer say little on a machine that does other things too.
const pairRounds = 7

func (o *benchOptions) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.namespace, "namespace", "n", "", "`NAME` of the namespace to call (required)")
	flags.StringArrayVarP(&o.data, "data", "d", nil, "the request as `JSON` with placeholders; @FILE reads it from a file; INTERFACE.RPC=JSON is that of one RPC of a mix; repeatable (default {})")
	flags.StringVar(&o.mix, "mix", "", "several RPCs with their weights, as `RPC=WEIGHT,...`, in the place of INTERFACE.RPC")
	flags.StringArrayVarP(&o.headers, "header", "H", nil, "a request header as `NAME:VALUE`; repeatable")
	o.protocol.add(flags, "protocol", "", "what to speak")
	flags.StringVar(&o.address, "address", config.DefaultListen, "the server's `ADDRESS`: host:port, http:// or https:// before it, or unix:PATH")
	flags.BoolVar(&o.useTLS, "tls", false, "call with TLS and trust the system's authorities; an address with https:// does too")
	o.tls.add(command)
	flags.BoolVar(&o.skipVerify, "insecure-skip-verify", false, "take any certificate of the server; calls with TLS")

	flags.IntVarP(&o.plan.Connections, "connections", "c", 4, "how many connections are open")
	flags.IntVarP(&o.plan.Streams, "streams", "m", 32, "how many calls are under way on each; 1 with connect-http1")
	flags.IntVarP(&o.plan.Threads, "threads", "t", 0, "how many threads drive the connections (default one per core)")
	flags.Float64VarP(&o.plan.Rate, "rate", "r", 0, "calls a second that are due; 0 is a closed loop")
	flags.DurationVarP(&o.plan.Duration, "duration", "D", 10*time.Second, "how long is measured")
	flags.Int64Var(&o.plan.Calls, "calls", 0, "how many calls are measured, in the place of a duration or at most in it; there is no warm-up unless asked for")
	flags.DurationVar(&o.plan.WarmUp, "warm-up", time.Second, "how long calls are made before any is measured")
	flags.DurationVar(&o.plan.Timeout, "timeout", 10*time.Second, "how long a connection, a call, or the next message of a stream may take")
	flags.DurationVar(&o.plan.Deadline, "deadline", 0, "deadline to send with each call (default none)")
	flags.DurationVar(&o.plan.ExpectedInterval, "expected-interval", 0, "correct the latencies of a closed loop for calls that each stream was expected to make this often (default not)")

	flags.IntVar(&o.plan.Keys.Count, "keys", 1, "how many keys there are")
	flags.StringVar(&o.plan.Keys.Prefix, "key-prefix", "bench-", "`TEXT` that keys begin with")
	o.distribution.add(flags, "distribution", "", "how keys are chosen")
	flags.Float64Var(&o.plan.Keys.Skew, "skew", 0.99, "exponent of zipf: the larger, the more calls have the same few keys")
	flags.Uint64Var(&o.plan.Seed, "seed", 1, "seed of what is chosen by chance")

	flags.IntVarP(&o.plan.WindowBits, "window-bits", "w", 30, "flow-control window of a stream: 2 to this power, less one")
	flags.IntVarP(&o.plan.ConnectionWindowBits, "connection-window-bits", "W", 30, "the same of a connection; 16 is HTTP/2's default")

	flags.IntSliceVar(&o.pids, "pid", nil, "`PID` of a process on this machine whose processor time is measured; repeatable")
	flags.StringVar(&o.against, "against", "", "`ADDRESS` of a second server to measure in turn with the first")
	flags.IntSliceVar(&o.againstPIDs, "against-pid", nil, "`PID` of the second server; repeatable")
	flags.IntVar(&o.rounds, "rounds", 1, fmt.Sprintf("how often to measure; %d with --against", pairRounds))
	flags.StringVar(&o.plot, "plot", "", "SVG `FILE` to draw the percentiles of the latency into")

	o.protocol.completeFor(command, "protocol")
	o.distribution.completeFor(command, "distribution")
	completeFile(command, "plot", "svg")
}

func benchArgs(command *cobra.Command, args []string) error {
	mixed := command.Flags().Changed("mix")
	switch {
	case mixed && len(args) > 0:
		return usagef("bench takes INTERFACE.RPC or --mix, not both")
	case mixed:
		return nil
	case len(args) == 0:
		return usagef("bench needs INTERFACE.RPC, or several in --mix")
	}
	return oneArg("INTERFACE.RPC")(command, args)
}

// bench measures and prints.
func (c *cli) bench(ctx context.Context, args []string, o benchOptions) error {
	if len(args) > 0 {
		o.mix = strings.TrimSpace(args[0])
		if strings.ContainsAny(o.mix, "=,") {
			return usagef("%q names no RPC; several of them, with weights, are given with --mix", args[0])
		}
	}
	if err := c.benchPlan(ctx, &o); err != nil {
		return err
	}
	targets, err := o.targets()
	if err != nil {
		return err
	}
	var plot *os.File
	if o.plot != "" {
		// Before the run: nobody wants to learn after it that there is no such folder.
		if plot, err = os.Create(o.plot); err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
		defer func() { _ = plot.Close() }() // it was closed before, unless the run failed
	}
	if o.plan.Threads == 0 {
		o.plan.Threads = min(runtime.NumCPU(), runtime.GOMAXPROCS(0))
	}
	if runtime.GOMAXPROCS(0) <= o.plan.Threads {
		runtime.GOMAXPROCS(o.plan.Threads + 1) // the others are driven by what is left
	}
	progress := newBenchProgress(c.stderr, o.rounds, len(targets))
	report, err := load.Measure(ctx, &o.plan, targets, o.rounds, progress.tell())
	progress.end()
	if report == nil || len(report.Results) == 0 {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("%w\n%s", err, "Is a gateway running there? 'prism serve' starts one, and --address says where it is.")
		}
		return err
	}
	var printed error
	if c.asJSON() {
		printed = c.printJSON(report)
	} else {
		printed = report.WriteText(c.stdout)
	}
	if plot != nil {
		printed = errors.Join(printed, report.WriteSVG(plot), plot.Close())
	}
	switch {
	case err != nil || printed != nil:
		return errors.Join(err, printed)
	case !report.Succeeded():
		return errors.New("no call has succeeded")
	}
	return nil
}

// benchProgress tells on a terminal how far a measurement is.
type benchProgress struct {
	terminal        io.Writer
	rounds, targets int
	written         bool
}

func newBenchProgress(stderr io.Writer, rounds, targets int) *benchProgress {
	p := &benchProgress{rounds: rounds, targets: targets}
	if file, ok := stderr.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.terminal = stderr
		}
	}
	return p
}

// tell returns what load is to call; nil when nobody watches.
func (p *benchProgress) tell() func(int, *load.Target, load.Progress) {
	if p.terminal == nil {
		return nil
	}
	return func(round int, target *load.Target, at load.Progress) {
		p.written = true
		line := at.Elapsed.Round(time.Second).String()
		if at.Planned > 0 {
			line += " of " + at.Planned.Round(time.Second).String()
		}
		if p.rounds > 1 {
			line = fmt.Sprintf("round %d of %d: %s", round+1, p.rounds, line)
		}
		if p.targets > 1 {
			line += " on " + target.Address.String()
		}
		if at.WarmingUp {
			line += ", warming up"
		}
		fmt.Fprintf(p.terminal, "\r\x1b[K%s: %d answered, %d failed", line, at.Answered, at.Failed)
	}
}

func (p *benchProgress) end() {
	if p.written {
		fmt.Fprint(p.terminal, "\r\x1b[K")
	}
}
