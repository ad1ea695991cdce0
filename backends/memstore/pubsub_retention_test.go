package memstore

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// inPubSubBubble runs a test with a namespace whose clock jumps to the next timer whenever everybody waits.
func inPubSubBubble(t *testing.T, config *backendsv1.MemStore, test func(t *testing.T, p *pubSub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(t.Context(), backend.Env{}, config)
		require.NoError(t, err)
		space, err := store.space("name")
		require.NoError(t, err)
		test(t, space.pubSub)
		require.NoError(t, store.Close(t.Context()))
	})
}

// reader reads a stream when it is asked to.
type reader[Response any] struct {
	came   chan Response
	cancel context.CancelFunc
}

func read[Response any](t *testing.T, call func(ctx context.Context, send func(Response) error) error) *reader[Response] {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r := &reader[Response]{came: make(chan Response), cancel: cancel}
	go func() {
		defer close(r.came)
		_ = call(ctx, func(response Response) error {
			select {
			case r.came <- response:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	<-r.came // Subscribed
	return r
}

// requireNothing fails when the stream has something to send.
func (r *reader[Response]) requireNothing(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case response := <-r.came:
		require.FailNow(t, "a message comes", "%v", response)
	default:
	}
}

func (p *pubSub) readOrdered(t *testing.T, request *pubsubv1.SubscribeOrderedRequest) *reader[*pubsubv1.SubscribeOrderedResponse] {
	t.Helper()
	request.Topic = "topic"
	return read(t, func(ctx context.Context, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
		return p.SubscribeOrdered(ctx, request, send)
	})
}

func (p *pubSub) readDurable(t *testing.T, request *pubsubv1.SubscribeDurableRequest) *reader[*pubsubv1.SubscribeDurableResponse] {
	t.Helper()
	request.Topic = "topic"
	if request.GetSubscription() == "" {
		request.Subscription = "name"
	}
	return read(t, func(ctx context.Context, send func(*pubsubv1.SubscribeDurableResponse) error) error {
		return p.SubscribeDurable(ctx, request, send)
	})
}

func (p *pubSub) publishOrdered(t *testing.T, payload string) string {
	t.Helper()
	response, err := p.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte(payload)})
	require.NoError(t, err)
	return response.GetMessageId()
}

func (p *pubSub) publishPersistent(t *testing.T, payload string) string {
	t.Helper()
	response, err := p.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)})
	require.NoError(t, err)
	return response.GetMessageId()
}

func (p *pubSub) acknowledge(t *testing.T, response *pubsubv1.SubscribeDurableResponse) {
	t.Helper()
	request := &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{response.GetMessage().GetReceipt()}}
	_, err := p.Acknowledge(t.Context(), request)
	require.NoError(t, err)
}

// held returns how many topics are in memory.
func (p *pubSub) held() (topics int) {
	for range p.topics.Range {
		topics++
	}
	return topics
}

func requireOrdered(t *testing.T, want string, got *pubsubv1.SubscribeOrderedResponse) *pubsubv1.OrderedMessage {
	t.Helper()
	require.Equal(t, want, string(got.GetMessage().GetMessage().GetPayload()), "%v", got)
	return got.GetMessage()
}

func requireDurable(t *testing.T, want string, count uint32, got *pubsubv1.SubscribeDurableResponse) {
	t.Helper()
	require.Equal(t, want, string(got.GetMessage().GetMessage().GetPayload()), "%v", got)
	require.Equal(t, count, got.GetMessage().GetDeliveryCount())
}

func fromEarliest() *pubsubv1.SubscribeDurableRequest {
	return &pubsubv1.SubscribeDurableRequest{Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST}}
}

func TestMessagesAreKeptForAnHour(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		p.publishOrdered(t, "ordered")
		p.publishPersistent(t, "persistent")
		pass(time.Hour - 1)
		requireOrdered(t, "ordered", <-p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{
			Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
		}).came)
		last, err := p.GetLastMessageID(t.Context(), &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
		require.NoError(t, err)
		require.True(t, last.GetFound())
		pass(time.Duration(sweepInterval))
		last, err = p.GetLastMessageID(t.Context(), &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
		require.NoError(t, err)
		require.False(t, last.GetFound())
	})
}

