package main

import (
	"context"
	"errors"

	"github.com/prismgate/prism/internal/testenv"
)

const queueCase = "postgres-queue"

// measureQueue measures full cycles of a queue on a Postgres that flushes every commit: enqueue, lease, acknowledge, by 32 workers, through the gateway and with statements of their own.
// Nothing is pinned.
func measureQueue(ctx context.Context, b *benchmark) (err error) {
	s, err := b.startBacked(ctx, testenv.Postgres, postgresConfig, setting{free: true}, "-c", "fsync=on")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	anywhere := place{cores: b.cores}
	times := []string{"--duration", b.duration.String(), "--warm-up", warmUp.String()}
	const many, directly, plain = "gateway", "32 workers, the same statements direct", "32 workers, three plain statements direct"
	rounds, err := b.alternate(ctx, queueCase, []way{
		{many, func(ctx context.Context) (round, error) {
			return b.reported(ctx, anywhere, b.baseline("queuecycles", append(times, "--address", s.gateway.address)...), s.gateway.command.Process.Pid, s.server.PID())
		}},
		{directly, func(ctx context.Context) (round, error) {
			return b.reported(ctx, anywhere, b.baseline("queuecycles", append(times, "--same", "--dsn", testenv.DSN(s.server))...), s.server.PID())
		}},
		{plain, func(ctx context.Context) (round, error) {
			return b.reported(ctx, anywhere, b.baseline("queuecycles", append(times, "--dsn", testenv.DSN(s.server))...), s.server.PID())
		}},
	})
	if err != nil {
		return err
	}
	b.report.command(queueCase, "bench/baseline/queuecycles: 32 workers, enqueue, lease and acknowledge 100 bytes; direct: the backend's statements, each call by itself, and insert, update of the first row with skip locked, delete; a connection each; fsync on")
	add := b.adder(queueCase)
	compared(add, rounds, many, directly, atLeast(0.8))
	add(plain+": calls", perSecond, column(rounds[plain], round.perSecond), nil, "no order, no idempotency keys, no dead letters, no priorities")
	add(many+" / "+plain+": calls", ratio, divide(column(rounds[many], round.perSecond), column(rounds[plain], round.perSecond)), nil, "")
	return s.gateway.checkCounted(ctx)
}
