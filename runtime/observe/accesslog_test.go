package observe_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

func logging(calls string) *configv1.Observability {
	return &configv1.Observability{AccessLog: &configv1.AccessLog{Calls: calls}}
}

// Every line there is, but for its time, duration and stack.
func TestLinesOfCalls(t *testing.T) {
	t.Parallel()
	refused := fault.New(fault.NotFound, "no namespace %q", "x").WithReason("NAMESPACE_NOT_FOUND")
	for _, c := range []struct {
		name   string
		end    error
		errors string // in the mode errors; empty for none
		all    string // in the mode all
	}{
		{"OK", nil, "", `level=INFO msg=call namespace=default procedure=/test.v1.Store/Get code=OK request_id=r-1 peer=192.0.2.1:4711 protocol=grpc`},
		{
			"an answer by a code", fault.New(fault.NotFound, "there is no such key"), "",
			`level=INFO msg="call failed" namespace=default procedure=/test.v1.Store/Get code=NOT_FOUND request_id=r-1 peer=192.0.2.1:4711 protocol=grpc error="there is no such key"`,
		},
		{
			"canceled by the caller", context.Canceled, "",
			`level=INFO msg="call failed" namespace=default procedure=/test.v1.Store/Get code=CANCELED request_id=r-1 peer=192.0.2.1:4711 protocol=grpc error="the call was canceled"`,
		},
		{
			"an answer of the gateway by the same code", refused,
			`level=WARN msg="call failed" namespace=default procedure=/test.v1.Store/Get code=NOT_FOUND request_id=r-1 peer=192.0.2.1:4711 protocol=grpc error="no namespace \"x\""`, "",
		},
		{
			"the caller's fault", fault.Invalid("key", "must not be empty"),
			`level=WARN msg="call failed" namespace=default procedure=/test.v1.Store/Get code=INVALID_ARGUMENT request_id=r-1 peer=192.0.2.1:4711 protocol=grpc error="key: must not be empty"`, "",
		},
		{
			"the backend's trouble", fault.Wrap(textError("dial 10.0.0.7"), fault.Unavailable, "redis.Get", "the backend does not answer"),
			`level=WARN msg="call failed" namespace=default procedure=/test.v1.Store/Get code=UNAVAILABLE request_id=r-1 peer=192.0.2.1:4711 protocol=grpc error="the backend does not answer"`, "",
		},
		{
			"a defect", textError("index is corrupt"),
			`level=ERROR msg="call failed" namespace=default procedure=/test.v1.Store/Get code=INTERNAL request_id=r-1 peer=192.0.2.1:4711 protocol=grpc ` +
				`error="internal error; the gateway's log has the cause" cause="index is corrupt"`, "",
		},
		{
			"a defect that the backend knows", internal("page 7 is corrupt"),
			`level=ERROR msg="call failed" namespace=default procedure=/test.v1.Store/Get code=INTERNAL request_id=r-1 peer=192.0.2.1:4711 protocol=grpc ` +
				`error="the store is broken" cause="store.Get: INTERNAL: the store is broken: page 7 is corrupt"`, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.all == "" {
				c.all = c.errors // the same line
			}
			for mode, want := range map[string]string{"": c.errors, "errors": c.errors, "all": c.all, "off": ""} {
				f := newFixture(t, logging(mode), false)
				_ = f.serve(newCall(t, get, "x-request-id", "r-1"), in("default", c.end))
				require.Equal(t, want, strings.Join(f.log.lines(), "\n"), "mode %q", mode)
			}
		})
	}
}

func TestACallThatWasGivenNoIDAndWentWellHasNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, logging("all"), false)
	require.NoError(t, f.serve(newCall(t, get).as("", ""), in("default", nil)))
	require.Equal(t, []string{"level=INFO msg=call namespace=default procedure=/test.v1.Store/Get code=OK"}, f.log.lines())
}