func TestTopicsAreFreed(t *testing.T) {
	inPubSubBubble(t, &backendsv1.MemStore{TopicRetention: durationpb.New(time.Second)}, func(t *testing.T, p *pubSub) {
		for range 10 {
			live := read(t, func(ctx context.Context, send func(*pubsubv1.SubscribeResponse) error) error {
				return p.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: "live"}, send)
			})
			pattern := read(t, func(ctx context.Context, send func(*pubsubv1.SubscribePatternResponse) error) error {
				return p.SubscribePattern(ctx, &pubsubv1.SubscribePatternRequest{Pattern: "a.*.b.>"}, send)
			})
			ordered := p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{})
			require.Equal(t, 2, p.held())
			live.cancel()
			pattern.cancel()
			ordered.cancel()
			synctest.Wait()
			require.Zero(t, p.held(), "a topic that nobody listens to and that keeps nothing is not in memory")
			require.Empty(t, p.patterns.root.children)
			require.True(t, p.patterns.none())
			require.Nil(t, p.streams)
		}
		_, err := p.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: "topic"})
		require.NoError(t, err)
		require.Zero(t, p.held(), "Publish makes no topic")
		p.publishOrdered(t, "message")
		p.publishPersistent(t, "message")
		require.Equal(t, 1, p.held())
		pass(time.Second + time.Duration(sweepInterval))
		require.Zero(t, p.held())
		require.EqualValues(t, never, p.sweeper.due, "nothing is left to sweep")
	})
}

func TestDurableSubscriptionHoldsItsTopicUntilItIsForgotten(t *testing.T) {
	inPubSubBubble(t, &backendsv1.MemStore{TopicRetention: durationpb.New(time.Second)}, func(t *testing.T, p *pubSub) {
		s := p.readDurable(t, fromEarliest())
		p.publishPersistent(t, "message")
		requireDurable(t, "message", 1, <-s.came)
		s.cancel()
		pass(time.Minute)
		require.Equal(t, 1, p.held())
		require.Len(t, p.durables, 1)
		for number := range p.durables {
			p.forget(number)
		}
		require.Zero(t, p.held())
		require.Empty(t, p.durables)
	})
}

func TestRetentionThatOvertakesAnOrderedSubscriberIsToldAsMissed(t *testing.T) {
	inPubSubBubble(t, &backendsv1.MemStore{TopicRetention: durationpb.New(10 * time.Second)}, func(t *testing.T, p *pubSub) {
		s := p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{})
		p.publishOrdered(t, "sent already")
		synctest.Wait() // it waits for the reader
		p.publishOrdered(t, "overtaken")
		pass(9 * time.Second)
		p.publishOrdered(t, "kept")
		pass(2 * time.Second)
		resume := requireOrdered(t, "sent already", <-s.came).GetResumeId()
		missed := <-s.came
		require.NotNil(t, missed.GetMissed())
		require.Zero(t, missed.GetMissed().GetCount())
		kept := requireOrdered(t, "kept", <-s.came).GetResumeId()
		s.requireNothing(t)

		again := p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: resume}})
		require.NotNil(t, (<-again.came).GetMissed(), "a resume id that is older than what is kept resumes behind a Missed")
		requireOrdered(t, "kept", <-again.came)
		again.requireNothing(t)

		again = p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: kept}})
		pass(time.Minute)
		again.requireNothing(t) // its message is gone, and nothing behind it
	})
}

func TestResumeIdOfATopicThatWasFreed(t *testing.T) {
	inPubSubBubble(t, &backendsv1.MemStore{TopicRetention: durationpb.New(time.Second)}, func(t *testing.T, p *pubSub) {
		ids := make(map[string]bool)
		var first string
		for range 3 {
			for range 100 {
				id := p.publishOrdered(t, "message")
				require.False(t, ids[id], "an id comes twice in a topic")
				ids[id] = true
				if first == "" {
					first = id
				}
			}
			pass(time.Minute)
			require.Zero(t, p.held())
		}
		s := p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: first}})
		require.NotNil(t, (<-s.came).GetMissed())
		p.publishOrdered(t, "behind")
		requireOrdered(t, "behind", <-s.came)
	})
}

