package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// errPanicked is how a call ended that panicked, for those who count and log it; the panic itself goes on to recover.
var errPanicked = errors.New("the handler panicked; the line \"call panicked\" has the stack")

// recover turns a panic into INTERNAL, so that a defect in one implementation ends one call.
func (o *Observer) recover(next rpc.ServeFunc) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) (err error) {
		defer func() {
			if r := recover(); r != nil {
				what := describePanic(r)
				o.log.LogAttrs(ctx, slog.LevelError, "call panicked",
					slog.String("procedure", call.Method.Procedure), slog.String("request_id", call.ID()),
					slog.String("panic", what), slog.String("stack", string(debug.Stack())))
				call.Response.SetTrailer(rpc.RequestIDHeader, call.ID()) // the step for that was left by the panic
				err = fault.Wrap(errors.New(what), fault.Internal, "", "internal error; the gateway's log has the cause")
			}
		}()
		return next(ctx, call, stream)
	}
}

// describePanic says what a panic was about. Go's own text is told; any other may be made of the request, and only its type is told: the stack has the line.
func describePanic(r any) string {
	var own runtime.Error
	if err, ok := r.(error); ok && errors.As(err, &own) {
		return own.Error()
	}
	return fmt.Sprintf("panic with a %T", r)
}
