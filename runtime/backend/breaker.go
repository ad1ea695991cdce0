package backend

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismgate/prism/runtime/fault"
)

const (
	// maxAttempts is how often a call that may be repeated is made in all.
	maxAttempts = 3
	// retryAfter is the longest pause before the second attempt; the third may wait twice as long.
	retryAfter = 20 * time.Millisecond
	// probeTimeout is how long a server may take to answer the first probe. It doubles up to probeTimeoutMost: a probe that has to connect first takes several round trips.
	probeTimeout, probeTimeoutMost = 500 * time.Millisecond, 4 * time.Second
	// probeAgain and probeAgainMost bound the pause between two probes of a server that does not answer; it doubles.
	probeAgain, probeAgainMost = 50 * time.Millisecond, 2 * time.Second
)

// Breaker stands between a backend and its server. A call that fails with UNAVAILABLE or DEADLINE_EXCEEDED makes it probe the server; while probes fail it is open, and calls
// are UNAVAILABLE at once. It closes when a probe succeeds: no client's call is risked for it. One probe without an answer does not open it, since a machine may hesitate for once; a second one does.
type Breaker struct {
	env   Env
	probe func(context.Context) error

	refusal atomic.Pointer[fault.Error] // nil while closed
	probing atomic.Bool

	ctx  context.Context //nolint:containedctx // it ends the probes, which outlive the call that began them
	stop context.CancelFunc
	mu   sync.Mutex // orders the begin of probes with Close
	wait sync.WaitGroup
}

// NewBreaker returns a closed breaker. The probe asks the server for a sign of life; its error is for the log only. Close ends it; the end of ctx does not.
func NewBreaker(ctx context.Context, env Env, probe func(context.Context) error) *Breaker {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &Breaker{env: env.filled(), probe: probe, ctx: ctx, stop: stop}
}

// Do makes a call, through the breaker. A call that may be repeated is made again, after a short pause, when it failed with UNAVAILABLE. The error is the call's own, or the
// breaker's.
func (b *Breaker) Do(ctx context.Context, repeatable bool, call func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		if refusal := b.refusal.Load(); refusal != nil {
			return refusal
		}
		err := call(ctx)
		if err == nil {
			return nil
		}
		code := fault.CodeOf(err)
		if code != fault.Unavailable && code != fault.DeadlineExceeded {
			return err
		}
		b.suspect()
		if !repeatable || code != fault.Unavailable || attempt == maxAttempts || !pause(ctx, rand.N(retryAfter*time.Duration(attempt))) { //nolint:gosec // jitter
			return err
		}
		b.env.Status.Retries.Add(1)
	}
}

// suspect probes the server, unless that is under way.
func (b *Breaker) suspect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() == nil && b.probing.CompareAndSwap(false, true) {
		b.wait.Go(b.watch)
	}
}

// watch probes the server until it answers.
func (b *Breaker) watch() {
	defer b.probing.Store(false)
	limit := probeTimeout
	hesitates := false
	for again := probeAgain; b.ctx.Err() == nil; again = min(again*2, probeAgainMost) {
		silent, err := b.ask(limit)
		if b.ctx.Err() != nil {
			return
		}
		if err == nil {
			if b.refusal.Swap(nil) != nil {
				b.env.Status.closed()
				b.env.Log.Info("the backend's server answers again")
			}
			return
		}
		if silent && !hesitates {
			hesitates = true
		} else if b.refusal.Swap(b.refuse(err)) == nil {
			b.env.Status.opened()
			b.env.Log.Warn("the backend's server does not answer; its calls are refused until it does", slog.Any("error", err))
		}
		if !pause(b.ctx, again/2+rand.N(again)) { //nolint:gosec // jitter
			return
		}
		limit = min(limit*2, probeTimeoutMost)
	}
}

// ask probes the server once, and tells whether the time was over before there was an answer. A panic is no answer, and not the end of the process, which serves others.
func (b *Breaker) ask(limit time.Duration) (silent bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			b.env.Log.Error("a probe panicked", "stack", string(debug.Stack()))
			err = errors.New("the probe panicked")
		}
	}()
	ctx, cancel := context.WithTimeoutCause(b.ctx, limit, errors.New("no answer to a probe"))
	defer cancel()
	err = b.probe(ctx)
	return ctx.Err() != nil, err
}

// refuse is what calls are answered with meanwhile.
func (b *Breaker) refuse(cause error) *fault.Error {
	refusal := fault.Wrap(cause, fault.Unavailable, "", "the backend's server does not answer; the gateway asks it again by itself")
	return refusal.WithReason("BACKEND_UNAVAILABLE", "backend", b.env.Instance).WithRetry(probeTimeout)
}

// Close ends the probes.
func (b *Breaker) Close() {
	b.mu.Lock()
	b.stop()
	b.mu.Unlock()
	b.wait.Wait()
}

// pause waits; it tells false when the context has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil // a lane may still have the call of one who left, which must not be made again then
	case <-ctx.Done():
		return false
	}
}
