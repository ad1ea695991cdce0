package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
	"github.com/prismgate/prism/gen/go/prism/queue/v1/queuerpc"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestStreamsEndAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", nil), 0)
		c := &conn{gateway: g, namespace: "n"}
		begin := time.Now()
		ended := make(chan error, 1)
		go func() {
			ended <- c.serve(t.Context(), method(t, "pubsub_basic", "Subscribe"), &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
		}()
		synctest.Wait()
		apply(t, g, onMemStore("other", nil), 30*time.Second)
		err := <-ended
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		require.Equal(t, "CONFIGURATION_CHANGED", fault.ReasonOf(err))
		require.Equal(t, 30*time.Second, time.Since(begin))
	})
}

func TestStreamsOfWhatDidNotChangeGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", nil), 0)
		c := &conn{gateway: g, namespace: "n"}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- c.serve(ctx, method(t, "pubsub_basic", "Subscribe"), &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
		}()
		synctest.Wait()
		config := onMemStore("m", &configv1.NamespaceLimits{CallsPerSecond: 1000}) // limits are no reason to end a stream
		config.Namespaces = append(config.Namespaces, &configv1.Namespace{Name: "another", Backend: "m"})
		apply(t, g, config, time.Second)
		time.Sleep(time.Hour)
		require.Empty(t, ended)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// What was done is not told as a failure, or it would be done twice.
func TestAStreamThatEndsWellWithTheGraceHasEndedWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		subscribe := method(t, "pubsub_basic", "Subscribe")
		done := rpc.ServerStream(subscribe, func(ctx context.Context, _ *pubsubv1.SubscribeRequest, _ func(*pubsubv1.SubscribeResponse) error) error {
			<-ctx.Done() // at this very moment it ends by itself
			return nil
		})
		g := newGateway(t, scripted(handlers{done}, handlers{done}))
		apply(t, g, onMemStore("m", nil), 0)
		ended := make(chan error, 1)
		go func() {
			ended <- (&conn{gateway: g, namespace: "n"}).serve(t.Context(), subscribe, &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
		}()
		synctest.Wait()
		apply(t, g, onMemStore("other", nil), time.Second)
		require.NoError(t, <-ended)
	})
}

// Whoever gives up while a stream is ended hears why it ended, not that it was canceled, which nobody did.
func TestWhatEndedAStreamFirstIsToldOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		subscribe := method(t, "pubsub_basic", "Subscribe")
		slow := rpc.ServerStream(subscribe, func(ctx context.Context, _ *pubsubv1.SubscribeRequest, _ func(*pubsubv1.SubscribeResponse) error) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return ctx.Err()
		})
		for grace, want := range map[time.Duration]fault.Code{0: fault.Unavailable, 2 * time.Second: fault.DeadlineExceeded} {
			g := newGateway(t, scripted(handlers{slow}, handlers{slow}))
			apply(t, g, onMemStore("m", nil), 0)
			ended := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second+time.Second/2)
			go func() {
				ended <- (&conn{gateway: g, namespace: "n"}).serve(ctx, subscribe, &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
			}()
			synctest.Wait()
			time.Sleep(time.Second)
			apply(t, g, onMemStore("other", nil), grace)
			require.Equal(t, want, fault.CodeOf(<-ended))
			cancel()
		}
	})
}

func TestADrainEndsSubscriptionsAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", nil), 0)
		c := &conn{gateway: g, namespace: "n"}
		ended, answered := make(chan error, 1), make(chan error, 1)
		subscribe := func() {
			ended <- c.serve(t.Context(), method(t, "pubsub_basic", "Subscribe"), &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
		}
		go subscribe()
		go func() {
			_, err := queuerpc.NewBasicClient(&conn{gateway: g, namespace: "n"}).Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(20 * time.Second)})
			answered <- err
		}()
		synctest.Wait()
		require.Empty(t, ended)
		g.Drain()
		require.Equal(t, "GATEWAY_STOPPING", fault.ReasonOf(<-ended))
		go subscribe()
		require.Equal(t, "GATEWAY_STOPPING", fault.ReasonOf(<-ended), "one that comes too late")
		set(t, c, "a", "value")
		require.NoError(t, c.serve(t.Context(), method(t, "keyvalue_scan", "ScanKeys"), &keyvaluev1.ScanKeysRequest{}, discard))
		require.NoError(t, <-answered)
	})
}
