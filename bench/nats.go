package main

import (
	"context"
	"errors"

	"github.com/prismgate/prism/internal/testenv"
)

const (
	natsCase   = "nats"
	natsConfig = "{urls: ['nats://%s']}"
)

// measureNATS measures publications that JetStream acknowledges, through the gateway, and from as many publishers each on a connection of its own, and all on one. Nothing is pinned.
func measureNATS(ctx context.Context, b *benchmark) (err error) {
	s, err := b.startBacked(ctx, testenv.NATS, natsConfig, setting{free: true}, natsOptions...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	anywhere := place{cores: b.cores}
	publish := byPrism{"pubsub_persistent.PublishPersistent", `{"topic": "bench", "payload": "{{bytes 100}}"}`, 4, 32}
	url := "nats://" + s.server.Address()
	times := []string{"--duration", b.duration.String(), "--warm-up", warmUp.String(), "--url", url}
	const many, own, shared = "gateway", "128 publishers, a connection each", "128 publishers, one connection"
	rounds, err := b.alternate(ctx, natsCase, []way{
		{many, func(ctx context.Context) (round, error) {
			return b.loaded(ctx, publish, anywhere, s.gateway.address, s.gateway.command.Process.Pid, s.server.PID())
		}},
		{own, func(ctx context.Context) (round, error) {
			return b.reported(ctx, anywhere, b.baseline("natspublish", times...), s.server.PID())
		}},
		{shared, func(ctx context.Context) (round, error) {
			return b.reported(ctx, anywhere, b.baseline("natspublish", append(times, "--shared")...), s.server.PID())
		}},
	})
	if err != nil {
		return err
	}
	b.report.command(natsCase, "prism bench pubsub_persistent.PublishPersistent, 4 x 32, 100 bytes to one topic; bench/baseline/natspublish: jetstream.Publish of nats.go by 128 goroutines; nothing pinned")
	add := b.adder(natsCase)
	compared(add, rounds, many, own, atLeast(1))
	add(shared+": calls", perSecond, column(rounds[shared], round.perSecond), nil, "")
	add(many+" / "+shared+": calls", ratio, divide(column(rounds[many], round.perSecond), column(rounds[shared], round.perSecond)), nil, "")
	for _, name := range []string{many, own, shared} {
		add(name+": CPU per call, client or gateway, and server", microseconds, column(rounds[name], cpuOfAll), nil, "")
	}
	return s.gateway.checkCounted(ctx)
}

// natsOptions let a message have 1 MiB beside what goes with it, which the gateway demands.
var natsOptions = []string{"max_payload: 8MB"}
