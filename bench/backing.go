package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prismgate/prism/internal/testenv"
)

// backed is a gateway in front of a real server, the bare echo that the unit E is made of, and the server.
type backed struct {
	server        *testenv.Server
	gateway, echo *server
}

// startBacked starts a server, and a gateway whose namespace "default" is served by it. Config is the instance's, with %s for the address where it has one.
func (b *benchmark) startBacked(ctx context.Context, kind *testenv.Kind, config string, how setting, options ...string) (*backed, error) {
	server, err := testenv.New(ctx, kind, options...)
	if err != nil {
		return nil, err
	}
	s := &backed{server: server}
	if err := server.Start(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := moveTo(server.PID(), b.cores...); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if strings.Contains(config, "%s") {
		config = fmt.Sprintf(config, server.Address())
	}
	how.config = backedConfig(kind.Name, config)
	if kind == testenv.Postgres {
		how.environment = append(how.environment, dsnVariable+"="+testenv.DSN(server))
	}
	if s.gateway, err = b.start(ctx, gateway, how); err != nil {
		return nil, errors.Join(err, s.close())
	}
	echo := get(100)
	if s.echo, err = b.start(ctx, grpcGo, setting{arguments: echo.arguments}); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// backedConfig is the configuration of a gateway with one namespace on one instance.
func backedConfig(backend, config string) string {
	return "backends:\n  - {name: main, type: " + backend + ", config: " + config + "}\nnamespaces:\n  - {name: default, backend: main}\n"
}

func (s *backed) close() error {
	for _, started := range []*server{s.gateway, s.echo} {
		if started != nil {
			started.stop()
		}
	}
	return s.server.Close()
}

// round is what something did in a round: calls a second, and microseconds a call of each process that was looked at.
type round struct {
	rate, p50 float64
	cpu       []float64
}

func (r round) perSecond() float64 { return r.rate }
func (r round) atP50() float64     { return r.p50 }

// cpuOf is the time of the i-th process; cpuOfAll of all.
func cpuOf(i int) func(round) float64 { return func(r round) float64 { return r.cpu[i] } }

func cpuOfAll(r round) float64 {
	sum := 0.0
	for _, one := range r.cpu {
		sum += one
	}
	return sum
}

// madeOf is a round of so many calls.
func madeOf(calls int64, took time.Duration, cpu []time.Duration, p50 float64) round {
	r := round{rate: float64(calls) / took.Seconds(), p50: p50}
	for _, used := range cpu {
		r.cpu = append(r.cpu, float64(used.Nanoseconds())/1e3/float64(max(calls, 1)))
	}
	return r
}

// loaded puts `prism bench` on an address, and looks at some processes meanwhile. The warm-up is a run of its own: what is used in it does not count.
func (b *benchmark) loaded(ctx context.Context, calls byPrism, at place, address string, pids ...int) (round, error) {
	if _, err := calls.run(ctx, b, at, address, warmUp); err != nil {
		return round{}, err
	}
	var made int64
	var p50, seconds float64
	cpu, _, err := used(pids, func() error {
		sample, err := calls.run(ctx, b, at, address, b.duration)
		if err == nil {
			made, p50, seconds = sample.Calls, sample.Latency.P50, sample.Seconds
		}
		return err
	})
	if err != nil {
		return round{}, err
	}
	return madeOf(made, time.Duration(seconds*float64(time.Second)), cpu, p50), nil
}

// way is one of those that take turns in a case.
type way struct {
	name string
	run  func(context.Context) (round, error)
}

// alternate measures ways in turn, round after round.
func (b *benchmark) alternate(ctx context.Context, name string, ways []way) (map[string][]round, error) {
	rounds := map[string][]round{}
	for n := range b.rounds + 1 {
		for i := range ways {
			w := ways[(i+n)%len(ways)] // nobody is always the one after the heaviest
			got, err := w.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			if n == 0 {
				continue // the first one warms everything up
			}
			rounds[w.name] = append(rounds[w.name], got)
			progress("%s: round %d/%d: %-40s %8.0f/s, P50 %.3f ms, CPU %s us", name, n, b.rounds, w.name, got.rate, got.p50, joined(got.cpu))
		}
	}
	return rounds, nil
}

func joined(values []float64) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = strconv.FormatFloat(value, 'f', 2, 64)
	}
	return strings.Join(texts, " + ")
}
