package postgres_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/postgres"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// within is how long a test waits for what must come.
const within = 20 * time.Second

// twoGateways are one namespace on two instances.
func twoGateways(t *testing.T) (one, other *prism.Interfaces) {
	t.Helper()
	stores := [2]*prism.Interfaces{}
	name := schema()
	for i := range stores {
		stores[i] = namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "a \x00 \xff * { } ' \" shared")
	}
	return stores[0], stores[1]
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

// durableStream opens a stream of a durable subscription and returns its id, its messages and its end.
func durableStream(t *testing.T, ctx context.Context, i *prism.Interfaces, timeout time.Duration) (string, <-chan *pubsubv1.SubscribeDurableResponse, <-chan error) {
	t.Helper()
	responses, end := make(chan *pubsubv1.SubscribeDurableResponse, 100), make(chan error, 1)
	go func() {
		end <- i.PubSubPersistent.SubscribeDurable(ctx, &pubsubv1.SubscribeDurableRequest{
			Topic: "topic", Subscription: "name", AcknowledgementTimeout: durationpb.New(timeout),
			Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
		}, func(r *pubsubv1.SubscribeDurableResponse) error { responses <- r; return nil })
	}()
	return receive(t, responses).GetSubscribed().GetSubscriptionId(), responses, end
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(within):
		require.FailNow(t, "nothing comes", "within %s", within)
		panic("unreachable")
	}
}

func keep(t *testing.T, i *prism.Interfaces, payload string) {
	t.Helper()
	_, err := i.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)})
	require.NoError(t, err)
}

func TestQueuesAreSharedByGateways(t *testing.T) {
	t.Parallel()
	one, other := twoGateways(t)
	answers := make(chan *queuev1.DequeueWithTimeoutResponse, 1)
	go func() {
		response, _ := other.QueueVisibility.DequeueWithTimeout(patient(t), &queuev1.DequeueWithTimeoutRequest{Queue: "queue", WaitTime: durationpb.New(within)})
		answers <- response
	}()
	_, err := one.QueueBasic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte("payload"), IdempotencyKey: "key"})
	require.NoError(t, err)
	leased := receive(t, answers)
	require.Equal(t, "payload", string(leased.GetMessage().GetPayload()))
	again, err := other.QueueBasic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", IdempotencyKey: "key"})
	require.NoError(t, err)
	require.True(t, again.GetDuplicate())
	_, err = one.QueueVisibility.Acknowledge(t.Context(), &queuev1.AcknowledgeRequest{Queue: "queue", Receipt: leased.GetReceipt()})
	require.NoError(t, err, "a receipt is good on every gateway")
}

func TestLiveMessagesReachAllGateways(t *testing.T) {
	t.Parallel()
	one, other := twoGateways(t)
	responses := make(chan *pubsubv1.SubscribePatternResponse, 10)
	go func() {
		_ = other.PubSubWildcards.SubscribePattern(t.Context(), &pubsubv1.SubscribePatternRequest{Pattern: "a.>"}, func(r *pubsubv1.SubscribePatternResponse) error {
			responses <- r
			return nil
		})
	}()
	id := receive(t, responses).GetSubscribed().GetSubscriptionId()
	for n := range 3 {
		_, err := one.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: "a.b", Payload: []byte("the same")})
		require.NoError(t, err)
		require.Equal(t, "the same", string(receive(t, responses).GetMessage().GetPayload()), n)
	}
	_, err := one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), "the id is bound to the other gateway")
}

func TestDurableSubscriptionIsSharedByGateways(t *testing.T) {
	t.Parallel()
	one, other := twoGateways(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_, first, end := durableStream(t, ctx, one, time.Minute)
	for n := range 4 {
		keep(t, other, strconv.Itoa(n))
	}
	var receipts []string
	for n := range 4 {
		message := receive(t, first).GetMessage()
		require.Equal(t, strconv.Itoa(n), string(message.GetMessage().GetPayload()))
		receipts = append(receipts, message.GetReceipt())
	}
	_, err := other.PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: receipts[:2]})
	require.NoError(t, err, "a receipt is good on every gateway")
	id, second, secondEnd := durableStream(t, t.Context(), other, time.Minute)
	stop() // its messages go to the other gateway long before the timeout
	require.ErrorIs(t, receive(t, end), context.Canceled)
	for range 2 {
		message := receive(t, second).GetMessage()
		require.Contains(t, []string{"2", "3"}, string(message.GetMessage().GetPayload()))
		require.EqualValues(t, 2, message.GetDeliveryCount())
	}
	_, err = one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), "the id is bound to the other gateway")
	_, err = one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id, Forget: true})
	require.NoError(t, err)
	require.NoError(t, receive(t, secondEnd), "a stream whose subscription is forgotten elsewhere ends with OK")
}

