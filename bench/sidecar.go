package main

import (
	"context"
	"errors"
)

const (
	sidecarCase   = "sidecar"
	sidecarConfig = "backends:\n  - {name: memstore, deployment: sidecar}\nnamespaces:\n  - {name: default, backend: memstore}\n"
)

// measureSidecar measures Get on MemStore in a process of its own, beside the same in the gateway's. The gateway and its sidecar share the servers' core.
func measureSidecar(ctx context.Context, b *benchmark) error {
	inside, err := b.start(ctx, gateway, setting{})
	if err != nil {
		return err
	}
	defer inside.stop()
	beside, err := b.start(ctx, gateway, setting{config: sidecarConfig})
	if err != nil {
		return err
	}
	defer beside.stop()
	echo, err := b.start(ctx, grpcGo, setting{arguments: get(100).arguments})
	if err != nil {
		return err
	}
	defer echo.stop()
	if err := errors.Join(b.fillKeys(ctx, inside.address), b.fillKeys(ctx, beside.address)); err != nil {
		return err
	}
	load := place{cores: []int{b.loadCore}}
	on := func(s *server, connections, streams int) func(context.Context) (round, error) {
		return func(ctx context.Context) (round, error) {
			return b.loaded(ctx, randomGet(connections, streams), load, s.address, s.command.Process.Pid)
		}
	}
	const many, bare, one, oneInside = "gateway with sidecar", "grpc-go echo", "sidecar, one caller", "in-process, one caller"
	rounds, err := b.alternate(ctx, sidecarCase, []way{{many, on(beside, 4, 32)}, {bare, on(echo, 4, 32)}, {one, on(beside, 1, 1)}, {oneInside, on(inside, 1, 1)}})
	if err != nil {
		return err
	}
	b.report.command(sidecarCase, "prism bench keyvalue_basic.Get, 4 x 32 and 1 x 1, random of 10,000 keys; gateway and sidecar on one core")
	add := b.adder(sidecarCase)
	add(many+": calls", perSecond, column(rounds[many], round.perSecond), nil, "")
	add(bare+": CPU per call", microseconds, column(rounds[bare], cpuOf(0)), nil, "E")
	add(many+": CPU per call", microseconds, column(rounds[many], cpuOf(0)), nil, "both processes")
	add(many+" / "+bare+": CPU per call", ratio, divide(column(rounds[many], cpuOf(0)), column(rounds[bare], cpuOf(0))), atMost(1.5), "")
	added := make([]float64, b.rounds)
	for i := range added {
		added[i] = 1e3 * (rounds[one][i].p50 - rounds[oneInside][i].p50)
	}
	add("one caller: P50 in-process", milliseconds, column(rounds[oneInside], round.atP50), nil, "")
	add("one caller: P50 with sidecar", milliseconds, column(rounds[one], round.atP50), nil, "")
	add("one caller: P50 added by the sidecar", microseconds, added, atMost(100), "")
	return beside.checkCounted(ctx)
}
