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
	const many, directly = "gateway", "32 workers, direct"
	rounds, err := b.alternate(ctx, queueCase, []way{
		{many, func(ctx context.Context) (round, error) {
			return b.reported(ctx, anywhere, b.baseline("queuecycles", append(times, "--address", s.gateway.address)...), s.gateway.command.Process.Pid, s.server.PID())
		}},
		{directly, func(ctx context.Context) (round, error) {
			return b.reported(ctx, anywhere, b.baseline("queuecycles", append(times, "--dsn", testenv.DSN(s.server))...), s.server.PID())
		}},
	})
	if err != nil {
		return err
	}
	b.report.command(queueCase, "bench/baseline/queuecycles: 32 workers, enqueue, lease and acknowledge 100 bytes; direct: insert, update of the first row with skip locked, delete, a connection each; fsync on")
	compared(b.adder(queueCase), rounds, many, directly, atLeast(0.8))
	return s.gateway.checkCounted(ctx)
}
