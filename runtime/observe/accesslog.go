package observe

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// defaultSlow is from when on a unary call is slow when the configuration does not say.
const defaultSlow = time.Second

// maxLogged bounds an error's text in the log.
const maxLogged = 4096

// accessLog says which calls are logged.
type accessLog struct {
	failed bool // calls that failed or were slow
	all    bool // every call
	slow   time.Duration
}

func newAccessLog(c *configv1.AccessLog) accessLog {
	a := accessLog{failed: c.GetCalls() != "off", all: c.GetCalls() == "all", slow: defaultSlow}
	if c.GetSlow() != nil {
		a.slow = c.GetSlow().AsDuration()
	}
	return a
}

// wants tells whether a call is logged, if the log has room.
func (a *accessLog) wants(call *rpc.Call, end *outcome) bool {
	return a.all || a.failed && (end.err != nil && levelOf(end) > slog.LevelInfo || a.isSlow(call, end))
}

// isSlow tells whether a call took long that should not: streams and calls that wait for something to happen take as long as they like.
func (a *accessLog) isSlow(call *rpc.Call, end *outcome) bool {
	return end.took >= a.slow && call.Method.Shape == rpc.ShapeUnary && !call.Method.Blocking
}

// levelOf is how bad it is that a call ended so: for the gateway's operator, not for the caller. Codes by which contracts give an answer, such as that there is no
// such key, are as good as OK, unless it was the gateway that gave it. Whoever cancels a call knows.
func levelOf(end *outcome) slog.Level {
	switch end.code {
	case fault.OK, fault.Canceled:
		return slog.LevelInfo
	case fault.NotFound, fault.AlreadyExists, fault.FailedPrecondition, fault.Aborted, fault.OutOfRange:
		if end.limit == "" {
			return slog.LevelInfo
		}
	case fault.Unknown, fault.Internal, fault.DataLoss:
		return slog.LevelError
	default:
	}
	return slog.LevelWarn
}

// logCall writes a call's line.
func (o *Observer) logCall(ctx context.Context, s *settings, call *rpc.Call, end *outcome) {
	level, text := levelOf(end), "call"
	switch {
	case end.err != nil:
		text = "call failed"
	case s.access.isSlow(call, end):
		level, text = slog.LevelWarn, "call was slow"
	}
	if !o.log.Enabled(ctx, level) || !s.access.all && !o.lines.take(level) {
		return
	}
	var fields [11]slog.Attr
	n := copy(fields[:], []slog.Attr{
		slog.String("namespace", call.Namespace),
		slog.String("procedure", call.Method.Procedure),
		slog.String("code", end.code.String()),
		slog.Duration("duration", end.took),
	})
	add := func(name, value string) {
		if value != "" {
			fields[n] = slog.String(name, value)
			n++
		}
	}
	if end.err != nil {
		call.ID() // the caller is told it
	}
	add("request_id", call.RequestID)
	if s.tracing != nil {
		if span := trace.SpanContextFromContext(ctx); span.IsValid() {
			add("trace_id", span.TraceID().String())
		}
	}
	add("peer", call.Peer.Address)
	add("protocol", call.Peer.Protocol)
	if end.err != nil {
		add("error", clip(end.public.Message))
		if level == slog.LevelError {
			add("cause", clip(end.err.Error()))
		}
	}
	o.log.LogAttrs(ctx, level, text, fields[:n]...)
}

// leftOut tells of lines that were left out.
func (o *Observer) leftOut(lines int) {
	o.log.LogAttrs(o.ctx, slog.LevelWarn, "calls were left out of the log; prism_calls_total has them all", slog.Int("calls", lines))
}

// clip bounds an error's text: some drivers repeat what they were given.
func clip(text string) string {
	if len(text) > maxLogged {
		text = strings.ToValidUTF8(text[:maxLogged], "?") + "..."
	}
	return text
}
