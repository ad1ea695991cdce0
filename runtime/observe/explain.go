package observe

import (
	"context"
	"strconv"
	"time"

	"github.com/prismgate/prism/runtime/rpc"
)

// The fields of an explanation.
const (
	timingHeader  = "server-timing"
	explainHeader = "prism-explain"
)

// explain answers callers who ask with what served the call and how long it took, when the configuration allows it: in the header of a response of one message, and
// in the trailer of a stream.
func (o *Observer) explain(next rpc.ServeFunc) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
		if !o.settings.Load().explain || call.Header.Get(explainLookup) != "1" {
			return next(ctx, call, stream)
		}
		err := next(ctx, call, stream)
		set := call.Response.SetTrailer
		if headerWaits(call.Method) {
			set = call.Response.SetHeader
		}
		milliseconds := float64(time.Since(call.Start)) / float64(time.Millisecond)
		set(timingHeader, "total;dur="+strconv.FormatFloat(milliseconds, 'f', 3, 64))
		if call.Namespace != "" {
			text := "namespace=" + call.Namespace
			if call.Explain != "" {
				text += ", " + call.Explain
			}
			set(explainHeader, text)
		}
		return err
	}
}
