package observe

import (
	"context"

	"github.com/prismgate/prism/runtime/rpc"
)

// The names of request headers are in net/http's spelling, in which they are found without an allocation; a transport compares names without case.
const (
	requestIDLookup   = "X-Request-Id"
	traceParentLookup = "Traceparent"
	traceStateLookup  = "Tracestate"
	explainLookup     = "Prism-Explain"
)

// maxRequestID is the longest id that is taken from a caller: every log line of the call carries it.
const maxRequestID = 128

// requestID takes the id that the caller has given the call, and answers with it. A call that fails is answered with its id in any case, so that a person finds its
// line in the log; one that goes well and was given none costs nothing.
func requestID(next rpc.ServeFunc) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
		if id := call.Header.Get(requestIDLookup); id != "" && validRequestID(id) {
			call.RequestID = id
			if !headerWaits(call.Method) {
				call.Response.SetHeader(rpc.RequestIDHeader, id)
			}
		}
		err := next(ctx, call, stream)
		switch {
		case err != nil:
			call.Response.SetTrailer(rpc.RequestIDHeader, call.ID())
		case call.RequestID != "" && headerWaits(call.Method) && call.Header.Get(requestIDLookup) == call.RequestID:
			call.Response.SetHeader(rpc.RequestIDHeader, call.RequestID)
		}
		return err
	}
}

// headerWaits tells that a response's header is sent when the handler has returned: with the only message.
func headerWaits(m *rpc.Method) bool {
	return m.Shape == rpc.ShapeUnary || m.Shape == rpc.ShapeClientStream
}

// validRequestID tells whether an id is 1 to 128 visible ASCII characters. Any other is ignored rather than refused: the call is right without it.
func validRequestID(id string) bool {
	if len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != ""
}
