package observe_test

import (
	"context"
	"encoding/hex"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/observe"
)

const callersTrace = "0af7651916cd43dd8448eb211c80319c"

func tracingTo(endpoint string, ratio float64) *configv1.Observability {
	return &configv1.Observability{Tracing: &configv1.Tracing{Endpoint: endpoint, SampleRatio: &ratio}}
}

// end sends what waits.
func (f *fixture) end(t *testing.T) {
	t.Helper()
	require.NoError(t, f.Close(t.Context()))
}

func TestASpanOfACall(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	config := tracingTo(c.URL, 1)
	config.Tracing.ServiceName = "prism-test"
	f := newFixture(t, config, false)
	before := time.Now()
	require.NoError(t, f.serve(newCall(t, get, "x-request-id", "r-1"), in("default", nil)))
	f.end(t)

	require.Len(t, c.received(), 1)
	request := c.received()[0]
	require.Equal(t, "POST /v1/traces", request.Method+" "+request.URL.Path)
	require.Equal(t, "application/x-protobuf", request.Header.Get("Content-Type"))
	spans := c.spans(t)
	require.Len(t, spans, 1)
	span := spans[0]
	require.Equal(t, "test.v1.Store/Get", span.GetName())
	require.Equal(t, tracepb.Span_SPAN_KIND_SERVER, span.GetKind())
	require.Equal(t, "network.peer.address=192.0.2.1 network.peer.port=4711 prism.namespace=default prism.request_id=r-1 rpc.method=test.v1.Store/Get "+
		"rpc.response.status_code=OK rpc.system.name=grpc", attributes(span.GetAttributes()))
	require.Equal(t, tracepb.Status_STATUS_CODE_UNSET, span.GetStatus().GetCode())
	require.Regexp(t, "service.name=prism-test service.version=v1.2.3 telemetry.sdk.language=go telemetry.sdk.name=opentelemetry telemetry.sdk.version=", span.resource)
	require.Equal(t, "github.com/prismgate/prism/runtime/observe", span.scope)
	require.Empty(t, span.GetParentSpanId())
	require.GreaterOrEqual(t, span.GetStartTimeUnixNano(), uint64(before.UnixNano()))
	require.GreaterOrEqual(t, span.GetEndTimeUnixNano(), span.GetStartTimeUnixNano())
	require.Zero(t, f.value(t, "prism_traces_dropped_total"))
}

func TestASpanSaysWhoIsToBlame(t *testing.T) {
	t.Parallel()
	servers := map[fault.Code]bool{
		fault.Unknown: true, fault.DeadlineExceeded: true, fault.Unimplemented: true, fault.Internal: true, fault.Unavailable: true, fault.DataLoss: true,
	}
	c := newCollectorServer(t)
	f := newFixture(t, tracingTo(c.URL, 1), false)
	for code := fault.OK + 1; code <= fault.MaxCode; code++ {
		_ = f.serve(newCall(t, get).as("connect", ""), in("default", fault.Wrap(textError("hunter2"), code, "", "as the test says")))
	}
	_ = f.serve(newCall(t, get), serving("default", func(context.Context) error { panic("hunter2") }))
	f.end(t)
	spans := c.spans(t)
	require.Len(t, spans, int(fault.MaxCode)+1)
	for i, span := range spans[:fault.MaxCode] {
		code := fault.Code(i + 1)
		require.Contains(t, attributes(span.GetAttributes()), "rpc.response.status_code="+code.String())
		require.Contains(t, attributes(span.GetAttributes()), "rpc.system.name=connectrpc")
		if servers[code] {
			require.Equal(t, tracepb.Status_STATUS_CODE_ERROR, span.GetStatus().GetCode(), code)
			require.Equal(t, "as the test says", span.GetStatus().GetMessage())
			require.Contains(t, attributes(span.GetAttributes()), "error.type="+code.String())
		} else {
			require.Equal(t, tracepb.Status_STATUS_CODE_UNSET, span.GetStatus().GetCode(), code)
		}
	}
	require.Contains(t, attributes(spans[fault.MaxCode].GetAttributes()), "rpc.response.status_code=INTERNAL", "a call that panicked")
	for _, body := range c.bodies {
		require.NotContains(t, string(body), "hunter2")
	}
}