func TestRetentionIsTold(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name, TopicRetention: durationpb.New(40 * time.Second)}), "topics")
	ctx, stop := context.WithCancel(t.Context())
	_, responses, end := durableStream(t, ctx, i, time.Minute)
	keep(t, i, "sent and not acknowledged")
	require.NotNil(t, receive(t, responses).GetMessage())
	stop()
	require.Error(t, receive(t, end))
	keep(t, i, "never sent")
	execute(t, shared(t, name), `update pubsub_messages set published = published - interval '1 hour'`)
	require.Eventually(t, func() bool {
		last, err := i.PubSubPersistent.GetLastMessageID(t.Context(), &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
		return err == nil && !last.GetFound()
	}, within, 50*time.Millisecond)
	_, responses, _ = durableStream(t, t.Context(), i, time.Minute)
	require.NotNil(t, receive(t, responses).GetMissed())
	keep(t, i, "next")
	require.Equal(t, "next", string(receive(t, responses).GetMessage().GetMessage().GetPayload()))
}

func TestStreamsEndWhenTheServerIsLost(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Postgres)
	store := open(t, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(server))})
	i := namespace(t, store, "streams")
	subscribe := func() (<-chan *pubsubv1.SubscribeResponse, <-chan error) {
		responses, end := make(chan *pubsubv1.SubscribeResponse, 10), make(chan error, 1)
		go func() {
			end <- i.PubSubBasic.Subscribe(t.Context(), &pubsubv1.SubscribeRequest{Topic: "topic"}, func(r *pubsubv1.SubscribeResponse) error { responses <- r; return nil })
		}()
		return responses, end
	}
	responses, end := subscribe()
	require.NotNil(t, receive(t, responses).GetSubscribed())
	require.NoError(t, server.Kill())
	require.Equal(t, fault.Unavailable, fault.CodeOf(receive(t, end)))
	require.NoError(t, server.Start(t.Context()))
	require.Eventually(t, func() bool {
		responses, end = subscribe()
		select {
		case r := <-responses:
			return r.GetSubscribed() != nil
		case err := <-end:
			require.Equal(t, fault.Unavailable, fault.CodeOf(err))
			return false
		}
	}, within, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := i.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: "topic"})
		return err == nil
	}, within, 50*time.Millisecond)
	require.NotNil(t, receive(t, responses).GetMessage())
}

func TestQueuesAndTopicsNeedNoMoreRightsThanTables(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Postgres)
	namespace(t, open(t, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(server))}), "owner")
	conn := connect(t, testenv.DSN(server), "prism")
	_, err := conn.Exec(t.Context(), `create user limited; grant usage on schema prism to limited; grant select, insert, update, delete on all tables in schema prism to limited`)
	require.NoError(t, err)
	limited := strings.Replace(testenv.DSN(server), "postgres://postgres@", "postgres://limited@", 1)
	i := namespace(t, open(t, &backendsv1.Postgres{Dsn: secret(t, limited)}), "limited")
	_, err = i.QueueBasic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", IdempotencyKey: "key"})
	require.NoError(t, err)
	_, responses, _ := durableStream(t, t.Context(), i, time.Minute)
	keep(t, i, "payload")
	require.NotNil(t, receive(t, responses).GetMessage())
}

// TestLossOfTheListeningConnectionIsLoggedOnce and not again with every attempt to make it anew.
func TestLossOfTheListeningConnectionIsLoggedOnce(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Postgres)
	var log lockedBuffer
	env := backend.Env{Instance: "test", Log: slog.New(slog.NewTextHandler(&log, nil)), Status: new(backend.Status)}
	store, err := postgres.Open(t.Context(), env, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(server))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(context.WithoutCancel(t.Context()))) })
	i := namespace(t, store, "streams")
	subscribe := func(subscribed func()) error {
		return i.PubSubBasic.Subscribe(patient(t), &pubsubv1.SubscribeRequest{Topic: "topic"}, func(*pubsubv1.SubscribeResponse) error {
			subscribed()
			return nil
		})
	}
	for range 2 {
		err = subscribe(func() { require.NoError(t, server.Stop()) })
		for range 4 { // each waits for an attempt
			require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
			err = subscribe(func() {})
		}
		require.NoError(t, server.Start(t.Context()))
		require.Eventually(t, func() bool {
			short, cancel := context.WithCancel(patient(t))
			defer cancel()
			err := i.PubSubBasic.Subscribe(short, &pubsubv1.SubscribeRequest{Topic: "topic"}, func(*pubsubv1.SubscribeResponse) error { cancel(); return nil })
			return fault.CodeOf(err) == fault.Canceled
		}, within, 50*time.Millisecond)
	}
	require.Equal(t, 2, strings.Count(log.String(), "the connection that listens"), "%s", log.String())
}

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu      sync.Mutex
	written bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.written.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.written.String()
}
