package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// run is one run of a plan against a target.
type run struct {
	plan       *Plan
	target     *Target
	procedures []*procedure
	// sequenced tells that a template numbers its calls.
	sequenced bool
	base      time.Time
	// start, measure and end are times of the run in nanoseconds: when calls begin, when they begin to count, and when no more are made.
	start, measure, end int64
	workers             []*worker
	// calls counts the measured calls that were begun, keys the choices of sequential keys, sequence all calls.
	calls, keys, sequence atomic.Int64
}

// clock is the time of the run.
func (r *run) clock() int64 { return int64(time.Since(r.base)) }

func (r *run) scheme() string {
	if r.target.TLS != nil {
		return "https"
	}
	return "http"
}

// Progress is how far a run is.
type Progress struct {
	// Elapsed is the time since calls began, of Planned; without a duration Planned is 0.
	Elapsed, Planned time.Duration
	// WarmingUp tells that nothing counts yet.
	WarmingUp bool
	// Answered and Failed count calls from the beginning.
	Answered, Failed int64
}

// progressInterval is how often progress is told.
const progressInterval = time.Second

// Run carries out a plan. With an error there may be a sample of what was measured until then; so there is when the context ends.
func Run(ctx context.Context, plan *Plan, target *Target, progress func(Progress)) (*Sample, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	if _, err := processesCPU(target.PIDs); err != nil {
		return nil, err
	}
	r := &run{plan: plan, target: target, base: time.Now()}
	for i, share := range plan.Mix {
		r.procedures = append(r.procedures, newProcedure(share.Template, i, plan))
		r.sequenced = r.sequenced || slices.ContainsFunc(share.Template.patches, func(p patch) bool { return p.sequence })
	}
	wires, err := r.dialAll(ctx)
	if err != nil {
		return nil, err
	}
	r.start = r.clock()
	r.measure = r.start + int64(plan.WarmUp)
	r.end = math.MaxInt64
	if plan.Duration > 0 {
		r.end = r.measure + int64(plan.Duration)
	}
	threads := plan.threads()
	for i := range threads {
		r.workers = append(r.workers, newWorker(r, i, threads))
	}
	for i, a := range wires {
		w := r.workers[i%threads]
		a.slot = &slot{dialing: true}
		w.slots = append(w.slots, a.slot)
		w.arrivals = append(w.arrivals, a)
	}
	return r.carryOut(ctx, progress)
}

// dialsAtOnce is how many connections are being made at a time: less than a listener's queue.
const dialsAtOnce = 64

// dialAll opens all connections, or none.
func (r *run) dialAll(ctx context.Context) ([]arrival, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	arrivals := make([]arrival, r.plan.Connections)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(dialsAtOnce, len(arrivals)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(arrivals)); i = next.Add(1) - 1 {
				a := &arrivals[i]
				if a.err = ctx.Err(); a.err == nil {
					a.wire, a.received, a.err = dial(ctx, r.target, r.plan)
				}
				if a.err != nil {
					cancel()
				}
			}
		})
	}
	group.Wait()
	var failure error
	for _, a := range arrivals {
		if a.err != nil && (failure == nil || errors.Is(failure, context.Canceled)) {
			failure = a.err
		}
	}
	if failure == nil {
		return arrivals, nil
	}
	for _, a := range arrivals {
		if a.wire != nil {
			_ = a.wire.Close() // it has carried nothing
		}
	}
	return nil, failure
}

// usage is what was used of processors at a time of the run.
type usage struct {
	at       int64
	own      int64
	target   time.Duration
	measured bool
}

func (r *run) usage() (usage, error) {
	target, err := processesCPU(r.target.PIDs)
	return usage{r.clock(), ownCPU(), target, true}, err
}

// carryOut serves until all workers are done.
func (r *run) carryOut(ctx context.Context, progress func(Progress)) (*Sample, error) {
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, len(r.workers))
	for _, w := range r.workers {
		go func() {
			err := w.serve(working)
			if err != nil {
				cancel(err) // the others need not go on
			}
			done <- err
		}()
	}
	var (
		before, after usage
		failure       error
		ticks         <-chan time.Time
		finish        <-chan time.Time
	)
	begin := time.NewTimer(time.Duration(r.measure - r.clock()))
	defer begin.Stop()
	if r.end < math.MaxInt64 {
		timer := time.NewTimer(time.Duration(r.end - r.clock()))
		defer timer.Stop()
		finish = timer.C
	}
	if progress != nil {
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	take := func(into *usage) {
		if into.measured {
			return
		}
		var err error
		if *into, err = r.usage(); err != nil {
			failure = errors.Join(failure, err)
			cancel(err)
		}
	}
	for left := len(r.workers); left > 0; {
		select {
		case <-begin.C:
			take(&before)
		case <-finish:
			take(&after)
		case <-ticks:
			progress(r.progress())
		case err := <-done:
			if left--; err != nil && failure == nil {
				failure = err
			}
		}
	}
	take(&before)
	take(&after)
	sample := r.sample(before, after)
	switch {
	case ctx.Err() != nil:
		return sample, context.Cause(ctx)
	case failure != nil:
		return sample, fmt.Errorf("%s: %w", r.target.Address, failure)
	}
	return sample, nil
}

func (r *run) progress() Progress {
	now := r.clock()
	p := Progress{Elapsed: time.Duration(now - r.start), WarmingUp: now < r.measure}
	if r.end < math.MaxInt64 {
		p.Planned = time.Duration(r.end - r.start)
	}
	for _, w := range r.workers {
		p.Answered += w.answered.Load()
		p.Failed += w.failed.Load()
	}
	return p
}
