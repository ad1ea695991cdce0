package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// observe counts every call, refused ones too, and logs those that failed for a reason that is not the caller's.
func (g *Gateway) observe(next rpc.ServeFunc) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
		start := time.Now()
		err := next(ctx, call, stream)
		code := fault.OK
		if err != nil {
			code = fault.Public(err).Code
		}
		g.metrics.observe(call, code, time.Since(start))
		switch code {
		case fault.Internal, fault.Unknown, fault.DataLoss:
			g.log.LogAttrs(ctx, slog.LevelError, "call failed",
				slog.String("procedure", call.Method.Procedure),
				slog.String("namespace", call.Namespace),
				slog.String("code", code.String()),
				slog.String("error", err.Error()))
		default:
		}
		return err
	}
}

// recover turns a panic into INTERNAL, so that a defect in one implementation ends one call.
func (g *Gateway) recover(next rpc.ServeFunc) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) (err error) {
		defer func() {
			if r := recover(); r != nil {
				g.log.LogAttrs(ctx, slog.LevelError, "call panicked",
					slog.String("procedure", call.Method.Procedure), slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
				err = fault.Wrap(fmt.Errorf("panic: %v", r), fault.Internal, "", "internal error; the gateway's log has the cause")
			}
		}()
		return next(ctx, call, stream)
	}
}
