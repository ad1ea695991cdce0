package observe_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/observe"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestCallsAreCountedByHowTheyEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	for code := fault.OK; code <= fault.MaxCode; code++ {
		for range int(code) + 1 {
			var err error
			if code != fault.OK {
				err = fault.New(code, "as the test says")
			}
			_ = f.serve(newCall(t, get), in("default", err))
		}
	}
	for code := fault.OK; code <= fault.MaxCode; code++ {
		require.Equal(t, float64(code+1), f.value(t, "prism_calls_total",
			"namespace", "default", "service", "test.v1.Store", "method", "Get", "code", code.String()), code)
	}
	require.Equal(t, 153.0, f.value(t, "prism_call_duration_seconds", "namespace", "default", "service", "test.v1.Store", "method", "Get"))
}

func TestErrorsThatAreNoFaultsAreInternal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	_ = f.serve(newCall(t, get), in("default", textError("odd")))
	_ = f.serve(newCall(t, get), in("default", context.Canceled))
	require.Equal(t, 1.0, f.value(t, "prism_calls_total", "code", "INTERNAL"))
	require.Equal(t, 1.0, f.value(t, "prism_calls_total", "code", "CANCELED"))
}

func TestStreamsAreCountedAndNotTimed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	require.NoError(t, f.serve(newCall(t, scan), in("default", nil)))
	require.Equal(t, 1.0, f.value(t, "prism_calls_total", "method", "Scan"))
	require.Zero(t, f.seriesOf(t, "prism_call_duration_seconds"))
}

func TestRefusalsAreCountedByTheirLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	limits := map[string]string{
		"NAMESPACE_MISSING": "namespace_missing", "NAMESPACE_AMBIGUOUS": "namespace_ambiguous", "NAMESPACE_NOT_FOUND": "namespace_unknown",
		"INTERFACE_NOT_OFFERED": "interface_not_offered", "RATE_LIMIT_EXCEEDED": "rate", "CONCURRENCY_LIMIT_EXCEEDED": "concurrency",
		"MESSAGE_TOO_LARGE": "message_size", "DEADLINE_LIMIT_EXCEEDED": "deadline", "CONFIGURATION_CHANGED": "configuration_changed",
	}
	for reason := range limits {
		_ = f.serve(newCall(t, get), in("default", fault.New(fault.ResourceExhausted, "no").WithReason(reason)))
	}
	for reason, limit := range limits {
		require.Equal(t, 1.0, f.value(t, "prism_refused_total", "namespace", "default", "limit", limit), reason)
	}
	_ = f.serve(newCall(t, get), in("default", fault.New(fault.ResourceExhausted, "no").WithReason("A_BACKENDS_OWN")))
	_ = f.serve(newCall(t, get), in("default", fault.New(fault.ResourceExhausted, "no")))
	require.Equal(t, len(limits), f.seriesOf(t, "prism_refused_total"), "a backend's answer is no refusal of the gateway")
}

func TestNamespacesThatDoNotExistAreOneSeries(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	for i := range 100 {
		name := fmt.Sprintf("guess-%d", i)
		_ = f.serve(newCall(t, get, rpc.NamespaceHeader, name), in("", fault.New(fault.NotFound, "no namespace %q", name).WithReason("NAMESPACE_NOT_FOUND")))
	}
	require.Equal(t, 100.0, f.value(t, "prism_calls_total", "namespace", "", "code", "NOT_FOUND"))
	require.Equal(t, 100.0, f.value(t, "prism_refused_total", "namespace", "", "limit", "namespace_unknown"))
	require.Equal(t, 1, f.seriesOf(t, "prism_calls_total"))
}

func TestRequestsThatAreRefusedMakeNoSeriesOfTheirOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	f.RequestRefused("grpc", rpc.RefusedProcedure)
	f.RequestRefused("http", rpc.RefusedMethod)
	for i := range 100 {
		f.RequestRefused(fmt.Sprint("protocol", i), fmt.Sprint("reason", i))
	}
	require.Equal(t, 1.0, f.value(t, "prism_requests_refused_total", "protocol", "grpc", "reason", "unknown_procedure"))
	require.Equal(t, 1.0, f.value(t, "prism_requests_refused_total", "protocol", "http", "reason", "http_method"))
	require.Equal(t, 100.0, f.value(t, "prism_requests_refused_total", "protocol", "other", "reason", "other"))
	require.Equal(t, 3, f.seriesOf(t, "prism_requests_refused_total"))
}

func TestNamespacesThatAreGoneHaveNoSeries(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	reload := func(namespace string) {
		require.NoError(t, f.serve(newCall(t, get), in(namespace, nil)))
		require.NoError(t, f.serve(newCall(t, scan), in(namespace, nil)))
		_ = f.serve(newCall(t, get), in(namespace, fault.New(fault.ResourceExhausted, "no").WithReason("RATE_LIMIT_EXCEEDED")))
	}
	reload("kept")
	for i := range 50 {
		reload(fmt.Sprint("short-lived-", i))
		f.Forget(fmt.Sprint("short-lived-", i), "never-there")
	}
	require.Equal(t, 3, f.seriesOf(t, "prism_calls_total"))
	require.Equal(t, 1, f.seriesOf(t, "prism_call_duration_seconds"))
	require.Equal(t, 1, f.seriesOf(t, "prism_refused_total"))
	reload("short-lived-1")
	require.Equal(t, 1.0, f.value(t, "prism_calls_total", "namespace", "short-lived-1", "method", "Scan"), "one that comes back begins anew")
}

func TestCallsInFlightAreThoseThatTheGatewayCounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	require.NoError(t, f.RegisterInFlight(func(yield func(string, int64)) {
		yield("a", 3)
		yield("b", 0)
	}))
	require.Equal(t, 3.0, f.value(t, "prism_calls_in_flight", "namespace", "a"))
	require.Equal(t, 2, f.seriesOf(t, "prism_calls_in_flight"))
}

func TestBackendsShowHowTheirServersAre(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	well, ill := new(backend.Status), new(backend.Status)
	ill.Unavailable("its server does not answer")
	ill.Openings.Add(1)
	ill.Retries.Add(4)
	for _, calls := range []int{1, 1, 3, 200} {
		well.Batches("read").Observe(calls)
	}
	require.NoError(t, f.RegisterBackends(func(yield func(string, string, *backend.Status)) {
		yield("orders", "postgres", ill)
		yield("cache", "redis", well)
	}))
	require.Equal(t, 0.0, f.value(t, "prism_backend_up", "backend", "orders", "type", "postgres"))
	require.Equal(t, 1.0, f.value(t, "prism_backend_up", "backend", "cache", "type", "redis"))
	require.Equal(t, 1.0, f.value(t, "prism_backend_breaker_openings_total", "backend", "orders"))
	require.Equal(t, 4.0, f.value(t, "prism_backend_retries_total", "backend", "orders"))
	require.Equal(t, 1, f.seriesOf(t, "prism_backend_batch_size"), "orders has no lane")
	ill.Ready()
	require.Equal(t, 1.0, f.value(t, "prism_backend_up", "backend", "orders"))
}

func TestTheBuildIsToldByItsLabels(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	require.Equal(t, 1.0, f.value(t, "prism_build_info", "version", "v1.2.3", "revision", "abc", "goversion", "go1.26"))
}

func TestARegistryTakesOneObserver(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	_, err := observe.New(t.Context(), observe.Options{Registry: registry})
	require.NoError(t, err)
	_, err = observe.New(t.Context(), observe.Options{Registry: registry})
	require.Error(t, err)
}
