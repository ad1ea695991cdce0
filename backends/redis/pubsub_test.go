package redis_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// waiting is how long a test waits for what must come.
const waiting = 20 * time.Second

func TestTopicsOfNamespacesAreSeparateWhateverTheirNames(t *testing.T) {
	t.Parallel()
	store := open(t, &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address(), Prefix: t.Name()})
	streams := make(map[string]*stream[*pubsubv1.SubscribePatternResponse])
	for _, name := range hostileNames() {
		streams[name] = subscribePattern(t, namespace(t, store, name), ">")
	}
	for _, name := range hostileNames() {
		publish(t, namespace(t, store, name), "topic", "of "+name)
	}
	for _, name := range hostileNames() {
		require.Equal(t, "of "+name, string(streams[name].next(t).GetMessage().GetPayload()), "%q", name)
		publish(t, namespace(t, store, name), "topic", "last")
		require.Equal(t, "last", string(streams[name].next(t).GetMessage().GetPayload()), "%q", name)
	}
}

func TestTopicsAreSharedByGateways(t *testing.T) {
	t.Parallel()
	one, other := twoGateways(t)
	live := subscribe(t, other, "topic")
	publish(t, one, "topic", "live")
	require.Equal(t, "live", string(live.next(t).GetMessage().GetPayload()))
	_, err := one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: live.id})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), "the id of a live subscription is bound to its gateway")

	ordered, err := one.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte("first")})
	require.NoError(t, err)
	publishOrdered(t, other, "second")
	resumed := start(t, func(ctx context.Context, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
		return other.PubSubOrdering.SubscribeOrdered(ctx, &pubsubv1.SubscribeOrderedRequest{
			Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: ordered.GetMessageId()},
		}, send)
	})
	require.Equal(t, "second", string(resumed.next(t).GetMessage().GetMessage().GetPayload()))
}

// TestStreamsEndWhenTheServerCutsASlowGateway publishes, at once, more than the server keeps for a subscriber.
func TestStreamsEndWhenTheServerCutsASlowGateway(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis, "--client-output-buffer-limit", "pubsub", "1mb", "0", "0")
	n := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "n")
	live := subscribe(t, n, "topic")
	direct := dial(t, &client.Options{Addr: server.Address()})
	channels, err := direct.PubSubChannels(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Len(t, channels, 1)
	_, err = direct.TxPipelined(t.Context(), func(p client.Pipeliner) error {
		for range 16 {
			p.Publish(t.Context(), channels[0], make([]byte, 1<<20))
		}
		return nil
	})
	require.NoError(t, err)
	err = live.ending(t)
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "messages may be; subscribe again")
	subscribe(t, n, "topic")
}

// TestDurableSubscriptionIsSharedByGateways serves one durable subscription on two instances.
func TestDurableSubscriptionIsSharedByGateways(t *testing.T) {
	t.Parallel()
	one, other := twoGateways(t)
	first := subscribeDurable(t, one, "name")
	keep(t, other, "a")
	a := first.next(t).GetMessage()
	require.Equal(t, "a", string(a.GetMessage().GetPayload()))
	second := subscribeDurable(t, other, "name")
	_, err := other.PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{a.GetReceipt()}})
	require.NoError(t, err, "a receipt is good on every gateway")
	keep(t, one, "b")
	keep(t, one, "c")

	// What one stream has not acknowledged comes on the other when it has ended, also by way of another gateway than its own.
	response, err := other.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: first.id})
	require.NoError(t, err)
	require.True(t, response.GetUnsubscribed())
	require.NoError(t, first.ending(t))
	require.ElementsMatch(t, []string{"b", "c"}, []string{
		string(second.next(t).GetMessage().GetMessage().GetPayload()), string(second.next(t).GetMessage().GetMessage().GetPayload()),
	})
	_, err = one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: second.id, Forget: true})
	require.NoError(t, err)
	require.NoError(t, second.ending(t), "it is forgotten on every gateway")
	again := subscribeDurable(t, one, "name")
	require.Equal(t, "a", string(again.next(t).GetMessage().GetMessage().GetPayload()), "it begins anew")
}