func TestWhoDecidesOnSampling(t *testing.T) {
	t.Parallel()
	parent := func(flags string) string { return "00-" + callersTrace + "-b7ad6b7169203331-" + flags }
	for _, c := range []struct {
		name   string
		ratio  float64
		header []string
		// sampled tells that there is a span; of the caller's trace when child is set.
		sampled, child bool
		// known tells that the handler knows the caller's trace.
		known bool
	}{
		{name: "nobody, at 0", ratio: 0},
		{name: "nobody, at 1", ratio: 1, sampled: true},
		{name: "the caller, for it", ratio: 0, header: []string{"traceparent", parent("01")}, sampled: true, child: true, known: true},
		{name: "the caller, against it", ratio: 1, header: []string{"traceparent", parent("00")}, known: true},
		{name: "a later version", ratio: 0, header: []string{"traceparent", "01" + parent("01")[2:] + "-what-comes"}, sampled: true, child: true, known: true},
		{name: "a malformed header", ratio: 1, header: []string{"traceparent", "00-" + callersTrace + "-01"}, sampled: true},
		{name: "two headers", ratio: 0, header: []string{"traceparent", parent("01"), "traceparent", parent("01")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := newCollectorServer(t)
			f := newFixture(t, tracingTo(server.URL, c.ratio), false)
			var seen trace.SpanContext
			var ctx context.Context
			require.NoError(t, f.serve(newCall(t, get, append(c.header, "tracestate", "a=1", "tracestate", "b=2")...), serving("default", func(inside context.Context) error {
				ctx, seen = inside, trace.SpanContextFromContext(inside)
				return nil
			})))
			f.end(t)
			spans := server.spans(t)
			if !c.sampled {
				require.Empty(t, spans)
				require.False(t, seen.IsSampled())
				require.Equal(t, c.known, seen.IsValid())
				if c.known {
					require.Equal(t, callersTrace, seen.TraceID().String(), "whoever is called in turn learns that the caller has decided")
				}
				return
			}
			require.Len(t, spans, 1)
			require.Equal(t, hex.EncodeToString(spans[0].GetSpanId()), seen.SpanID().String(), "the handler continues the span")
			require.True(t, seen.IsSampled())
			require.IsNotType(t, noop.Span{}, trace.SpanFromContext(ctx))
			require.Equal(t, c.child, hex.EncodeToString(spans[0].GetTraceId()) == callersTrace)
			if c.child {
				require.Equal(t, "b7ad6b7169203331", hex.EncodeToString(spans[0].GetParentSpanId()))
				require.Equal(t, "a=1,b=2", spans[0].GetTraceState())
				require.Equal(t, "a=1,b=2", seen.TraceState().String())
			} else {
				require.Empty(t, spans[0].GetParentSpanId())
			}
		})
	}
}

func TestAHandlerContinuesTheTraceWithoutAGlobal(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	f := newFixture(t, tracingTo(c.URL, 0), false)
	for _, parent := range []string{sampledParent, unsampledParent} {
		require.NoError(t, f.serve(newCall(t, get, "traceparent", parent), serving("default", func(ctx context.Context) error {
			_, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("a-backend").Start(ctx, "select")
			span.End()
			return nil
		})))
	}
	f.end(t)
	spans := c.spans(t)
	require.Len(t, spans, 2, "the caller has decided against the other two")
	slices.SortFunc(spans, func(a, b exported) int { return strings.Compare(a.scope, b.scope) })
	require.Equal(t, "a-backend", spans[0].scope)
	require.Equal(t, spans[1].GetSpanId(), spans[0].GetParentSpanId())
}

func TestAShareOfCallsIsSampled(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	f := newFixture(t, &configv1.Observability{Tracing: &configv1.Tracing{Endpoint: c.URL}}, false)
	sampled := 0
	for range 20_000 {
		require.NoError(t, f.serve(newCall(t, get), serving("default", func(ctx context.Context) error {
			if trace.SpanContextFromContext(ctx).IsSampled() {
				sampled++
			}
			return nil
		})))
	}
	// 1% by default: 200, with a standard deviation of 14.
	require.InDelta(t, 200, sampled, 140)
}

func TestASampledCallIsFoundInTheLogByItsTrace(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	f := newFixture(t, tracingTo(c.URL, 0), false)
	_ = f.serve(newCall(t, get, "traceparent", "00-"+callersTrace+"-b7ad6b7169203331-00"), in("default", textError("x")))
	require.Contains(t, f.log.String(), "trace_id="+callersTrace)
}

func TestAHandlersContextEndsWithTheCallersAndCostsNoGoroutine(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	f := newFixture(t, tracingTo(c.URL, 1), false)
	for _, parent := range []string{sampledParent, unsampledParent} {
		one := newCall(t, get, "traceparent", parent)
		ctx, cancel := context.WithCancelCause(t.Context())
		one.Context = ctx
		require.NoError(t, f.serve(one, serving("default", func(ctx context.Context) error {
			_, ok := ctx.(interface{ AfterFunc(func()) func() bool })
			require.True(t, ok)
			inner, stop := context.WithTimeout(ctx, time.Hour)
			defer stop()
			cancel(textError("gone"))
			<-inner.Done()
			require.Equal(t, textError("gone"), context.Cause(ctx))
			return nil
		})))
	}
}

