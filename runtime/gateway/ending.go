package gateway

import (
	"context"
	"errors"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// ending ends streams that would otherwise go on for as long as their callers want.
type ending struct {
	over context.Context //nolint:containedctx // it is no call's: it ends with a namespace
	end  context.CancelCauseFunc
}

// newEnding returns an ending that comes with its context's at the latest, for the same cause.
func newEnding(ctx context.Context) *ending {
	over, end := context.WithCancelCause(ctx)
	return &ending{over, end}
}

// during serves a stream until it ends by itself or is ended.
func (e *ending) during(ctx context.Context, handler rpc.Handler, stream rpc.Stream) error {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.over, func() { cancel(context.Cause(e.over)) })()
	err := handler.Serve(limited, stream)
	if cause := context.Cause(limited); err != nil && cause != nil && errors.Is(cause, context.Cause(e.over)) {
		return cause // what the handler says of a context that ended is not what happened
	}
	return err
}

// errStopping is why subscriptions end when the gateway drains.
func errStopping() error {
	return fault.New(fault.Unavailable, "the gateway is stopping; subscribe again, and another one will serve you if there is one").
		WithReason("GATEWAY_STOPPING").WithRetry(0)
}

// replaced is why the streams and transactions of a namespace end before their time.
func replaced(namespace string) error {
	return fault.New(fault.Unavailable, "namespace %q: the gateway has a new configuration, and what served this has ended; begin again", namespace).
		WithReason("CONFIGURATION_CHANGED", "namespace", namespace).WithRetry(0)
}
