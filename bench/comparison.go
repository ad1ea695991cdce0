package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// comparison is a case in which servers take turns under the same load of h2load.
type comparison struct {
	name string
	load load
	// servers are those that are measured, beside the gateway, which is first.
	servers []string
	how     setting
	// delay is added to each direction by a proxy before the server.
	delay time.Duration
	// latency reports the mean time of a call too.
	latency bool
	bars    bars
}

// bars are what the gateway is held to, as multiples of another server's figures in the same round; nil is no bar.
type bars struct {
	against            string
	rate, cpu, latency *bar
}

// mebibyte is the largest value that a key can have.
const mebibyte = 1 << 20

// comparisons are the cases, in the order of the report. A load of 4 x 32 is 4 connections with 32 calls at once each.
func comparisons() []comparison {
	small, stream := get(100), scan(4000)
	large, store := get(mebibyte), set(mebibyte)
	return []comparison{
		{
			name: "grpc", load: load{exchange: small, connections: 4, streams: 32}, servers: []string{grpcGo, tonic, connectGo},
			bars: bars{against: grpcGo, rate: atLeast(2), cpu: atMost(0.5)},
		},
		{
			name: "grpc-1x128", load: load{exchange: small, connections: 1, streams: 128}, servers: []string{grpcGo, tonic},
			bars: bars{against: grpcGo, rate: atLeast(2)},
		},
		{
			name: "grpc-100x4", load: load{exchange: small, connections: 100, streams: 4}, servers: []string{grpcGo, tonic},
			bars: bars{against: grpcGo, rate: atLeast(2.2)},
		},
		{
			name: "grpc-two-cores", load: load{exchange: small, connections: 4, streams: 32}, servers: []string{grpcGo}, how: setting{free: true},
			bars: bars{against: grpcGo, cpu: atMost(0.45)},
		},
		{
			name: "tls", load: load{exchange: small, connections: 4, streams: 32}, servers: []string{grpcGo}, how: setting{secure: true},
			bars: bars{against: grpcGo, rate: atLeast(2.5)},
		},
		{
			name: "tls-100x4", load: load{exchange: small, connections: 100, streams: 4}, servers: []string{grpcGo}, how: setting{secure: true},
			bars: bars{against: grpcGo, rate: atLeast(2)},
		},
		{
			name: "one-caller", load: load{exchange: small, connections: 1, streams: 1}, servers: []string{grpcGo, tonic}, latency: true,
			bars: bars{against: grpcGo, latency: atMost(0.9)},
		},
		{
			name: "get-1mib", load: load{exchange: large, connections: 4, streams: 4}, servers: []string{grpcGo},
			bars: bars{against: grpcGo, rate: atLeast(1)},
		},
		{
			name: "set-1mib", load: load{exchange: store, connections: 4, streams: 4}, servers: []string{grpcGo},
			bars: bars{against: grpcGo, rate: atLeast(1)},
		},
		{
			name: "get-1mib-64k", load: load{exchange: large, connections: 4, streams: 4, narrow: true}, servers: []string{grpcGo},
			bars: bars{against: grpcGo, rate: atLeast(1)},
		},
		{
			name: "set-1mib-64k", load: load{exchange: store, connections: 4, streams: 4, narrow: true}, servers: []string{grpcGo},
			bars: bars{against: grpcGo, rate: atLeast(1)},
		},
		{
			name: "set-1mib-delayed", load: load{exchange: store, connections: 1, streams: 1}, servers: []string{grpcGo}, delay: 2500 * time.Microsecond,
			bars: bars{against: grpcGo, rate: atLeast(1)},
		},
		{
			name: "stream", load: load{exchange: stream, connections: 4, streams: 8}, servers: []string{grpcGo},
			bars: bars{against: grpcGo, rate: atLeast(2)},
		},
		{
			name: "connect-http2", load: load{exchange: small, connections: 4, streams: 32, connect: true}, servers: []string{connectGo},
			bars: bars{against: connectGo, rate: atLeast(3)},
		},
		{
			// As many calls at once as 4 connections of 32 streams have.
			name: "connect", load: load{exchange: small, connections: 4 * 32, streams: 1, http1: true}, servers: []string{connectGo},
			bars: bars{against: connectGo, rate: atLeast(0.85)},
		},
	}
}

// place is where h2load runs.
func (c comparison) place(b *benchmark) place {
	if c.how.free {
		return place{cores: b.cores}
	}
	return place{cores: []int{b.loadCore}}
}