func TestWhichCodesAreLogged(t *testing.T) {
	t.Parallel()
	levels := map[fault.Code]string{
		fault.Unknown: "ERROR", fault.Internal: "ERROR", fault.DataLoss: "ERROR",
		fault.InvalidArgument: "WARN", fault.DeadlineExceeded: "WARN", fault.PermissionDenied: "WARN", fault.ResourceExhausted: "WARN",
		fault.Unimplemented: "WARN", fault.Unavailable: "WARN", fault.Unauthenticated: "WARN",
	}
	for code := fault.OK + 1; code <= fault.MaxCode; code++ {
		f := newFixture(t, nil, false)
		_ = f.serve(newCall(t, get), in("default", fault.New(code, "no")))
		if level, logged := levels[code]; logged {
			require.Contains(t, f.log.String(), "level="+level, code)
		} else {
			require.Empty(t, f.log.lines(), code)
		}
	}
}

func TestSlowCalls(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		method *rpc.Method
		slow   *durationpb.Duration
		takes  time.Duration
		logged bool
	}{
		{"by default, a second", get, nil, time.Second, true},
		{"by default, less", get, nil, time.Second - 1, false},
		{"as configured", get, durationpb.New(time.Millisecond), time.Millisecond, true},
		{"one that waits by its nature", dequeue, nil, time.Hour, false},
		{"a stream", scan, nil, time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, &configv1.Observability{AccessLog: &configv1.AccessLog{Slow: c.slow}}, false)
				require.NoError(t, f.serve(newCall(t, c.method), serving("default", func(context.Context) error {
					time.Sleep(c.takes)
					return nil
				})))
				if c.logged {
					require.Equal(t, []string{`level=WARN msg="call was slow" namespace=default procedure=/test.v1.Store/Get code=OK peer=192.0.2.1:4711 protocol=grpc`}, f.log.lines())
				} else {
					require.Empty(t, f.log.lines())
				}
			})
		})
	}
}

func TestASecondHasSoManyLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil, false)
		fail := func(n int, err error) {
			for range n {
				_ = f.serve(newCall(t, get), in("default", err))
			}
		}
		refusal := fault.New(fault.ResourceExhausted, "too fast")
		fail(1000, refusal)
		require.Len(t, f.log.lines(), 80)
		fail(50, textError("a defect"))
		require.Len(t, f.log.lines(), 100, "a flood of refusals leaves room for the gateway's own errors")

		time.Sleep(time.Second)
		synctest.Wait()
		lines := f.log.lines()
		require.Len(t, lines, 101)
		require.Equal(t, `level=WARN msg="calls were left out of the log; prism_calls_total has them all" calls=950`, lines[100])

		fail(1, refusal)
		require.Len(t, f.log.lines(), 102, "the next second has room")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, f.log.lines(), 102, "nothing was left out since")
		require.Equal(t, 1001.0, f.value(t, "prism_calls_total", "code", "RESOURCE_EXHAUSTED"))
	})
}

func TestWhatWasLeftOutIsToldAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil, false)
		for range 90 {
			_ = f.serve(newCall(t, get), in("default", fault.New(fault.Unavailable, "no")))
		}
		require.NoError(t, f.Close(t.Context()))
		lines := f.log.lines()
		require.Contains(t, lines[len(lines)-1], "calls=10")
	})
}

func TestAllLogsAllHoweverMany(t *testing.T) {
	t.Parallel()
	f := newFixture(t, logging("all"), false)
	for i := range 500 {
		_ = f.serve(newCall(t, get), in("default", []error{nil, fault.New(fault.Unavailable, "no")}[i%2]))
	}
	require.Len(t, f.log.lines(), 500)
}

func TestALongErrorIsCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil, false)
	_ = f.serve(newCall(t, get), in("default", internal(strings.Repeat("ö", 10_000))))
	require.Len(t, f.log.lines(), 1)
	require.Less(t, len(f.log.String()), 6000)
	require.Contains(t, f.log.String(), "...")
}
