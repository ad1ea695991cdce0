package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// limitTime gives unary calls the deadline that the namespace says. Streams live for as long as their callers want.
func (n *namespace) limitTime() rpc.Middleware {
	byDefault, most := n.limits.GetDefaultDeadline().AsDuration(), n.limits.GetMaxDeadline().AsDuration()
	if byDefault == 0 && most == 0 {
		return nil
	}
	return func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			if call.Method.Shape != rpc.ShapeUnary {
				return next(ctx, call, stream)
			}
			until, given := ctx.Deadline()
			allowed, field := most, "limits.max_deadline"
			if !given && byDefault > 0 && (most == 0 || byDefault < most) {
				allowed, field = byDefault, "limits.default_deadline"
			}
			if allowed == 0 || given && !until.After(call.Start.Add(allowed)) {
				return next(ctx, call, stream)
			}
			return n.within(ctx, allowed, field, call, stream, next)
		}
	}
}

// within serves a call that has so much time.
func (n *namespace) within(ctx context.Context, allowed time.Duration, field string, call *rpc.Call, stream rpc.Stream, next rpc.ServeFunc) error {
	limited, cancel := context.WithDeadline(ctx, call.Start.Add(allowed))
	defer cancel()
	err := next(limited, call, stream)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) && fault.CodeOf(err) == fault.DeadlineExceeded {
		return fault.New(fault.DeadlineExceeded, "namespace %q: the call took longer than %s; ask for less at once, or raise %s", n.name, allowed, field).
			WithReason("DEADLINE_LIMIT_EXCEEDED", "namespace", n.name, "limit", field)
	}
	return err
}