func TestHeadersOfTheCollectorAreSecrets(t *testing.T) {
	t.Setenv("PRISM_TEST_COLLECTOR_KEY", "hunter2")
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("swordfish\n"), 0o600))
	c := newCollectorServer(t)
	c.status = http.StatusUnauthorized
	config := tracingTo(c.URL, 1)
	config.Tracing.Headers = map[string]*configv1.Secret{
		"authorization": {Source: &configv1.Secret_Env{Env: "PRISM_TEST_COLLECTOR_KEY"}},
		"x-tenant":      {Source: &configv1.Secret_File{File: file}},
	}
	f := newFixture(t, config, false)
	require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
	f.end(t)
	require.Len(t, c.received(), 1, "what is refused for good is not sent again")
	require.Equal(t, "hunter2", c.received()[0].Header.Get("Authorization"))
	require.Equal(t, "swordfish", c.received()[0].Header.Get("X-Tenant"))
	require.Equal(t, 1.0, f.value(t, "prism_traces_dropped_total"))
	require.Contains(t, f.log.String(), "the collector answered 401 Unauthorized; see observability.tracing.headers")
	require.NotContains(t, f.log.String(), "hunter2")
	require.NotContains(t, f.log.String(), "swordfish")
}

func TestACollectorThatRefusesSomeIsBelieved(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
	partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), "two are odd")
	c.answer = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial)
	f := newFixture(t, tracingTo(c.URL, 1), false)
	for range 5 {
		require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
	}
	f.end(t)
	require.Equal(t, 2.0, f.value(t, "prism_traces_dropped_total"))
	require.Contains(t, f.log.String(), "the collector refused 2 spans of a batch")
}

