package observe_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/observe"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestAPanicEndsOneCall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		value func()
		said  string
	}{
		{"of the handler's own", func() { panic("the value hunter2 is odd") }, "panic with a string"},
		{"with an error", func() { panic(textError("hunter2")) }, "panic with a observe_test.textError"},
		{"of Go", func() { _ = []int{}[len(t.Name())] }, "runtime error: index out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil, false)
			one := newCall(t, get)
			err := f.serve(one, serving("default", func(context.Context) error { c.value(); return nil }))
			require.Equal(t, fault.Internal, fault.CodeOf(err))
			require.Equal(t, "internal error; the gateway's log has the cause", fault.Public(err).Message)
			require.NotContains(t, err.Error(), "hunter2")

			require.Equal(t, 1.0, f.value(t, "prism_calls_total", "namespace", "default", "code", "INTERNAL"))
			id := one.trailer[rpc.RequestIDHeader]
			require.Len(t, id, 1)
			lines := f.log.lines()
			require.Len(t, lines, 2, "the call, and the panic")
			require.Contains(t, lines[0], `msg="call failed" namespace=default procedure=/test.v1.Store/Get code=INTERNAL request_id=`+id[0])
			require.Contains(t, lines[1], `msg="call panicked" procedure=/test.v1.Store/Get request_id=`+id[0])
			require.Contains(t, lines[1], c.said)
			require.NotContains(t, f.log.String(), "hunter2")

			require.NoError(t, f.serve(newCall(t, get), in("default", nil)), "the next call is served")
		})
	}
}

func TestAPanicsStackIsLogged(t *testing.T) {
	t.Parallel()
	log := new(buffer)
	f := &fixture{Observer: newObserver(t, observe.Options{Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(log, nil))})}
	require.Error(t, f.serve(newCall(t, get), serving("default", func(context.Context) error { panic("odd") })))
	require.Contains(t, log.String(), "observe_test.TestAPanicsStackIsLogged.func")
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 128)
	failure := fault.New(fault.InvalidArgument, "no")
	for _, c := range []struct {
		name     string
		method   *rpc.Method
		given    string
		err      error
		header   []string
		trailers int
	}{
		{name: "none and well", method: get},
		{name: "none and failed", method: get, err: failure, trailers: 1},
		{name: "given and well", method: get, given: "abc-1", header: []string{"abc-1"}},
		{name: "given to a stream", method: scan, given: "abc-1", header: []string{"abc-1"}},
		{name: "given to a client's stream", method: bulkLoad, given: "abc-1", header: []string{"abc-1"}},
		{name: "given and failed", method: get, given: "abc-1", err: failure, trailers: 1},
		{name: "given to a stream that failed", method: scan, given: "abc-1", err: failure, header: []string{"abc-1"}, trailers: 1},
		{name: "the longest", method: get, given: long, header: []string{long}},
		{name: "too long", method: get, given: long + "a"},
		{name: "with a space", method: get, given: "a b"},
		{name: "with a control character", method: get, given: "a\x01b"},
		{name: "not ASCII", method: get, given: "größe"},
		{name: "too long, and failed", method: get, given: long + "a", err: failure, trailers: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil, false)
			one := newCall(t, c.method)
			if c.given != "" {
				one = newCall(t, c.method, "x-request-id", c.given)
			}
			require.Equal(t, c.err, errOrNil(f.serve(one, in("default", c.err))))
			require.Equal(t, c.header, one.answer[rpc.RequestIDHeader])
			require.Len(t, one.trailer[rpc.RequestIDHeader], c.trailers)
			if c.trailers == 0 {
				require.Empty(t, one.trailer)
				return
			}
			id := one.trailer[rpc.RequestIDHeader][0]
			if c.given != "" && len(c.given) <= 128 {
				require.Equal(t, c.given, id)
			}
			require.Contains(t, f.log.String(), "request_id="+id)
		})
	}
}

// errOrNil makes a nil error of an interface that is nil, for comparison.
func errOrNil(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	return err
}

func TestExplanationsAreGivenToThoseWhoAskAndMay(t *testing.T) {
	t.Parallel()
	explained := func(_ context.Context, call *rpc.Call, _ rpc.Stream) error {
		call.Namespace, call.Explain = "iot", "chain=multicast-registry, backend=memstore"
		return nil
	}
	for _, c := range []struct {
		name      string
		allowed   bool
		asked     string
		method    *rpc.Method
		explained bool
	}{
		{"asked and allowed", true, "1", get, true},
		{"a stream", true, "1", scan, true},
		{"not allowed", false, "1", get, false},
		{"not asked", true, "", get, false},
		{"asked for something else", true, "2", get, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, nil, c.allowed)
			one := newCall(t, c.method, "prism-explain", c.asked)
			require.NoError(t, f.serve(one, explained))
			if !c.explained {
				require.Empty(t, one.answer)
				require.Empty(t, one.trailer)
				return
			}
			where := one.answer
			if c.method == scan {
				where = one.trailer
			}
			require.Equal(t, []string{"namespace=iot, chain=multicast-registry, backend=memstore"}, where["prism-explain"])
			require.Regexp(t, `^total;dur=\d+\.\d{3}$`, where["server-timing"][0])
		})
	}
}

func TestExplanationsOfCallsWithoutANamespaceHaveTheTimeOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, true)
	one := newCall(t, get, "prism-explain", "1")
	require.NoError(t, f.serve(one, in("", nil)))
	require.Contains(t, one.answer, "server-timing")
	require.NotContains(t, one.answer, "prism-explain")
}

func TestAUsualCallCostsOneAllocationAtMost(t *testing.T) {
	f := newFixture(t, nil, true)
	serve := rpc.Chain(in("default", nil), f.Steps()...)
	one := newCall(t, get)
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() {
		one.Call.Namespace = ""
		if err := serve(&one.CallContext, &one.Call, one); err != nil {
			t.Error(err)
		}
	}), 1.0)
}

func TestCallsAndReloadsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	c := newCollectorServer(t)
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for i := range 200 {
				if i%2 == 0 {
					require.NoError(t, f.serve(newCall(t, get, "traceparent", sampledParent), in("default", nil)))
				} else {
					require.Error(t, f.serve(newCall(t, scan), in("other", internal("x"))))
				}
			}
		})
	}
	for i := range 20 {
		config := &configv1.Observability{AccessLog: &configv1.AccessLog{Calls: "all"}}
		if i%2 == 0 {
			config.Tracing = &configv1.Tracing{Endpoint: c.URL}
		}
		apply, err := f.Configure(config, i%3 == 0)
		require.NoError(t, err)
		apply()
		f.Forget("other")
	}
	calls.Wait()
	require.Equal(t, 400.0, f.value(t, "prism_calls_total", "namespace", "default", "code", "OK"))
}
