package main

import (
	"context"
	"fmt"
	"time"
)

// measureNeighbour measures the time of a call while another client keeps one connection full of valid calls.
func measureNeighbour(ctx context.Context, b *benchmark) error {
	const name = "neighbour"
	x := get(100)
	servers, err := b.startAll(ctx, setting{}, []*exchange{x}, gateway, grpcGo)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	heavy := load{exchange: x, connections: 1, streams: 100}
	runs, rates := make([][]pacedRun, len(servers)), make([][]float64, len(servers))
	for round := range b.rounds {
		for i := range servers {
			i = (i + round) % len(servers)
			run, under, err := b.callBeside(ctx, servers[i], heavy)
			if err != nil {
				return err
			}
			runs[i], rates[i] = append(runs[i], run), append(rates[i], under.rate)
			progress("%s: round %d/%d: %-8s P50 %.3f ms, P99 %.3f ms, beside %.0f/s (%.0f%% of the server's core)",
				name, round+1, b.rounds, servers[i].name, run.p50, run.p99, under.rate, 100*under.server)
		}
	}
	b.report.command(name, pacedCommand(b.loadCore, b.duration)+"; beside it, of the policy SCHED_IDLE: h2load -c 1 -m 100")
	for i, s := range servers {
		p99 := figure{Case: name, Name: s.name + ": P99", Unit: milliseconds, Samples: column(runs[i], pacedRun.atP99)}
		if i == 0 {
			p99.Bar = atMost(1.5)
		}
		b.report.add(figure{Case: name, Name: s.name + ": P50", Unit: milliseconds, Samples: column(runs[i], pacedRun.atP50)})
		b.report.add(p99)
		b.report.add(figure{Case: name, Name: s.name + ": maximum", Unit: milliseconds, Samples: column(runs[i], pacedRun.atMost), Note: lateness(runs[i])})
		b.report.add(figure{Case: name, Name: s.name + ": the other client's calls", Unit: perSecond, Samples: rates[i]})
	}
	b.report.add(figure{
		Case: name, Name: "gateway / grpc-go: P99", Unit: ratio, Bar: atMost(0.4),
		Samples: divide(column(runs[0], pacedRun.atP99), column(runs[1], pacedRun.atP99)),
	})
	return servers[0].checkCounted(ctx)
}

// callBeside makes paced calls to a server while a load is on it. The load yields its core to the paced thread: else the kernel would decide who waits.
func (b *benchmark) callBeside(ctx context.Context, s *server, heavy load) (pacedRun, sample, error) {
	const lead = 300 * time.Millisecond // in which the load gets going, and which it lasts longer
	type outcome struct {
		under sample
		err   error
	}
	ended := make(chan outcome, 1)
	go func() {
		under, err := b.run(ctx, heavy, s, s.address, place{cores: []int{b.loadCore}, yields: true}, b.duration+3*lead)
		ended <- outcome{under, err}
	}()
	select {
	case o := <-ended:
		return pacedRun{}, sample{}, fmt.Errorf("the load ended before it was measured: %w", o.err)
	case <-time.After(lead):
	}
	run, err := pacer{s.name, s, heavy.exchange, dialGRPC}.run(ctx, b.loadCore, b.duration)
	o := <-ended
	if err == nil {
		err = o.err
	}
	return run, o.under, err
}