func TestRetentionThatOvertakesADurableSubscriptionIsToldAsMissed(t *testing.T) {
	inPubSubBubble(t, &backendsv1.MemStore{TopicRetention: durationpb.New(10 * time.Second)}, func(t *testing.T, p *pubSub) {
		s := p.readDurable(t, fromEarliest())
		id := p.publishPersistent(t, "acknowledged")
		p.acknowledge(t, <-s.came)
		begin := time.Now()
		s.cancel()
		pass(time.Minute) // what is acknowledged is not missed
		p.publishPersistent(t, "never sent")
		pass(5 * time.Second)
		p.publishPersistent(t, "kept")
		pass(6 * time.Second)

		s = p.readDurable(t, fromEarliest())
		require.NotNil(t, (<-s.came).GetMissed())
		kept := <-s.came
		requireDurable(t, "kept", 1, kept)
		pass(6 * time.Second) // and is gone while its acknowledgement is awaited
		require.NotNil(t, (<-s.came).GetMissed())
		p.acknowledge(t, kept) // which is no error
		s.requireNothing(t)

		p.publishPersistent(t, "new")
		for name, start := range map[string]*pubsubv1.SubscribeDurableRequest{
			"id":   {Start: &pubsubv1.SubscribeDurableRequest_StartAfterMessageId{StartAfterMessageId: id}},
			"time": {Start: &pubsubv1.SubscribeDurableRequest_StartTime{StartTime: timestamppb.New(begin)}},
		} {
			start.Subscription = name
			s := p.readDurable(t, start)
			require.NotNil(t, (<-s.came).GetMissed(), "messages are gone that were to be started with, by %s", name)
			requireDurable(t, "new", 1, <-s.came)
			s.requireNothing(t)
		}
		s = p.readDurable(t, &pubsubv1.SubscribeDurableRequest{Subscription: "since", Start: &pubsubv1.SubscribeDurableRequest_StartTime{StartTime: timestamppb.Now()}})
		requireDurable(t, "new", 1, <-s.came)
	})
}

func TestMissedThatCouldNotBeSentIsToldToTheNextStream(t *testing.T) {
	inPubSubBubble(t, &backendsv1.MemStore{TopicRetention: durationpb.New(time.Second)}, func(t *testing.T, p *pubSub) {
		p.readDurable(t, fromEarliest()).cancel()
		synctest.Wait()
		p.publishPersistent(t, "never sent")
		pass(time.Minute)
		s := p.readDurable(t, fromEarliest())
		synctest.Wait() // it is about to send the Missed
		s.cancel()
		synctest.Wait()
		require.NotNil(t, (<-p.readDurable(t, fromEarliest()).came).GetMissed())
	})
}

func TestMaxTopicBytesRemovesTheOldest(t *testing.T) {
	inPubSubBubble(t, &backendsv1.MemStore{MaxTopicBytes: 1000}, func(t *testing.T, p *pubSub) {
		s := p.readDurable(t, fromEarliest())
		s.cancel()
		synctest.Wait()
		for _, payload := range []string{"a", "b", "c", "d"} { // 257 bytes each
			p.publishPersistent(t, payload)
			p.publishOrdered(t, payload) // has a bound of its own, and a key
		}
		s = p.readDurable(t, fromEarliest())
		require.NotNil(t, (<-s.came).GetMissed())
		for _, want := range []string{"b", "c", "d"} {
			requireDurable(t, want, 1, <-s.came)
		}
		ordered := p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST}})
		for _, want := range []string{"b", "c", "d"} {
			requireOrdered(t, want, <-ordered.came)
		}
		p.publishPersistent(t, string(make([]byte, 2000)))
		require.Equal(t, 1, p.find("topic").persistent.len(), "the newest message always stays")
		p.publishPersistent(t, "e")
		require.Equal(t, 1, p.find("topic").persistent.len())
		require.EqualValues(t, 257, p.find("topic").persistent.bytes)
	})
}

func TestAcknowledgementIsAwaited30SecondsByDefault(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		one := p.readDurable(t, fromEarliest())
		p.publishPersistent(t, "a")
		requireDurable(t, "a", 1, <-one.came)
		other := p.readDurable(t, fromEarliest())
		pass(30*time.Second - 1)
		one.requireNothing(t)
		other.requireNothing(t)
		pass(1)
		var again *pubsubv1.SubscribeDurableResponse
		select {
		case again = <-one.came:
		case again = <-other.came:
		}
		requireDurable(t, "a", 2, again)
		p.acknowledge(t, again)
		pass(time.Hour)
		one.requireNothing(t)
		other.requireNothing(t)
		d := p.find("topic").durables["name"]
		require.False(t, d.armed, "nothing is awaited")
		require.Nil(t, d.pending)
	})
}