// TestWhatRetentionRemovesIsMissed lets the messages of streams go before they are read.
func TestWhatRetentionRemovesIsMissed(t *testing.T) {
	t.Parallel()
	config := &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address(), Prefix: rand.Text()}
	i := namespace(t, open(t, config), "namespace")
	short := proto.CloneOf(config) // a gateway that keeps nothing, so that the test needs to wait for nothing
	short.TopicRetention = durationpb.New(time.Millisecond)
	removing := namespace(t, open(t, short), "namespace")
	reading := subscribeDurable(t, i, "reading")
	subscribeDurable(t, i, "away").stop()
	keep(t, i, "lost")
	unacknowledged := reading.next(t).GetMessage()
	require.Equal(t, "lost", string(unacknowledged.GetMessage().GetPayload()))
	first, err := i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key"})
	require.NoError(t, err)
	publishOrdered(t, i, "lost")

	require.Eventually(t, func() bool {
		last, err := removing.PubSubPersistent.GetLastMessageID(t.Context(), &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
		require.NoError(t, err)
		return !last.GetFound()
	}, waiting, time.Millisecond)
	require.NotNil(t, reading.next(t).GetMissed(), "it was removed before it was acknowledged")
	keep(t, i, "next")
	require.Equal(t, "next", string(reading.next(t).GetMessage().GetMessage().GetPayload()))
	_, err = i.PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "reading", Receipts: []string{unacknowledged.GetReceipt()}})
	require.NoError(t, err, "a receipt whose message is gone is no error")
	away := subscribeDurable(t, i, "away")
	require.NotNil(t, away.next(t).GetMissed())
	require.Equal(t, "next", string(away.next(t).GetMessage().GetMessage().GetPayload()))

	publishOrdered(t, removing, "next")
	resumed := start(t, func(ctx context.Context, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
		return i.PubSubOrdering.SubscribeOrdered(ctx, &pubsubv1.SubscribeOrderedRequest{
			Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: first.GetMessageId()},
		}, send)
	})
	require.NotNil(t, resumed.next(t).GetMissed())
	require.Equal(t, "next", string(resumed.next(t).GetMessage().GetMessage().GetPayload()))
}

// TestRetentionRemovesThoughTheMemoryIsFull looks at a topic whose messages are no longer kept, on a server that takes nothing new, and then at what is left of the topic.
func TestRetentionRemovesThoughTheMemoryIsFull(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	i := namespace(t, open(t, &backendsv1.Redis{Address: server.Address(), TopicRetention: durationpb.New(time.Second)}), "n")
	keep(t, i, "payload")
	require.NoError(t, direct.ConfigSet(t.Context(), "maxmemory", "1").Err())
	require.Eventually(t, func() bool {
		last, err := i.PubSubPersistent.GetLastMessageID(t.Context(), &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
		require.NoError(t, err)
		return !last.GetFound()
	}, waiting, 10*time.Millisecond)
	require.Zero(t, direct.XLen(t.Context(), "prism:{n}:pubsub:k:topic").Val())
	for _, key := range direct.Keys(t.Context(), "prism:{n}:*").Val() {
		require.Positive(t, direct.PTTL(t.Context(), key).Val(), "%s is forgotten with the topic", key)
	}
}

// TestStreamsEndWhenTheConnectionIsLost ends the connection that is listened on, which the client would replace in silence.
func TestStreamsEndWhenTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	i := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "namespace")
	live, pattern, durable := subscribe(t, i, "topic"), subscribePattern(t, i, "*"), subscribeDurable(t, i, "name")
	killed, err := direct.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result()
	require.NoError(t, err)
	require.EqualValues(t, 1, killed, "an instance has one connection that it listens on")
	for _, err := range []error{live.ending(t), pattern.ending(t), durable.ending(t)} {
		require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	}
	again := subscribe(t, i, "topic")
	publish(t, i, "topic", "payload")
	require.Equal(t, "payload", string(again.next(t).GetMessage().GetPayload()))
}

// TestStreamsEndWhenTheServerIsFrozen gives the connection no sign that it is dead.
func TestStreamsEndWhenTheServerIsFrozen(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	i := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "namespace")
	live := subscribe(t, i, "topic")
	require.NoError(t, server.Freeze())
	require.Equal(t, fault.Unavailable, fault.CodeOf(live.ending(t)))
	require.NoError(t, server.Thaw())
}

// stream is a stream that a test reads.
type stream[M any] struct {
	id     string
	events chan M
	done   chan struct{}
	err    error
	cancel context.CancelFunc
}

type subscribed interface {
	GetSubscribed() *pubsubv1.Subscribed
}

