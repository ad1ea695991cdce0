package gateway

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// defaultMaxConcurrentCalls bounds what one namespace's clients hold of the process when nothing else is said; a waiting stream takes some 10 KiB.
const defaultMaxConcurrentCalls = 100_000

// limitRate refuses calls that come faster than the namespace allows.
func (n *namespace) limitRate() rpc.Middleware {
	perSecond := n.limits.GetCallsPerSecond()
	if perSecond == 0 {
		return nil
	}
	limit := newRate(perSecond, n.limits.GetBurst())
	refuse := n.refuseRate(perSecond)
	return func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			wait, ok := limit.take(call.Start)
			if !ok {
				return refuse(retryAfter(wait))
			}
			return next(ctx, call, stream)
		}
	}
}

// refuseRate returns what makes the error of a call that must wait. Calls that must wait equally long get the same one: a client that keeps on costs little.
func (n *namespace) refuseRate(perSecond float64) func(wait time.Duration) error {
	type refusal struct {
		wait time.Duration
		err  *fault.Error
	}
	var last atomic.Pointer[refusal]
	written := strconv.FormatFloat(perSecond, 'f', -1, 64)
	return func(wait time.Duration) error {
		r := last.Load()
		if r == nil || r.wait != wait {
			r = &refusal{wait, n.refuse("RATE_LIMIT_EXCEEDED", "more than %s calls a second; slow down, or raise %s", written, "limits.calls_per_second").WithRetry(wait)}
			last.Store(r)
		}
		return r.err
	}
}

// retryAfter rounds a wait up, so that callers who obey it do not come too early by what a clock cannot tell.
func retryAfter(wait time.Duration) time.Duration {
	return max(wait.Truncate(time.Millisecond)+time.Millisecond, time.Millisecond)
}

// limitConcurrency refuses calls beyond those that may be under way at once.
func (n *namespace) limitConcurrency() rpc.Middleware {
	most := int64(n.limits.GetMaxConcurrentCalls())
	if most == 0 {
		most = defaultMaxConcurrentCalls
	}
	var under places
	refusal := sync.OnceValue(func() error { // one for all: a client that keeps on costs little
		return n.refuse("CONCURRENCY_LIMIT_EXCEEDED", "%d calls are under way at once; wait for some to end, or raise %s", most, "limits.max_concurrent_calls")
	})
	return func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			if !under.take(most) {
				return refusal()
			}
			defer under.leave()
			return next(ctx, call, stream)
		}
	}
}

// places are those of calls that are under way.
type places struct{ taken atomic.Int64 }

// take takes a place, if fewer than most are taken. Who gets none holds none while he is told so: a crowd of them would keep everybody out.
func (p *places) take(most int64) bool {
	if p.taken.Add(1) > most {
		p.taken.Add(-1)
		return false
	}
	return true
}

func (p *places) leave() { p.taken.Add(-1) }

// limitMessages bounds request messages. The transport refuses them, before it decodes.
func (n *namespace) limitMessages() rpc.Middleware {
	most := int(n.limits.GetMaxMessageBytes())
	if most == 0 {
		return nil
	}
	return func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			call.MaxMessageBytes = most
			return next(ctx, call, stream)
		}
	}
}

// refuse is the error about a limit of the namespace.
func (n *namespace) refuse(reason, format string, most any, field string) *fault.Error {
	return fault.New(fault.ResourceExhausted, "namespace %q: "+format, n.name, most, field).WithReason(reason, "namespace", n.name, "limit", field)
}
