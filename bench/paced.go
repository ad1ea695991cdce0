package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pace is the time between two calls: 1,000 a second.
const pace = time.Millisecond

// pacedRun is what calls at a steady pace have taken, in milliseconds.
type pacedRun struct {
	p50, p99, longest float64
	// lateP50 and so on are how late the generator itself sent, when the call before did not keep it.
	lateP50, lateP99, lateLongest float64
}

// pacer makes calls of one kind at a steady pace.
type pacer struct {
	// name is what the report calls it.
	name     string
	server   *server
	exchange *exchange
	dial     func(address string, x *exchange) (caller, error)
}

// measurePaced measures the time of a call on servers that are far from busy, over gRPC and over Connect on HTTP/1.1.
func measurePaced(ctx context.Context, b *benchmark) error {
	const name = "paced"
	names, err := b.available(ctx, name, []string{gateway, connectGo, grpcGo, tonic})
	if err != nil {
		return err
	}
	x := get(100)
	servers, err := b.startAll(ctx, setting{}, []*exchange{x}, names...)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	var pacers []pacer
	for _, s := range servers {
		if s.name != connectGo {
			pacers = append(pacers, pacer{s.name + ", gRPC", s, x, dialGRPC})
		}
		if s.speaksConnect() {
			pacers = append(pacers, pacer{s.name + ", Connect", s, x, dialConnect})
		}
	}
	runs := make([][]pacedRun, len(pacers))
	for round := range b.rounds {
		for i := range pacers {
			i = (i + round) % len(pacers)
			run, err := pacers[i].run(ctx, b.loadCore, b.duration)
			if err != nil {
				return err
			}
			runs[i] = append(runs[i], run)
			progress("%s: round %d/%d: %-19s P50 %.3f ms, P99 %.3f ms, maximum %.3f ms", name, round+1, b.rounds, pacers[i].name, run.p50, run.p99, run.longest)
		}
	}
	b.report.command(name, pacedCommand(b.loadCore, b.duration))
	for i, p := range pacers {
		var atP50, atP99 *bar
		if p.server.name == gateway {
			atP50, atP99 = atMost(0.2), atMost(2)
		}
		b.report.add(figure{Case: name, Name: p.name + ": P50", Unit: milliseconds, Samples: column(runs[i], pacedRun.atP50), Bar: atP50})
		b.report.add(figure{Case: name, Name: p.name + ": P99", Unit: milliseconds, Samples: column(runs[i], pacedRun.atP99), Bar: atP99})
		b.report.add(figure{Case: name, Name: p.name + ": maximum", Unit: milliseconds, Samples: column(runs[i], pacedRun.atMost), Note: lateness(runs[i])})
	}
	for _, s := range servers {
		if err := s.checkCounted(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r pacedRun) atP50() float64  { return r.p50 }
func (r pacedRun) atP99() float64  { return r.p99 }
func (r pacedRun) atMost() float64 { return r.longest }

// pacedCommand describes the generator.
func pacedCommand(core int, duration time.Duration) string {
	return fmt.Sprintf("one connection of a blocking socket, one call each %s for %s, sent by a thread of core %d in nanosleep", pace, duration, core)
}

// lateness is how far the generator is to be believed.
func lateness(runs []pacedRun) string {
	return fmt.Sprintf("generator late by P50 %.3f ms, P99 %.3f ms, maximum %.3f ms",
		median(column(runs, func(r pacedRun) float64 { return r.lateP50 })),
		median(column(runs, func(r pacedRun) float64 { return r.lateP99 })),
		median(column(runs, func(r pacedRun) float64 { return r.lateLongest })))
}

// run makes the calls on a thread of its own, pinned to a core.
func (p pacer) run(ctx context.Context, core int, duration time.Duration) (pacedRun, error) {
	var run pacedRun
	err := steadily(core, func() (err error) {
		run, err = p.calls(ctx, duration)
		return err
	})
	if err != nil {
		return run, fmt.Errorf("%s: %w\n%s", p.name, err, p.server.log.String())
	}
	return run, nil
}

// steadily does something on a thread that measures time: pinned to a core, and woken up when it asked for that.
func steadily(core int, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its affinity and its timer slack
		err := pin(core)
		// The kernel may wake a thread 50 us late by default, to save power.
		if err == nil {
			if err = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
				err = fmt.Errorf("cannot set the timer slack: %w", err)
			}
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

func (p pacer) calls(ctx context.Context, duration time.Duration) (pacedRun, error) {
	c, err := p.dial(p.server.address, p.exchange)
	if err != nil {
		return pacedRun{}, err
	}
	defer func() { _ = c.close() }() // everything has been read
	for range 200 {
		if err := c.call(); err != nil {
			return pacedRun{}, err
		}
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	count := int(duration / pace)
	took, late := make([]float64, 0, count), make([]float64, 0, count)
	first := time.Now().Add(pace)
	for i := range count {
		if i%100 == 0 && ctx.Err() != nil {
			return pacedRun{}, ctx.Err()
		}
		due := first.Add(time.Duration(i) * pace)
		overdue := time.Now().After(due)
		sleepUntil(due)
		began := time.Now()
		if !overdue {
			late = append(late, began.Sub(due).Seconds()*1e3)
		}
		switch {
		case overdue:
			began = due // the call before took so long that this one had to wait: that is the server's time too
		case began.Sub(due) > pace/2:
			first = first.Add(began.Sub(due)) // the generator overslept: it plans anew, so that calls do not queue up for what is not the server's fault
		}
		if err := c.call(); err != nil {
			return pacedRun{}, err
		}
		took = append(took, time.Since(began).Seconds()*1e3)
	}
	slices.Sort(took)
	slices.Sort(late)
	return pacedRun{
		p50: percentile(took, 50), p99: percentile(took, 99), longest: percentile(took, 100),
		lateP50: percentile(late, 50), lateP99: percentile(late, 99), lateLongest: percentile(late, 100),
	}, nil
}

// sleepUntil sleeps in nanosleep: Go's timers wake a thread through the network poller, which costs more than a call.
func sleepUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		interval := unix.NsecToTimespec(int64(left))
		_ = unix.Nanosleep(&interval, nil) // when a signal wakes it, the loop sleeps on
	}
}

// percentile returns the smallest value that so many percent of the sorted values do not exceed.
func percentile(sorted []float64, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
