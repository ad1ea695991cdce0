package redis

import (
	"context"
	"sync/atomic"
	"time"
)

// taking is what a dequeueing call asks for.
type taking struct {
	op, queue string
	wait      time.Duration
	// lease is how long the message is leased, and secret what its receipt proves; 0 takes it for good.
	lease  time.Duration
	secret string
}

// take takes the first visible message. When there is none it waits for one as long as it may, and then returns without.
//
// A call that waits holds nothing on the server. It asks again when the server tells that a message has become visible, when something is due, and about once a second in case
// it was not told; of several calls that wait for one queue on a gateway, one does so for all.
func (q *queue) take(ctx context.Context, t taking) (taken, error) {
	found, _, err := q.attempt(ctx, t)
	if err != nil || found != nil || t.wait <= 0 {
		return found, err
	}
	over := time.NewTimer(t.wait)
	defer over.Stop()
	l := q.lines.enter(q, t.queue)
	defer q.lines.leave(l)
	place := l.stand()
	defer l.step(place)
	again := time.NewTimer(t.wait)
	defer again.Stop()
	for {
		if err := l.listen(ctx); err != nil {
			return nil, err
		}
		found, due, err := q.attempt(ctx, t)
		if err != nil || found != nil {
			return found, err
		}
		var ask <-chan time.Time
		if l.first(place) {
			again.Reset(due)
			ask = again.C
		}
		select {
		case <-place.Value.(chan struct{}):
		case <-ask:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over.C:
			return nil, nil
		}
	}
}

// attempt takes the first visible message, or returns after what time it is to be tried again.
//
// When its context ends while the server has the script, the call returns at once, and what the script takes then is put back as if it had not been taken. It is lost, or leased until
// the lease ends, only when the connection or the gateway ends too before that.
func (q *queue) attempt(ctx context.Context, t taking) (taken, time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	type outcome struct {
		answer []any
		err    error
	}
	outcomes := make(chan outcome, 1)
	var settled atomic.Bool // by who is first: the answer, or the end of the context
	begun := q.place.later(func() {
		how := "take"
		if t.lease > 0 {
			how = "lease"
		}
		answer, err := q.run(context.WithoutCancel(ctx), t.op, false, queueTake, t.queue, how, microseconds(t.lease), t.secret)
		if settled.CompareAndSwap(false, true) {
			outcomes <- outcome{answer, err}
		} else if len(answer) > 1 {
			q.putBack(context.WithoutCancel(ctx), t, answer)
		}
	})
	if !begun {
		return nil, 0, errClosed()
	}
	var come outcome
	select {
	case come = <-outcomes:
	case <-ctx.Done():
		if settled.CompareAndSwap(false, true) {
			return nil, 0, ctx.Err()
		}
		come = <-outcomes
	}
	if come.err != nil {
		return nil, 0, come.err
	}
	if len(come.answer) > 1 {
		return come.answer, 0, nil
	}
	return nil, askAgain(asNumber(come.answer[0])), nil
}

// askAgain is when a call that waits asks again: when something is due, in microseconds unless that is negative, and soon enough to bear that nobody told it.
func askAgain(due int64) time.Duration {
	if due < 0 {
		return longestUntold
	}
	return min(time.Duration(due)*time.Microsecond, longestUntold)
}

// longestUntold is how long a call that waits trusts that it would have been told.
const longestUntold = time.Second

// putBack undoes a taking.
func (q *queue) putBack(ctx context.Context, t taking, answer taken) {
	arguments := append([]any{t.queue, answer[takenID], t.secret}, answer[takenBody:]...)
	_, _ = q.run(ctx, t.op, false, queueBack, arguments...) // the caller has gone; what this costs is said at attempt
}

// microseconds returns a duration in whole microseconds, never less than it is.
func microseconds(d time.Duration) int64 {
	return int64((d + time.Microsecond - 1) / time.Microsecond)
}
