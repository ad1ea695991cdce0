package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/prismgate/prism/internal/testenv"
)

const (
	redisCase           = "redis"
	redisNamespacesCase = "redis-namespaces"
	redisConfig         = "{address: '%s'}"
)

// measureRedis measures Get through the gateway beside the same from as many connections of their own, and the latency that the gateway adds for one caller. Whoever serves the
// callers has core 0: the gateway, or Redis itself. All else is on core 1.
func measureRedis(ctx context.Context, b *benchmark) (err error) {
	if !installed("redis-benchmark") {
		return errors.New("redis-benchmark is not installed: apt-get install redis-tools")
	}
	s, err := b.startBacked(ctx, testenv.Redis, redisConfig, setting{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := b.fillKeys(ctx, s.gateway.address); err != nil {
		return err
	}
	redis := redisBenchmark{b, s.server}
	if err := redis.fill(ctx); err != nil {
		return err
	}
	load, front := place{cores: []int{b.loadCore}}, place{cores: []int{b.serverCore}}
	through := func(connections, streams int) func(context.Context) (round, error) {
		return func(ctx context.Context) (round, error) {
			if err := moveTo(s.server.PID(), load.cores...); err != nil {
				return round{}, err
			}
			return b.loaded(ctx, randomGet(connections, streams), load, s.gateway.address, s.gateway.command.Process.Pid, s.server.PID())
		}
	}
	direct := func(connections int) func(context.Context) (round, error) {
		return func(ctx context.Context) (round, error) {
			if err := moveTo(s.server.PID(), front.cores...); err != nil {
				return round{}, err
			}
			return redis.get(ctx, load, connections)
		}
	}
	const echo, many, one, directly, directlyOne = "grpc-go echo", "gateway", "gateway, one caller", "128 connections, direct", "one connection, direct"
	rounds, err := b.alternate(ctx, redisCase, []way{
		{many, through(4, 32)},
		{directly, direct(128)},
		{echo, func(ctx context.Context) (round, error) {
			return b.loaded(ctx, randomGet(4, 32), load, s.echo.address, s.echo.command.Process.Pid)
		}},
		{one, through(1, 1)},
		{directlyOne, direct(1)},
	})
	if err != nil {
		return err
	}
	b.report.command(redisCase, "prism bench keyvalue_basic.Get, 4 x 32 and 1 x 1, random of 10,000 keys; redis-benchmark -t get -c 128 (and 1) -r 10000 -d 100")
	add := b.adder(redisCase)
	add(many+": calls", perSecond, column(rounds[many], round.perSecond), nil, "")
	add(directly+": calls", perSecond, column(rounds[directly], round.perSecond), nil, "")
	add(many+" / "+directly+": calls", ratio, divide(column(rounds[many], round.perSecond), column(rounds[directly], round.perSecond)), atLeast(1.2), "")
	add(echo+": CPU per call", microseconds, column(rounds[echo], cpuOf(0)), nil, "E")
	add(many+": CPU per call", microseconds, column(rounds[many], cpuOf(0)), nil, "the gateway's process")
	add(many+" / "+echo+": CPU per call", ratio, divide(column(rounds[many], cpuOf(0)), column(rounds[echo], cpuOf(0))), atMost(0.8), "")
	add("Redis behind the gateway: CPU per call", microseconds, column(rounds[many], cpuOf(1)), nil, "")
	add("Redis, "+directly+": CPU per call", microseconds, column(rounds[directly], cpuOf(0)), nil, "")
	add("Redis, behind the gateway / direct: CPU per call", ratio, divide(column(rounds[many], cpuOf(1)), column(rounds[directly], cpuOf(0))), atMost(0.25), "")
	added := make([]float64, b.rounds)
	for i := range added {
		added[i] = 1e3 * (rounds[one][i].p50 - rounds[directlyOne][i].p50)
	}
	add("one caller: P50 through the gateway", milliseconds, column(rounds[one], round.atP50), nil, "")
	add("one caller: P50 direct", milliseconds, column(rounds[directlyOne], round.atP50), nil, "redis-benchmark")
	add("one caller: P50 added by the gateway", microseconds, added, atMost(100), "")
	return s.gateway.checkCounted(ctx)
}

// adder adds figures of a case.
func (b *benchmark) adder(name string) func(figureName, unit string, samples []float64, limit *bar, note string) {
	return func(figureName, unit string, samples []float64, limit *bar, note string) {
		b.report.add(figure{Case: name, Name: figureName, Unit: unit, Samples: samples, Bar: limit, Note: note})
	}
}

// redisBenchmark is Redis' own load generator: each of its connections makes a call when the one before is answered.
type redisBenchmark struct {
	b      *benchmark
	server *testenv.Server
}

// fill stores 100 bytes under each of its own keys.
func (r redisBenchmark) fill(ctx context.Context) error {
	_, err := r.run(ctx, place{cores: r.b.cores}, "set", 50, 20*manyKeys)
	return err
}

// get makes calls for about the duration of a round.
func (r redisBenchmark) get(ctx context.Context, at place, connections int) (round, error) {
	const few = 20_000
	began := time.Now()
	if _, err := r.run(ctx, at, "get", connections, few); err != nil {
		return round{}, err
	}
	calls := int(float64(few) * r.b.duration.Seconds() / time.Since(began).Seconds())
	var got redisReport
	cpu, _, err := used([]int{r.server.PID()}, func() (err error) {
		got, err = r.run(ctx, at, "get", connections, calls)
		return err
	})
	if err != nil {
		return round{}, err
	}
	return madeOf(int64(calls), time.Duration(float64(calls)/got.rate*float64(time.Second)), cpu, got.p50), nil
}

// redisReport is what redis-benchmark says: calls a second, and the median of their times in milliseconds.
type redisReport struct{ rate, p50 float64 }

func (r redisBenchmark) run(ctx context.Context, at place, test string, connections, calls int) (redisReport, error) {
	command := exec.CommandContext(ctx, "redis-benchmark", "-p", strconv.Itoa(r.server.Port), "-t", test, "-c", strconv.Itoa(connections),
		"-n", strconv.Itoa(calls), "-r", strconv.Itoa(manyKeys), "-d", "100", "--csv")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := at.start(command); err != nil {
		return redisReport{}, err
	}
	if err := command.Wait(); err != nil {
		return redisReport{}, fmt.Errorf("redis-benchmark: %w: %s", err, output.String())
	}
	return parseRedisBenchmark(output.String())
}

// parseRedisBenchmark reads lines of "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms", ...
func parseRedisBenchmark(output string) (redisReport, error) {
	from := strings.Index(output, `"test"`)
	if from < 0 {
		return redisReport{}, fmt.Errorf("redis-benchmark says: %s", output)
	}
	lines, err := csv.NewReader(strings.NewReader(output[from:])).ReadAll()
	if err != nil || len(lines) != 2 || len(lines[1]) < 5 {
		return redisReport{}, fmt.Errorf("redis-benchmark says: %s", output)
	}
	rate, err1 := strconv.ParseFloat(lines[1][1], 64)
	p50, err2 := strconv.ParseFloat(lines[1][4], 64)
	return redisReport{rate, p50}, errors.Join(err1, err2)
}

// measureRedisNamespaces measures what a gateway holds whose thousand namespaces are on one Redis.
func measureRedisNamespaces(ctx context.Context, b *benchmark) (err error) {
	server, err := testenv.New(ctx, testenv.Redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	if err := server.Start(ctx); err != nil {
		return err
	}
	config := strings.Replace(namespacesConfig(manyNamespaces, aMillion), "{name: main, type: memstore}",
		"{name: main, type: redis, config: "+fmt.Sprintf(redisConfig, server.Address())+"}", 1)
	x := get(100)
	var called []float64
	for n := range b.rounds {
		held, err := func() (float64, error) {
			s, err := b.start(ctx, gateway, setting{config: config, flags: []string{"--watch=false"}})
			if err != nil {
				return 0, err
			}
			defer s.stop()
			if err := s.prepareIn(ctx, namespaceNames(manyNamespaces), x); err != nil {
				return 0, fmt.Errorf("%w\n%s", err, s.log)
			}
			time.Sleep(settle)
			return s.rss()
		}()
		if err != nil {
			return err
		}
		called = append(called, held/1e6)
		progress("%s: round %d/%d: %.1f MB", redisNamespacesCase, n+1, b.rounds, held/1e6)
	}
	b.report.command(redisNamespacesCase, fmt.Sprintf("%d namespaces with limits on one Redis; Set and Get in each; VmRSS %s later", manyNamespaces, settle))
	b.adder(redisNamespacesCase)("1000 namespaces on one Redis: RSS, each called", megabytes, called, atMost(200), "")
	return nil
}