func TestAcknowledgementTimeoutBeginsWhenTheMessageWasSent(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		request := fromEarliest()
		request.AcknowledgementTimeout = durationpb.New(time.Second)
		slow := p.readDurable(t, request)
		p.publishPersistent(t, "a")
		pass(time.Minute) // the subscriber does not read
		other := p.readDurable(t, fromEarliest())
		other.requireNothing(t)
		requireDurable(t, "a", 1, <-slow.came)
		pass(time.Second - 1)
		other.requireNothing(t)
		slow.requireNothing(t)
	})
}

func TestLateAcknowledgementSettles(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		request := fromEarliest()
		request.AcknowledgementTimeout = durationpb.New(time.Second)
		s := p.readDurable(t, request)
		p.publishPersistent(t, "a")
		first := <-s.came
		p.publishPersistent(t, "b") // waits for the reader, so that a waits behind it
		pass(time.Minute)
		p.acknowledge(t, first)
		requireDurable(t, "b", 1, <-s.came)
		s.requireNothing(t)
	})
}

func TestMessageGoesToAStreamThatHasRoom(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		request := fromEarliest()
		request.MaxUnacknowledged = 1
		var streams []*reader[*pubsubv1.SubscribeDurableResponse]
		for range 3 {
			streams = append(streams, p.readDurable(t, request))
		}
		for _, payload := range []string{"a", "b", "c", "d"} {
			p.publishPersistent(t, payload)
		}
		held := make(map[string]*pubsubv1.SubscribeDurableResponse)
		for _, s := range streams {
			r := <-s.came
			held[string(r.GetMessage().GetMessage().GetPayload())] = r
		}
		require.Len(t, held, 3, "each has one of the first three")
		for _, s := range streams {
			s.requireNothing(t)
		}
		p.acknowledge(t, held["b"])
		synctest.Wait()
		var got string
		for _, s := range streams {
			select {
			case r := <-s.came:
				got += string(r.GetMessage().GetMessage().GetPayload())
			default:
			}
		}
		require.Equal(t, "d", got)
	})
}

func TestWhatAStreamLeavesGoesToAllThatHaveRoom(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		leaving := p.readDurable(t, fromEarliest())
		for _, payload := range []string{"a", "b", "c"} {
			p.publishPersistent(t, payload)
			<-leaving.came
		}
		synctest.Wait()
		request := fromEarliest()
		request.MaxUnacknowledged = 1
		var streams []*reader[*pubsubv1.SubscribeDurableResponse]
		for range 3 {
			s := p.readDurable(t, request)
			s.requireNothing(t)
			streams = append(streams, s)
		}
		leaving.cancel()
		got := make(map[string]bool)
		for _, s := range streams {
			r := <-s.came
			require.EqualValues(t, 2, r.GetMessage().GetDeliveryCount())
			got[string(r.GetMessage().GetMessage().GetPayload())] = true
		}
		require.Len(t, got, 3)
	})
}

func TestStreamThatWasTakenOutTakesNothing(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		request := fromEarliest()
		request.Topic, request.Subscription = "topic", "name"
		p.publishPersistent(t, "a")
		s := &durableStream{window: 1}
		s.wake = make(chan struct{}, 1)
		d, err := p.joinDurable(request, s)
		require.NoError(t, err)
		s.leave() // as Unsubscribe does while the stream looks for its next message
		_, ok := d.take(s)
		require.False(t, ok)
		requireDurable(t, "a", 1, <-p.readDurable(t, fromEarliest()).came)
	})
}

func TestForgettingEndsAStreamThatHasNoIdYet(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		request := fromEarliest()
		request.Topic, request.Subscription = "topic", "name"
		s := &durableStream{window: 1}
		s.wake = make(chan struct{}, 1)
		d, err := p.joinDurable(request, s)
		require.NoError(t, err)
		p.forget(d.number)
		require.NotNil(t, s.over.Load())
		require.NoError(t, s.over.Load().err)
	})
}

