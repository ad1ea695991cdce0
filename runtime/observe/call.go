package observe

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// outcome is how a call ended.
type outcome struct {
	err error
	// public is what the caller sees of err; nil when there is none.
	public *fault.Error
	code   fault.Code
	// limit is what refused the call, when the gateway did; see limits.
	limit string
	took  time.Duration
}

// observe counts, times, traces and logs a call, refused ones and those that panic too.
func (o *Observer) observe(next rpc.ServeFunc) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) (err error) {
		s := o.settings.Load()
		call.Start = time.Now()
		var span trace.Span
		if s.tracing != nil {
			ctx, span = s.tracing.begin(ctx, call)
		}
		returned := false
		defer func() {
			if !returned {
				err = errPanicked
			}
			o.ended(ctx, s, call, span, err)
		}()
		err = next(ctx, call, stream)
		returned = true
		return err
	}
}

// ended tells of a call that has ended.
func (o *Observer) ended(ctx context.Context, s *settings, call *rpc.Call, span trace.Span, err error) {
	end := outcome{err: err, took: time.Since(call.Start)}
	if err != nil {
		end.public = fault.Public(err)
		end.code = end.public.Code
		end.limit = limits[end.public.Reason()]
		if end.limit == "" && errors.Is(err, rpc.ErrMessageTooLarge) {
			end.limit = limits["MESSAGE_TOO_LARGE"] // the method's own limit, which gives no reason
		}
	}
	o.metrics.count(call, &end)
	if span != nil {
		endSpan(span, call, &end)
	}
	if s.access.wants(call, &end) {
		o.logCall(ctx, s, call, &end)
	}
}
