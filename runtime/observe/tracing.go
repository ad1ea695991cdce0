package observe

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/net/http/httpguts"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

const (
	// defaultSampleRatio is the share of calls that are sampled when the configuration does not say.
	defaultSampleRatio = 0.01
	defaultServiceName = "prism"
	// defaultTracesPath is OTLP's.
	defaultTracesPath = "/v1/traces"
	tracingPath       = "observability.tracing."
)

// tracing makes spans of calls. Whether a call is sampled is decided before anything is made for it.
type tracing struct {
	target   target
	tracer   trace.Tracer
	exporter *exporter
	// sampled is how many of 2^63 random numbers choose a call whose caller has not decided.
	sampled uint64
}

// target is where spans go, and under which name.
type target struct {
	endpoint, service string
	header            map[string]string
}

func (t target) equal(other target) bool {
	return t.endpoint == other.endpoint && t.service == other.service && maps.Equal(t.header, other.header)
}

// newTracing makes what a configuration says, or nil. What goes where it went before goes on with the same exporter; a new one waits to be started.
func (o *Observer) newTracing(c *configv1.Tracing, current *tracing) (*tracing, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // no tracing is no error
	}
	to, err := targetOf(c)
	if err != nil {
		return nil, err
	}
	ratio := defaultSampleRatio
	if c.SampleRatio != nil {
		ratio = c.GetSampleRatio()
	}
	t := &tracing{target: to, sampled: uint64(ratio * (1 << 63))}
	if current != nil && current.target.equal(to) {
		t.tracer, t.exporter = current.tracer, current.exporter
		return t, nil
	}
	t.exporter = newExporter(newCollector(to), o.metrics.dropped, o.log)
	t.tracer = newTracer(t.exporter, to.service, o.version)
	return t, nil
}

// sender is what sends the spans; nil when there are none.
func (t *tracing) sender() *exporter {
	if t == nil {
		return nil
	}
	return t.exporter
}

// targetOf reads a configuration. Its errors never show a secret, nor a URL, which may hold one.
func targetOf(c *configv1.Tracing) (target, error) {
	var problems config.Problems
	problem := func(path, message string) {
		problems = append(problems, config.Problem{Path: tracingPath + path, Message: message})
	}
	to := target{service: c.GetServiceName(), header: make(map[string]string, len(c.GetHeaders()))}
	if to.service == "" {
		to.service = defaultServiceName
	}
	u, err := url.Parse(c.GetEndpoint())
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		problem("endpoint", "is not the URL of a collector; one is http://127.0.0.1:4318 or https://collector.example.com:4318/v1/traces")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		problem("endpoint", "has a user, a query or a fragment; it is scheme, host, port and path, and keys go into headers, by reference")
	default:
		if u.Path == "" || u.Path == "/" {
			u.Path = defaultTracesPath
		}
		to.endpoint = u.String()
	}
	for _, name := range slices.Sorted(maps.Keys(c.GetHeaders())) {
		value, err := backend.Secret(c.GetHeaders()[name])
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			problem("headers", fmt.Sprintf("%q is no name of a header; one has letters, digits and -", rpc.Clip(name)))
		case err != nil:
			problem("headers."+name, err.Error())
		case !httpguts.ValidHeaderFieldValue(value):
			problem("headers."+name, "the secret has characters that a header cannot have, such as a line break")
		default:
			to.header[name] = value
		}
	}
	if len(problems) > 0 {
		return target{}, problems
	}
	return to, nil
}

// newTracer makes a tracer whose every span is recorded and given to a processor. Nothing of it is global, and the environment has no say but by
// OTEL_RESOURCE_ATTRIBUTES.
func newTracer(p sdktrace.SpanProcessor, service, version string) trace.Tracer {
	const most = 128 // the specification's default
	return sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithSpanProcessor(p),
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName(service), semconv.ServiceVersion(version),
			semconv.TelemetrySDKLanguageGo, semconv.TelemetrySDKName("opentelemetry"), semconv.TelemetrySDKVersion(sdk.Version()))),
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{
			AttributeValueLengthLimit: maxLogged, AttributeCountLimit: most, EventCountLimit: most, LinkCountLimit: most,
			AttributePerEventCountLimit: most, AttributePerLinkCountLimit: most,
		}),
	).Tracer("github.com/prismgate/prism/runtime/observe", trace.WithSchemaURL(semconv.SchemaURL))
}

// begin begins the span of a call that is sampled; the span is nil when it is not. The context knows the span, and it knows the caller's when the caller has decided
// against sampling, so that whoever is called in turn is told. A root that is not sampled leaves no trace at all.
func (t *tracing) begin(parent context.Context, call *rpc.Call) (context.Context, trace.Span) {
	caller := callerOf(call.Header)
	switch {
	case caller.IsSampled():
		parent = trace.ContextWithRemoteSpanContext(parent, caller)
	case caller.IsValid():
		return &unsampled{parent, caller}, nil
	case rand.Uint64()>>1 >= t.sampled: //nolint:gosec // a sample, not a secret
		return parent, nil
	}
	attributes := append(make([]attribute.KeyValue, 0, 4), systemOf(call.Peer.Protocol), semconv.RPCMethod(call.Method.Procedure[1:]))
	if host, port, err := net.SplitHostPort(call.Peer.Address); err == nil {
		number, _ := strconv.Atoi(port)
		attributes = append(attributes, semconv.NetworkPeerAddress(host), semconv.NetworkPeerPort(number))
	}
	ctx, span := t.tracer.Start(parent, call.Method.Procedure[1:],
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(call.Start), trace.WithAttributes(attributes...))
	return following{ctx, parent}, span
}

// systemOf is what OpenTelemetry calls a protocol. gRPC-Web is gRPC in another frame.
func systemOf(protocol string) attribute.KeyValue {
	if protocol == "connect" {
		return semconv.RPCSystemNameConnectrpc
	}
	return semconv.RPCSystemNameGRPC
}

// endSpan ends the span of a call. What the callee is to blame for is an error, by OpenTelemetry's convention for servers.
func endSpan(span trace.Span, call *rpc.Call, end *outcome) {
	span.SetAttributes(
		attribute.String("prism.namespace", call.Namespace),
		attribute.String("prism.request_id", call.ID()),
		semconv.RPCResponseStatusCode(end.code.String()),
	)
	switch end.code {
	case fault.Unknown, fault.DeadlineExceeded, fault.Unimplemented, fault.Internal, fault.Unavailable, fault.DataLoss:
		span.SetStatus(codes.Error, clip(end.public.Message))
		span.SetAttributes(semconv.ErrorTypeKey.String(end.code.String()))
	default:
	}
	span.End(trace.WithTimestamp(call.Start.Add(end.took)))
}

// following is a context that knows a span, of a parent that has AfterFunc: package context asks the context it is given, and would start a goroutine for each that is
// made from one without.
type following struct {
	context.Context //nolint:containedctx // it is one
	parent          context.Context
}

// AfterFunc runs f when the parent ends, see [rpc.CallContext.AfterFunc].
func (c following) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.parent, f) }

// unsampled is the context of a call whose caller has decided against sampling. It makes OpenTelemetry's context when somebody asks, which most handlers never do.
type unsampled struct {
	context.Context //nolint:containedctx // it is one
	caller          trace.SpanContext
}

// Value returns the caller's span, or the parent's value of a key.
func (c *unsampled) Value(key any) any {
	return trace.ContextWithRemoteSpanContext(c.Context, c.caller).Value(key)
}

// AfterFunc is that of [following].
func (c *unsampled) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }
