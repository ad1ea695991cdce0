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

// neighbourly is what calls have taken on one server, alone and beside another namespace's, by round.
type neighbourly struct {
	alone, beside []pacedRun
	outcomes      []outcome
}

// measureNamespaceNeighbour measures the time of calls in one namespace, alone, and while another one is offered ten times what it may have. grpc-go knows no
// namespaces, and answers all: it shows what the machine does to whoever is called so.
func measureNamespaceNeighbour(ctx context.Context, b *benchmark) error {
	const name = namespaceNeighbourCase
	x := get(100)
	servers, err := b.startAll(ctx, setting{config: namespaceNeighbourConfig}, []*exchange{x}, gateway, grpcGo)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	if err := servers[0].prepareIn(ctx, []string{limitedNamespace}, x); err != nil {
		return err
	}
	greedy := offered{namespace: limitedNamespace, rate: 20_000, connections: 4, streams: 32}
	found := make([]neighbourly, len(servers))
	for round := range b.rounds {
		for i := range servers {
			i = (i + round) % len(servers)
			if err := found[i].measure(ctx, b, pacer{servers[i].name, servers[i], x, dialGRPC}, greedy, round%2 == 1); err != nil {
				return err
			}
			progress("%s: round %d/%d: %-8s P99 alone %.3f ms, beside %.3f ms; of %.0f/s, %.0f/s were let in", name, round+1, b.rounds, servers[i].name,
				found[i].alone[round].p99, found[i].beside[round].p99, found[i].outcomes[round].made, found[i].outcomes[round].let)
		}
	}
	b.report.command(name, pacedCommand(b.loadCore, b.duration)+"; beside it, of the policy SCHED_IDLE: "+
		strings.Join(greedy.command("prism", "HOST:PORT", besideLead, b.duration+besideLead), " "))
	for i, s := range servers {
		found[i].report(b.report, s)
	}
	return servers[0].checkCounted(ctx, refusedForRate)
}

// measure makes the calls of a round in both ways. Which comes first changes with each round.
func (n *neighbourly) measure(ctx context.Context, b *benchmark, measured pacer, greedy offered, crowdedFirst bool) error {
	for _, crowded := range []bool{crowdedFirst, !crowdedFirst} {
		if !crowded {
			run, err := measured.run(ctx, b.loadCore, b.duration)
			if err != nil {
				return err
			}
			n.alone = append(n.alone, run)
			continue
		}
		run, became, err := greedy.beside(ctx, b, measured)
		if err != nil {
			return err
		}
		n.beside, n.outcomes = append(n.beside, run), append(n.outcomes, became)
	}
	return nil
}

func (n *neighbourly) report(r *report, s *server) {
	add := func(name, unit string, samples []float64, limit *bar, note string) {
		r.add(figure{Case: namespaceNeighbourCase, Name: s.name + name, Unit: unit, Samples: samples, Bar: limit, Note: note})
	}
	for _, way := range []struct {
		name string
		runs []pacedRun
	}{{", alone", n.alone}, {", beside", n.beside}} {
		add(way.name+": P50", milliseconds, column(way.runs, pacedRun.atP50), nil, "")
		add(way.name+": P99", milliseconds, column(way.runs, pacedRun.atP99), nil, "")
		add(way.name+": maximum", milliseconds, column(way.runs, pacedRun.atMost), nil, lateness(way.runs))
	}
	limit, note := atMost(1.5), "the limit is 2000/s; the others were answered "+refusedForRate
	if !s.isGateway() {
		limit, note = nil, "it knows no limit"
	}
	add(", beside / alone: P99", ratio, divide(column(n.beside, pacedRun.atP99), column(n.alone, pacedRun.atP99)), limit, "")
	add(", the other namespace: calls offered", perSecond, column(n.outcomes, func(o outcome) float64 { return o.made }), nil, "")
	add(", the other namespace: calls let in", perSecond, column(n.outcomes, func(o outcome) float64 { return o.let }), nil, note)
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
		err = fmt.Errorf("%s let %.0f calls in each second; the others ended with %v", measured.name, became.let, became.codes)
	}
	return run, became, err
}
