package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
	"github.com/prismgate/prism/gen/go/prism/queue/v1/queuerpc"
	"github.com/prismgate/prism/runtime/fault"
)

func TestCallsBeyondTheRateAreToldWhenToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", &configv1.NamespaceLimits{CallsPerSecond: 2, Burst: 1}), 0)
		c := &conn{gateway: g, namespace: "n"}
		_, err := get(t, c, "a")
		require.NoError(t, err)
		_, err = get(t, c, "a")
		require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
		require.Equal(t, "RATE_LIMIT_EXCEEDED", fault.ReasonOf(err))
		require.ErrorContains(t, err, `namespace "n": more than 2 calls a second; slow down, or raise limits.calls_per_second`)
		time.Sleep(retryOf(t, err))
		_, err = get(t, c, "a")
		require.NoError(t, err)
	})
}

func retryOf(t *testing.T, err error) time.Duration {
	t.Helper()
	for _, detail := range fault.Public(err).Details {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	require.Fail(t, "no RetryInfo", err)
	return 0
}

func TestCallsBeyondThoseAtOnceAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", &configv1.NamespaceLimits{MaxConcurrentCalls: 2}), 0)
		c := &conn{gateway: g, namespace: "n"}
		answered := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := queuerpc.NewBasicClient(&conn{gateway: g, namespace: "n"}).Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(time.Second)})
				answered <- err
			}()
		}
		synctest.Wait()
		for range 3 { // one that is refused takes no place
			_, err := get(t, c, "a")
			require.Equal(t, "CONCURRENCY_LIMIT_EXCEEDED", fault.ReasonOf(err))
			require.ErrorContains(t, err, "limits.max_concurrent_calls")
		}
		require.NoError(t, <-answered)
		require.NoError(t, <-answered)
		_, err := get(t, c, "a")
		require.NoError(t, err)
	})
}

func TestTheTransportIsToldTheLargestMessage(t *testing.T) {
	g := newGateway(t)
	apply(t, g, onMemStore("m", &configv1.NamespaceLimits{MaxMessageBytes: 100}), 0)
	c := &conn{gateway: g, namespace: "n"}
	_, err := get(t, c, "a")
	require.NoError(t, err)
	require.Equal(t, 100, c.limit)
}

func TestDeadlines(t *testing.T) {
	for name, c := range map[string]struct {
		limits *configv1.NamespaceLimits
		caller time.Duration
		want   time.Duration
		reason string
	}{
		"the default":            {&configv1.NamespaceLimits{DefaultDeadline: durationpb.New(2 * time.Second)}, 0, 2 * time.Second, "DEADLINE_LIMIT_EXCEEDED"},
		"the caller's":           {&configv1.NamespaceLimits{DefaultDeadline: durationpb.New(2 * time.Second)}, 3 * time.Second, 3 * time.Second, ""},
		"the longest":            {&configv1.NamespaceLimits{MaxDeadline: durationpb.New(2 * time.Second)}, 3 * time.Second, 2 * time.Second, "DEADLINE_LIMIT_EXCEEDED"},
		"shorter than that":      {&configv1.NamespaceLimits{MaxDeadline: durationpb.New(2 * time.Second)}, time.Second, time.Second, ""},
		"the longest of nothing": {&configv1.NamespaceLimits{MaxDeadline: durationpb.New(2 * time.Second)}, 0, 2 * time.Second, "DEADLINE_LIMIT_EXCEEDED"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t)
				apply(t, g, onMemStore("m", c.limits), 0)
				ctx := t.Context()
				if c.caller > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.caller)
					defer cancel()
				}
				begin := time.Now()
				_, err := queuerpc.NewBasicClient(&conn{gateway: g, namespace: "n"}).Dequeue(ctx, &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(20 * time.Second)})
				require.Equal(t, fault.DeadlineExceeded, fault.CodeOf(err))
				require.Equal(t, c.reason, fault.ReasonOf(err))
				require.Equal(t, c.want, time.Since(begin))
			})
		})
	}
}
