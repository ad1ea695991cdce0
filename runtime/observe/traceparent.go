package observe

import (
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/prismgate/prism/runtime/rpc"
)

// callerOf is the caller's span by W3C's trace context, of version 00 or as far as later versions must agree with it. It is invalid when there is none, or more than one,
// or when it is malformed. OpenTelemetry's own reader takes three times as long, which calls that are not sampled would pay.
func callerOf(header rpc.Header) trace.SpanContext {
	const size = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	fields := header.Values(traceParentLookup)
	if len(fields) != 1 || len(fields[0]) < size {
		return trace.SpanContext{}
	}
	text, rest := fields[0][:size], fields[0][size:]
	version, ok := hexByte(text[:2])
	if !ok || version == 0xff || text[2] != '-' || text[35] != '-' || text[52] != '-' || version == 0 && rest != "" || rest != "" && rest[0] != '-' {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(text[3:35])
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(text[36:52])
	if err != nil {
		return trace.SpanContext{}
	}
	flags, ok := hexByte(text[53:])
	if !ok || version == 0 && flags > byte(trace.FlagsSampled|trace.FlagsRandom) {
		return trace.SpanContext{}
	}
	caller := trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags) & (trace.FlagsSampled | trace.FlagsRandom), Remote: true,
	}
	if states := header.Values(traceStateLookup); len(states) > 0 {
		caller.TraceState, _ = trace.ParseTraceState(strings.Join(states, ",")) // one that is malformed is none, by the specification
	}
	return trace.NewSpanContext(caller)
}

// hexByte reads two digits in lower case.
func hexByte(text string) (value byte, ok bool) {
	for i := range 2 {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			value = value<<4 | (c - '0')
		case 'a' <= c && c <= 'f':
			value = value<<4 | (c - 'a' + 10)
		default:
			return 0, false
		}
	}
	return value, true
}
