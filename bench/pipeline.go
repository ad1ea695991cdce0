package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pipelineConfig is a gateway whose whole pipeline is on: metrics and the default access log are on anyway, and each limit of a namespace is set, far away.
const pipelineConfig = `namespaces:
  - name: default
    backend: memstore
    limits: {calls_per_second: 1000000000, max_concurrent_calls: 100000, max_message_bytes: 1048576}
`

// variant is the gateway of the case with something else besides.
type variant struct {
	name string
	how  setting
	// limit is the bar of its CPU per call, as a multiple of the bare echo's; nil for none.
	limit *bar
}

const tracedVariant = "gateway, tracing at 1%"

// pipelineVariants are what else can be on. A deadline is the last step of the pipeline; the bar holds for it too, though no caller asks for it here.
func pipelineVariants(collector, log string) []variant {
	logged := pipelineConfig + "observability: {access_log: {calls: all}}\n"
	return []variant{
		{"gateway, default_deadline", setting{config: strings.Replace(pipelineConfig, "limits: {", "limits: {default_deadline: 10s, ", 1)}, atMost(0.6)},
		{tracedVariant, setting{config: pipelineConfig + "observability: {tracing: {endpoint: '" + collector + "', sample_ratio: 0.01}}\n"}, nil},
		{"gateway, all calls logged to /dev/null", setting{config: logged, logTo: os.DevNull}, nil},
		{"gateway, all calls logged to a file", setting{config: logged, logTo: log}, nil},
	}
}

// measurePipeline measures what a call costs with the whole pipeline on, beside the bare echo, and what tracing and the full access log add to that.
func measurePipeline(ctx context.Context, b *benchmark) (err error) {
	c := comparison{
		name: "pipeline", load: load{exchange: get(100), connections: 4, streams: 32}, how: setting{config: pipelineConfig},
		bars: bars{against: grpcGo, rate: atLeast(1.7), cpu: atMost(0.6)},
	}
	collector, err := startSink(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, collector.close()) }()
	log := filepath.Join(b.bin, "access.log")
	defer func() { _ = os.Remove(log) }() // one that stays is in a folder of files that were built

	exchanges := []*exchange{c.load.exchange}
	servers, err := b.startAll(ctx, c.how, exchanges, gateway, grpcGo)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	variants := pipelineVariants(collector.endpoint(), log)
	for _, v := range variants {
		more, err := b.startAll(ctx, v.how, exchanges, gateway)
		servers = append(servers, more...)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		more[0].name = v.name
	}
	names := make([]string, len(servers))
	for i, s := range servers {
		names[i] = s.name
	}
	samples, err := b.takeTurns(c.name, names, func(i int, duration time.Duration) (sample, error) {
		got, err := b.run(ctx, c.load, servers[i], servers[i].address, c.place(b), duration)
		return got, errors.Join(err, os.Truncate(log, 0)) // before the kernel begins to write it to the disk
	})
	if err != nil {
		return err
	}
	b.report.command(c.name, strings.Join(c.load.command("http://HOST:PORT", ".build/bench", b.duration), " "))
	c.report(b.report, names[:2], samples[:2])
	plain, echo := column(samples[0], sample.cost), column(samples[1], sample.cost)
	for i, v := range variants {
		of := samples[2+i]
		cost := column(of, sample.cost)
		b.report.add(figure{Case: c.name, Name: v.name + ": calls", Unit: perSecond, Samples: column(of, sample.perSecond), Note: shares(of)})
		b.report.add(figure{Case: c.name, Name: v.name + ": CPU per call", Unit: microseconds, Samples: cost})
		b.report.add(figure{Case: c.name, Name: v.name + " / gateway: CPU per call", Unit: ratio, Samples: divide(cost, plain)})
		b.report.add(figure{Case: c.name, Name: v.name + " / grpc-go: CPU per call", Unit: ratio, Samples: divide(cost, echo), Bar: v.limit})
	}
	if err := collector.report(ctx, b.report, c.name, servers[slices.Index(names, tracedVariant)]); err != nil {
		return err
	}
	return b.checkAfter(ctx, c.name, servers)
}