func TestAnswersThatAreNoAnswersDropNothing(t *testing.T) {
	t.Parallel()
	for _, answer := range [][]byte{nil, {}, {0xff}, {0x0a, 0xff}, {0x0a, 0x02, 0x08}, []byte("<html>ok</html>")} {
		c := newCollectorServer(t)
		c.answer = answer
		f := newFixture(t, tracingTo(c.URL, 1), false)
		require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
		f.end(t)
		require.Zero(t, f.value(t, "prism_traces_dropped_total"), "%x", answer)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := newCollectorServer(t)
	c := newCollectorServer(t)
	c.status, c.header = http.StatusTemporaryRedirect, map[string]string{"Location": elsewhere.URL}
	f := newFixture(t, tracingTo(c.URL, 1), false)
	require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
	f.end(t)
	require.Empty(t, elsewhere.received(), "it would get the collector's key")
	require.Equal(t, 1.0, f.value(t, "prism_traces_dropped_total"))
}

func TestADeadCollectorIsToldOf(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	c.Close()
	f := newFixture(t, tracingTo(c.URL, 1), false)
	for range 3 {
		require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
	}
	f.end(t)
	require.Equal(t, 3.0, f.value(t, "prism_traces_dropped_total"))
	require.Contains(t, f.log.String(), "connection refused")
}

func TestHTTPSIsSpokenByTheScheme(t *testing.T) {
	t.Parallel()
	c := new(collectorServer)
	c.Server = httptest.NewUnstartedServer(c)
	c.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.StartTLS()
	t.Cleanup(c.Close)
	f := newFixture(t, tracingTo(c.URL, 1), false)
	require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
	f.end(t)
	require.Contains(t, f.log.String(), "certificate signed by unknown authority", "a certificate of nobody is refused")
}

func TestNothingIsGlobal(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=b")
	provider := otel.GetTracerProvider()
	c := newCollectorServer(t)
	f := newFixture(t, tracingTo(c.URL, 1), false)
	require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
	f.end(t)
	require.Len(t, c.spans(t), 1)
	require.Empty(t, c.received()[0].Header.Get("A"))
	require.Same(t, provider, otel.GetTracerProvider())
}

func TestAReloadChangesTracing(t *testing.T) {
	t.Parallel()
	first, second := newCollectorServer(t), newCollectorServer(t)
	f := newFixture(t, nil, false)
	call := func() { require.NoError(t, f.serve(newCall(t, get), in("default", nil))) }
	use := func(c *configv1.Observability) {
		apply, err := f.Configure(c, false)
		require.NoError(t, err)
		apply()
	}
	call()
	use(tracingTo(first.URL, 1))
	call()
	use(tracingTo(first.URL, 0)) // the same collector goes on
	call()
	use(tracingTo(second.URL, 1))
	first.await(t, 1)
	call()
	_, err := f.Configure(tracingTo("ftp://nowhere", 1), false)
	require.Error(t, err)
	_, err = f.Configure(tracingTo(first.URL, 1), false)
	require.NoError(t, err, "what is not applied has not happened")
	call()
	second.await(t, 2)
	use(nil)
	call()
	f.end(t)
	require.Len(t, first.spans(t), 1)
	require.Len(t, second.spans(t), 2)
	require.Zero(t, f.value(t, "prism_traces_dropped_total"))
}

func TestASpanThatEndsAfterItsCollectorIsGoneIsCounted(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	f := newFixture(t, tracingTo(c.URL, 1), false)
	require.NoError(t, f.serve(newCall(t, get), serving("default", func(context.Context) error {
		f.end(t)
		return nil
	})))
	require.Empty(t, c.spans(t))
	require.Equal(t, 1.0, f.value(t, "prism_traces_dropped_total"))
}

func TestWhatIsWrongWithTracing(t *testing.T) {
	t.Parallel()
	env := func(name string) map[string]*configv1.Secret {
		return map[string]*configv1.Secret{name: {Source: &configv1.Secret_Env{Env: "PRISM_TEST_NOT_SET"}}}
	}
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("hunter2\nhunter3"), 0o600))
	for _, c := range []struct {
		name    string
		tracing *configv1.Tracing
		want    string
	}{
		{"no URL", &configv1.Tracing{Endpoint: "collector:4318"}, "observability.tracing.endpoint: is not the URL of a collector"},
		{"nothing", &configv1.Tracing{}, "observability.tracing.endpoint: is not the URL of a collector"},
		{"no host", &configv1.Tracing{Endpoint: "http://:4318"}, "observability.tracing.endpoint: is not the URL"},
		{"another scheme", &configv1.Tracing{Endpoint: "grpc://collector:4317"}, "observability.tracing.endpoint: is not the URL"},
		{"a port that is none", &configv1.Tracing{Endpoint: "http://hunter2@collector:x"}, "observability.tracing.endpoint: is not the URL"},
		{"a password", &configv1.Tracing{Endpoint: "http://me:hunter2@collector"}, "observability.tracing.endpoint: has a user, a query or a fragment"},
		{"a key", &configv1.Tracing{Endpoint: "http://collector?key=hunter2"}, "observability.tracing.endpoint: has a user, a query or a fragment"},
		{"a secret that is not there", &configv1.Tracing{Endpoint: "http://c", Headers: env("x-key")}, "observability.tracing.headers.x-key: the environment variable PRISM_TEST_NOT_SET is not set"},
		{"a name that is none", &configv1.Tracing{Endpoint: "http://c", Headers: env("x key")}, `observability.tracing.headers: "x key" is no name of a header`},
		{
			"a secret of two lines", &configv1.Tracing{Endpoint: "http://c", Headers: map[string]*configv1.Secret{"x-key": {Source: &configv1.Secret_File{File: file}}}},
			"observability.tracing.headers.x-key: the secret has characters that a header cannot have",
		},
	} {
		_, err := observe.New(t.Context(), observe.Options{Registry: prometheus.NewRegistry(), Config: &configv1.Observability{Tracing: c.tracing}})
		require.ErrorContains(t, err, c.want, c.name)
		require.NotContains(t, err.Error(), "hunter", c.name)
		var problems config.Problems
		require.ErrorAs(t, err, &problems, c.name)
	}
}

func TestThePathOfTheEndpointIsKept(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"": "/v1/traces", "/": "/v1/traces", "/otlp/v1/traces": "/otlp/v1/traces", "/x": "/x"} {
		c := newCollectorServer(t)
		f := newFixture(t, tracingTo(c.URL+given, 1), false)
		require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
		f.end(t)
		require.Equal(t, want, c.received()[0].URL.Path)
	}
}

// An ExportTraceServiceRequest has its resource_spans where a TracesData has them.
func TestARequestIsAnExportTraceServiceRequest(t *testing.T) {
	t.Parallel()
	c := newCollectorServer(t)
	f := newFixture(t, tracingTo(c.URL, 1), false)
	require.NoError(t, f.serve(newCall(t, get), in("default", nil)))
	f.end(t)
	number, kind, n := protowire.ConsumeTag(c.bodies[0])
	require.Equal(t, protowire.Number(1), number)
	require.Equal(t, protowire.BytesType, kind)
	inner, m := protowire.ConsumeBytes(c.bodies[0][n:])
	require.Len(t, c.bodies[0], n+m, "one field")
	require.NoError(t, proto.Unmarshal(inner, new(tracepb.ResourceSpans)))
}
