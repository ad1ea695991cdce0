package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prismgate/prism/internal/testenv"
)

const (
	postgresCase = "postgres"
	// dsnVariable carries the DSN to the gateway: a configuration holds no secret, and a DSN may be one.
	dsnVariable    = "PRISM_BENCH_DSN"
	postgresConfig = "{dsn: {env: " + dsnVariable + "}}"
)

// measurePostgres measures single reads through the gateway beside the same from as many callers over a small pool, one query a round trip. Nothing is pinned.
func measurePostgres(ctx context.Context, b *benchmark) (err error) {
	s, err := b.startBacked(ctx, testenv.Postgres, postgresConfig, setting{free: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := b.fillKeys(ctx, s.gateway.address); err != nil {
		return err
	}
	direct := b.baseline("postgresget", "--dsn", testenv.DSN(s.server), "--keys", strconv.Itoa(manyKeys), "--duration", b.duration.String(), "--warm-up", warmUp.String())
	if err := b.tool(ctx, direct[0], append(direct[1:], "--fill")...); err != nil {
		return err
	}
	anywhere := place{cores: b.cores}
	const many, directly = "gateway", "128 callers on a pool of 8, direct"
	rounds, err := b.alternate(ctx, postgresCase, []way{
		{many, func(ctx context.Context) (round, error) {
			return b.loaded(ctx, randomGet(4, 32), anywhere, s.gateway.address, s.gateway.command.Process.Pid, s.server.PID())
		}},
		{directly, func(ctx context.Context) (round, error) { return b.reported(ctx, anywhere, direct, s.server.PID()) }},
	})
	if err != nil {
		return err
	}
	b.report.command(postgresCase, "prism bench keyvalue_basic.Get, 4 x 32, random of 10,000 keys; bench/baseline/postgresget: 128 goroutines, pgxpool of 8, one query a round trip; nothing pinned")
	add := b.adder(postgresCase)
	compared(add, rounds, many, directly, atLeast(1.5))
	add(many+": CPU per call, gateway and Postgres", microseconds, column(rounds[many], cpuOfAll), nil, "")
	add(directly+": CPU per call, callers and Postgres", microseconds, column(rounds[directly], cpuOfAll), nil, "")
	add(many+" / "+directly+": CPU per call", ratio, divide(column(rounds[many], cpuOfAll), column(rounds[directly], cpuOfAll)), atMost(0.5), "")
	return s.gateway.checkCounted(ctx)
}

// compared adds the rates of two ways, and their ratio.
func compared(add func(string, string, []float64, *bar, string), rounds map[string][]round, one, other string, limit *bar) {
	add(one+": calls", perSecond, column(rounds[one], round.perSecond), nil, "")
	add(other+": calls", perSecond, column(rounds[other], round.perSecond), nil, "")
	add(one+" / "+other+": calls", ratio, divide(column(rounds[one], round.perSecond), column(rounds[other], round.perSecond)), limit, "")
}

// baseline is the command line of one of the programs in bench/baseline.
func (b *benchmark) baseline(name string, arguments ...string) []string {
	return append([]string{filepath.Join(b.bin, name)}, arguments...)
}

// reported runs a baseline that says when it begins and ends to count. The processor time is its own and that of some other processes.
func (b *benchmark) reported(ctx context.Context, at place, line []string, pids ...int) (round, error) {
	command := exec.CommandContext(ctx, line[0], line[1:]...)
	output, err := command.StdoutPipe()
	if err != nil {
		return round{}, err
	}
	var said journal
	command.Stderr = &said
	if err := at.start(command); err != nil {
		return round{}, err
	}
	words := bufio.NewScanner(output)
	var calls int64
	var seconds float64
	cpu, _, err := func() ([]time.Duration, time.Duration, error) {
		if !words.Scan() || words.Text() != "begin" {
			return nil, 0, errors.New("it has not begun")
		}
		return used(append([]int{command.Process.Pid}, pids...), func() error {
			if !words.Scan() {
				return errors.New("it has not ended")
			}
			_, err := fmt.Sscanf(words.Text(), "end %d %f", &calls, &seconds)
			return err
		})
	}()
	if err2 := command.Wait(); err != nil || err2 != nil {
		return round{}, fmt.Errorf("%s: %w: %s", filepath.Base(line[0]), errors.Join(err, err2), said.String())
	}
	return madeOf(calls, time.Duration(seconds*float64(time.Second)), cpu, 0), nil
}
