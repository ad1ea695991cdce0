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

// caller makes one call after another on one connection and checks each answer.
type caller interface {
	call() error
	close() error
}

// pacedRun is what calls at a steady pace have taken, in milliseconds.
type pacedRun struct {
	p50, p99, longest float64
	// lateP50 and so on are how late the generator itself sent, when the call before did not keep it.
	lateP50, lateP99, lateLongest float64
}

// measurePaced measures the time of a call on servers that are far from busy, over gRPC and over Connect on HTTP/1.1.
func (b *benchmark) measurePaced(ctx context.Context) error {
	servers, err := b.startAll(ctx, gateway, connectGo, grpcGo)
	defer func() { stopAll(servers) }()
	if err != nil {
		return err
	}
	type subject struct {
		server *server
		name   string
		dial   func(address string) (caller, error)
		runs   []pacedRun
	}
	var subjects []*subject
	for _, s := range servers {
		subjects = append(subjects, &subject{server: s, name: s.name + ", gRPC", dial: dialGRPC})
	}
	for _, s := range servers[:2] {
		subjects = append(subjects, &subject{server: s, name: s.name + ", Connect", dial: dialConnect})
	}
	for round := range b.rounds {
		for i := range subjects {
			s := subjects[(i+round)%len(subjects)]
			run, err := b.callPaced(ctx, s.server.address, s.dial)
			if err != nil {
				return fmt.Errorf("%s: %w\n%s", s.name, err, s.server.log.String())
			}
			s.runs = append(s.runs, run)
			progress("paced: round %d/%d: %-19s P50 %.3f ms, P99 %.3f ms, maximum %.3f ms", round+1, b.rounds, s.name, run.p50, run.p99, run.longest)
		}
	}
	b.report.command("paced", fmt.Sprintf("one connection of a blocking socket, one call each %s for %s, sent by a thread of core %d in nanosleep", pace, b.duration, b.loadCore))
	for _, s := range subjects {
		column := func(of func(pacedRun) float64) []float64 {
			values := make([]float64, len(s.runs))
			for round, run := range s.runs {
				values[round] = of(run)
			}
			return values
		}
		p50 := figure{Case: "paced", Name: s.name + ": P50", Unit: milliseconds, Samples: column(func(r pacedRun) float64 { return r.p50 })}
		p99 := figure{Case: "paced", Name: s.name + ": P99", Unit: milliseconds, Samples: column(func(r pacedRun) float64 { return r.p99 })}
		if s.server.name == gateway {
			p50.Bar, p99.Bar = atMost(0.3), atMost(2)
		}
		longest := figure{Case: "paced", Name: s.name + ": maximum", Unit: milliseconds, Samples: column(func(r pacedRun) float64 { return r.longest })}
		longest.Note = fmt.Sprintf("generator late by P50 %.3f ms, P99 %.3f ms, maximum %.3f ms",
			median(column(func(r pacedRun) float64 { return r.lateP50 })),
			median(column(func(r pacedRun) float64 { return r.lateP99 })),
			median(column(func(r pacedRun) float64 { return r.lateLongest })))
		b.report.add(p50)
		b.report.add(p99)
		b.report.add(longest)
	}
	for _, s := range servers {
		if err := s.checkCounted(ctx); err != nil {
			return err
		}
	}
	return nil
}

// callPaced makes calls at a steady pace on a thread of its own, pinned to the load's core.
func (b *benchmark) callPaced(ctx context.Context, address string, dial func(string) (caller, error)) (pacedRun, error) {
	type outcome struct {
		run pacedRun
		err error
	}
	done := make(chan outcome)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its affinity and its timer slack
		run, err := b.pacedThread(ctx, address, dial)
		done <- outcome{run, err}
	}()
	o := <-done
	return o.run, o.err
}

func (b *benchmark) pacedThread(ctx context.Context, address string, dial func(string) (caller, error)) (pacedRun, error) {
	if err := pin(b.loadCore); err != nil {
		return pacedRun{}, err
	}
	// The kernel may wake a thread 50 us late by default, to save power.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return pacedRun{}, fmt.Errorf("cannot set the timer slack: %w", err)
	}
	c, err := dial(address)
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
	count := int(b.duration / pace)
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
