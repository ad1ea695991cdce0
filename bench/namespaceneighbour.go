package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	namespaceNeighbourCase = "namespace-neighbour"
	limitedNamespace       = "limited"
	refusedForRate         = "RESOURCE_EXHAUSTED"
	// namespaceNeighbourConfig has a namespace that is measured, and one that is limited.
	namespaceNeighbourConfig = `namespaces:
  - {name: default, backend: memstore}
  - {name: limited, backend: memstore, limits: {calls_per_second: 2000}}
`
)

// measureNamespaceNeighbour measures the time of calls in one namespace, alone, and while another one is offered ten times what it may have.
func measureNamespaceNeighbour(ctx context.Context, b *benchmark) error {
	const name = namespaceNeighbourCase
	x := get(100)
	servers, err := b.startAll(ctx, setting{config: namespaceNeighbourConfig}, []*exchange{x}, gateway)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	s := servers[0]
	if err := s.prepareIn(ctx, []string{limitedNamespace}, x); err != nil {
		return err
	}
	greedy := offered{namespace: limitedNamespace, rate: 20_000, connections: 4, streams: 32}
	measured := pacer{"the other namespace", s, x, dialGRPC}
	var alone, beside []pacedRun
	var outcomes []outcome
	for round := range b.rounds {
		// Who goes first changes with each round.
		for _, crowded := range []bool{round%2 == 1, round%2 == 0} {
			if !crowded {
				run, err := measured.run(ctx, b.loadCore, b.duration)
				if err != nil {
					return err
				}
				alone = append(alone, run)
				continue
			}
			run, became, err := greedy.beside(ctx, b, measured)
			if err != nil {
				return err
			}
			beside, outcomes = append(beside, run), append(outcomes, became)
		}
		progress("%s: round %d/%d: P99 alone %.3f ms, beside %.3f ms; of %.0f/s, %.0f/s were let in",
			name, round+1, b.rounds, alone[round].p99, beside[round].p99, outcomes[round].made, outcomes[round].let)
	}
	b.report.command(name, pacedCommand(b.loadCore, b.duration)+"; beside it, of the policy SCHED_IDLE: "+
		strings.Join(greedy.command("prism", "HOST:PORT", besideLead, b.duration+besideLead), " "))
	add := func(name, unit string, samples []float64, limit *bar, note string) {
		b.report.add(figure{Case: namespaceNeighbourCase, Name: name, Unit: unit, Samples: samples, Bar: limit, Note: note})
	}
	for _, way := range []struct {
		name string
		runs []pacedRun
	}{{"alone", alone}, {"beside", beside}} {
		add(way.name+": P50", milliseconds, column(way.runs, pacedRun.atP50), nil, "")
		add(way.name+": P99", milliseconds, column(way.runs, pacedRun.atP99), nil, "")
		add(way.name+": maximum", milliseconds, column(way.runs, pacedRun.atMost), nil, lateness(way.runs))
	}
	add("beside / alone: P99", ratio, divide(column(beside, pacedRun.atP99), column(alone, pacedRun.atP99)), atMost(1.5), "")
	add("limited namespace: calls offered", perSecond, column(outcomes, func(o outcome) float64 { return o.made }), nil, "")
	add("limited namespace: calls let in", perSecond, column(outcomes, func(o outcome) float64 { return o.let }), nil, "its limit is 2000/s; the others were answered "+refusedForRate)
	return s.checkCounted(ctx, refusedForRate)
}

// besideLead is the time in which a load gets going, and uses up what it may do at once, and which it lasts longer.
const besideLead = 400 * time.Millisecond

// beside makes paced calls while the calls are offered.
func (o offered) beside(ctx context.Context, b *benchmark, measured pacer) (pacedRun, outcome, error) {
	wait, err := o.start(ctx, b, measured.server.address, besideLead, b.duration+besideLead)
	if err != nil {
		return pacedRun{}, outcome{}, err
	}
	time.Sleep(besideLead)
	run, err := measured.run(ctx, b.loadCore, b.duration)
	became, err2 := wait()
	err = errors.Join(err, err2)
	if err == nil && (became.let == 0 || slices.ContainsFunc(became.codes, func(code string) bool { return code != refusedForRate })) {
		err = fmt.Errorf("the limited namespace let %.0f calls in each second; the others ended with %v", became.let, became.codes)
	}
	return run, became, err
}