// measure puts the load on the servers in turn, round after round.
func (c comparison) measure(ctx context.Context, b *benchmark) error {
	names, err := b.available(ctx, c.name, append([]string{gateway}, c.servers...))
	if err != nil {
		return err
	}
	servers, err := b.startAll(ctx, c.how, []*exchange{c.load.exchange}, names...)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	addresses := make([]string, len(servers))
	for i, s := range servers {
		addresses[i] = s.address
		if c.delay > 0 {
			p, err := startProxy(ctx, s.address, c.delay)
			if err != nil {
				return err
			}
			defer p.close()
			addresses[i] = p.address()
		}
	}
	samples, err := b.takeTurns(c.name, names, func(i int, duration time.Duration) (sample, error) {
		return b.run(ctx, c.load, servers[i], addresses[i], c.place(b), duration)
	})
	if err != nil {
		return err
	}
	line := strings.Join(c.load.command(servers[0].scheme()+"://HOST:PORT", ".build/bench", b.duration), " ")
	if c.delay > 0 {
		line += fmt.Sprintf(", through a proxy that holds every byte back for %s", c.delay)
	}
	b.report.command(c.name, line)
	c.report(b.report, names, samples)
	return b.checkAfter(ctx, c.name, servers)
}

// takeTurns measures some things in turn, round after round, and warms each of them up before.
func (b *benchmark) takeTurns(name string, of []string, measure func(i int, duration time.Duration) (sample, error)) ([][]sample, error) {
	for i, each := range of {
		progress("%s: warming %s up", name, each)
		if _, err := measure(i, b.duration/3); err != nil {
			return nil, err
		}
	}
	samples := make([][]sample, len(of))
	for round := range b.rounds {
		for i := range of {
			i = (i + round) % len(of) // nobody is always the one after the heaviest
			got, err := measure(i, b.duration)
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], got)
			progress("%s: round %d/%d: %-10s %7.0f/s, %6.2f us", name, round+1, b.rounds, of[i], got.rate, float64(got.cpu)/1e3)
		}
	}
	return samples, nil
}

// checkAfter reports what memory servers hold after a load, and fails when they count calls that have failed.
func (b *benchmark) checkAfter(ctx context.Context, name string, servers []*server) error {
	for _, s := range servers {
		held, err := s.rss()
		if err != nil {
			return err
		}
		b.report.add(figure{Case: name, Name: s.name + ": RSS after load", Unit: megabytes, Samples: []float64{held / 1e6}})
		if err := s.checkCounted(ctx); err != nil {
			return err
		}
	}
	return nil
}

// report adds what each server did, and the gateway's figures as multiples of the others'.
func (c comparison) report(r *report, names []string, samples [][]sample) {
	what, each := "calls", "CPU per call"
	if len(c.load.exchange.responses) > 1 {
		what, each = "messages", "CPU per message"
	}
	latency := func(s sample) float64 { return 1e6 / s.rate }
	for i, name := range names {
		r.add(figure{Case: c.name, Name: name + ": " + what, Unit: perSecond, Samples: column(samples[i], sample.perSecond), Note: shares(samples[i])})
		f := figure{Case: c.name, Name: name + ": " + each, Unit: microseconds, Samples: column(samples[i], sample.cost)}
		if name == grpcGo {
			f.Note = "E"
		}
		r.add(f)
		if c.latency {
			r.add(figure{Case: c.name, Name: name + ": mean latency", Unit: microseconds, Samples: column(samples[i], latency)})
		}
	}
	for i, name := range names[1:] {
		ratioOf := func(what string, of func(sample) float64, limit *bar) {
			f := figure{Case: c.name, Name: "gateway / " + name + ": " + what, Unit: ratio, Samples: divide(column(samples[0], of), column(samples[i+1], of))}
			if name == c.bars.against {
				f.Bar = limit
			}
			r.add(f)
		}
		ratioOf(what, sample.perSecond, c.bars.rate)
		ratioOf(each, sample.cost, c.bars.cpu)
		if c.latency {
			ratioOf("mean latency", latency, c.bars.latency)
		}
	}
}

// column is one figure of every round.
func column[T any](rounds []T, of func(T) float64) []float64 {
	values := make([]float64, len(rounds))
	for i, round := range rounds {
		values[i] = of(round)
	}
	return values
}