// start opens a stream and returns when its subscription is active, or has failed.
func start[M subscribed](t *testing.T, open func(context.Context, func(M) error) error) *stream[M] {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream[M]{events: make(chan M), done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(s.done)
		s.err = open(ctx, func(event M) error {
			select {
			case s.events <- event:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(s.stop)
	s.id = s.next(t).GetSubscribed().GetSubscriptionId()
	return s
}

func (s *stream[M]) stop() {
	s.cancel()
	<-s.done
}

func (s *stream[M]) next(t *testing.T) M {
	t.Helper()
	select {
	case event := <-s.events:
		return event
	case <-s.done:
		require.FailNow(t, "the stream has ended", "with: %v", s.err)
	case <-time.After(waiting):
		require.FailNow(t, "nothing comes")
	}
	panic("not reached")
}

func (s *stream[M]) ending(t *testing.T) error {
	t.Helper()
	for patient := time.After(waiting); ; {
		select {
		case <-s.events:
		case <-s.done:
			return s.err
		case <-patient:
			require.FailNow(t, "the stream does not end")
		}
	}
}

func subscribe(t *testing.T, i *prism.Interfaces, topic string) *stream[*pubsubv1.SubscribeResponse] {
	t.Helper()
	return start(t, func(ctx context.Context, send func(*pubsubv1.SubscribeResponse) error) error {
		return i.PubSubBasic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: topic}, send)
	})
}

func subscribePattern(t *testing.T, i *prism.Interfaces, pattern string) *stream[*pubsubv1.SubscribePatternResponse] {
	t.Helper()
	return start(t, func(ctx context.Context, send func(*pubsubv1.SubscribePatternResponse) error) error {
		return i.PubSubWildcards.SubscribePattern(ctx, &pubsubv1.SubscribePatternRequest{Pattern: pattern}, send)
	})
}

// subscribeDurable begins with the oldest message.
func subscribeDurable(t *testing.T, i *prism.Interfaces, name string) *stream[*pubsubv1.SubscribeDurableResponse] {
	t.Helper()
	return start(t, func(ctx context.Context, send func(*pubsubv1.SubscribeDurableResponse) error) error {
		return i.PubSubPersistent.SubscribeDurable(ctx, &pubsubv1.SubscribeDurableRequest{
			Topic: "topic", Subscription: name, Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
		}, send)
	})
}

func publish(t *testing.T, i *prism.Interfaces, topic, payload string) {
	t.Helper()
	_, err := i.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: topic, Payload: []byte(payload)})
	require.NoError(t, err)
}

func publishOrdered(t *testing.T, i *prism.Interfaces, payload string) {
	t.Helper()
	_, err := i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte(payload)})
	require.NoError(t, err)
}

func keep(t *testing.T, i *prism.Interfaces, payload string) {
	t.Helper()
	_, err := i.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)})
	require.NoError(t, err)
}

// TestAStreamThatEndsBeforeItHearsLeavesNothing ends the stream of a durable subscription while the server's confirmation is on its way.
func TestAStreamThatEndsBeforeItHearsLeavesNothing(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	listenedTo := func() []string { return direct.PubSubChannels(t.Context(), "*").Val() }
	arrive := make(chan struct{})
	i := namespace(t, open(t, &backendsv1.Redis{Address: delayConfirmations(t, server.Address(), arrive)}), "n")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		request := &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "name"}
		ended <- i.PubSubPersistent.SubscribeDurable(ctx, request, func(*pubsubv1.SubscribeDurableResponse) error { return nil })
	}()
	require.Eventually(t, func() bool { return len(listenedTo()) == 1 }, waiting, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	close(arrive)
	require.Eventually(t, func() bool { return len(listenedTo()) == 0 }, waiting, time.Millisecond)
}

// delayConfirmations returns the address of a way to a server, on which the answers to subscriptions wait.
func delayConfirmations(t *testing.T, to string, until <-chan struct{}) string {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		there, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer func() { _ = there.Close() }()
		var subscribed atomic.Bool
		go func() {
			defer func() { _ = conn.Close() }()
			for buffer := make([]byte, 64<<10); ; {
				n, err := there.Read(buffer)
				if subscribed.Load() {
					<-until
				}
				if _, failed := conn.Write(buffer[:n]); err != nil || failed != nil {
					return
				}
			}
		}()
		for buffer := make([]byte, 64<<10); ; {
			n, err := conn.Read(buffer)
			if bytes.Contains(buffer[:n], []byte(":w:")) { // scripts make the channel's name themselves
				subscribed.Store(true)
			}
			if _, failed := there.Write(buffer[:n]); err != nil || failed != nil {
				return
			}
		}
	})
}