func TestOrderedAndOtherMessagesTakeTurns(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		for range 100 {
			p.publishOrdered(t, "ordered")
		}
		s := p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST}})
		for range 100 {
			_, err := p.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte("other")})
			require.NoError(t, err)
		}
		came := make(map[string]int)
		for range 20 {
			came[string((<-s.came).GetMessage().GetMessage().GetPayload())]++
		}
		require.InDelta(t, 10, came["other"], 1, "neither waits for the other to be through")
	})
}

func TestEveryDeliveryHasADeadlineOfItsOwn(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		one := p.readDurable(t, fromEarliest())
		p.publishPersistent(t, "a")
		<-one.came
		pass(10 * time.Second)
		p.publishPersistent(t, "b")
		<-one.came
		pass(25 * time.Second) // a is on its way again, and its subscriber does not read
		other := p.readDurable(t, fromEarliest())
		other.requireNothing(t)
		pass(5*time.Second - 1)
		other.requireNothing(t)
		pass(1)
		requireDurable(t, "b", 2, <-other.came)
	})
}

func TestSubscriptionWithoutStreamsHasNoTimer(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		s := p.readDurable(t, fromEarliest())
		p.publishPersistent(t, "a")
		<-s.came
		synctest.Wait()
		d := p.find("topic").durables["name"]
		require.True(t, d.armed)
		s.cancel()
		synctest.Wait()
		require.False(t, d.armed)
		require.False(t, d.timer.Stop())
		s = p.readDurable(t, fromEarliest())
		requireDurable(t, "a", 2, <-s.came)
		pass(30 * time.Second)
		requireDurable(t, "a", 3, <-s.came)
	})
}

func TestTopicThatWasFreedIsLeftAlone(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		request := fromEarliest()
		request.Topic, request.Subscription = "topic", "name"
		s := &durableStream{window: 1}
		s.wake = make(chan struct{}, 1)
		d, err := p.joinDurable(request, s)
		require.NoError(t, err)
		p.forget(d.number)
		require.Zero(t, p.held())
		_ = p.readOrdered(t, &pubsubv1.SubscribeOrderedRequest{}) // makes it anew
		s.leave()
		require.Equal(t, 1, p.held(), "a late stream of the old one does not free the new one")
	})
}

func TestNobodyUsesATopicThatWasFreed(t *testing.T) {
	store, err := Open(t.Context(), backend.Env{}, nil)
	require.NoError(t, err)
	space, err := store.space("name")
	require.NoError(t, err)
	p := space.pubSub
	for range 500 {
		first := p.lock("topic")
		second := make(chan *topic)
		go func() { second <- p.lock("topic") }()
		runtime.Gosched() // it finds the first one, mostly
		p.unlock(first)
		locked := <-second
		require.Same(t, p.find("topic"), locked)
		p.unlock(locked)
	}
	require.NoError(t, store.Close(t.Context()))
}

func TestIdsOfAnotherStoreAreRefused(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		store, err := Open(t.Context(), backend.Env{}, nil)
		require.NoError(t, err)
		space, err := store.space("name")
		require.NoError(t, err)
		other := space.pubSub
		resume := p.publishOrdered(t, "a")
		other.publishOrdered(t, "a")
		request := &pubsubv1.SubscribeOrderedRequest{Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: resume}}
		err = other.SubscribeOrdered(t.Context(), request, func(*pubsubv1.SubscribeOrderedResponse) error { return nil })
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
		subscribed, err := p.register(&stream{wake: make(chan struct{}, 1), leave: func() {}})
		require.NoError(t, err)
		_, err = other.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: subscribed.GetSubscriptionId()})
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
		require.Equal(t, unknownSubscription, fault.ReasonOf(err))
		_, err = p.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{"receipt"}})
		require.Equal(t, unknownReceipt, fault.ReasonOf(err))
		require.NoError(t, store.Close(t.Context()))
	})
}

func TestNamespaceWithoutTopicsIsSmall(t *testing.T) {
	inPubSubBubble(t, nil, func(t *testing.T, p *pubSub) {
		pass(time.Hour)
		require.Nil(t, p.sweeper.timer)
		require.Zero(t, p.held())
	})
}
