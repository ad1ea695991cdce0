package nats

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// patience is how long a test waits for a condition.
const patience = 20 * time.Second

// opened opens a stream of the durable subscription "s" that nobody follows: the test asks it what is next.
func opened(t *testing.T, p *pubSub, request *pubsubv1.SubscribeDurableRequest) *durableStream {
	t.Helper()
	request.Topic, request.Subscription = "topic", "s"
	s, err := p.openDurable(t.Context(), request)
	require.NoError(t, err)
	t.Cleanup(s.close)
	require.NoError(t, s.watch.look(t.Context(), s.durable))
	return s
}

// requireNoneYet looks what is next, which asks the server for a message, and finds that there is none.
func requireNoneYet(t *testing.T, s *durableStream) {
	t.Helper()
	next, found, _, err := s.next(t.Context())
	require.NoError(t, err)
	require.False(t, found, "%v", next.response)
}

// requireNext waits for what is next.
func requireNext(t *testing.T, s *durableStream) *pubsubv1.SubscribeDurableResponse {
	t.Helper()
	return requireSending(t, s).response
}

func requireSending(t *testing.T, s *durableStream) sending {
	t.Helper()
	var next sending
	require.Eventually(t, func() bool {
		found, ok, _, err := s.next(t.Context())
		require.NoError(t, err)
		next = found
		return ok
	}, patience, 5*time.Millisecond)
	return next
}

func (p *pubSub) publishPersistent(t *testing.T, payload string) {
	t.Helper()
	_, err := p.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)})
	require.NoError(t, err)
}

// A second question beside one that the server still has would bring two messages at once, one of which is lost until its acknowledgement timeout has passed.
func TestAStreamWhoseQuestionIsNotAnsweredEnds(t *testing.T) {
	t.Parallel()
	s := opened(t, namespace(t, nil), &pubsubv1.SubscribeDurableRequest{})
	requireNoneYet(t, s)
	s.mu.Lock()
	s.pulling = time.Now().Add(-time.Second)
	s.mu.Unlock()
	_, _, _, err := s.next(t.Context())
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
}

// A server of a cluster that is killed says nothing any more, while the connection to another one stays.
func TestAStreamGoesOnAsLongAsTheServerHasItsQuestion(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	s := opened(t, p, &pubsubv1.SubscribeDurableRequest{})
	requireNoneYet(t, s)
	asked := time.Now()
	s.mu.Lock()
	s.pulling = asked
	s.mu.Unlock()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.pulling.After(asked)
	}, patience, time.Millisecond, "the server says that it has the question")
	requireNoneYet(t, s)
	p.publishPersistent(t, "message")
	require.Equal(t, "message", string(requireNext(t, s).GetMessage().GetMessage().GetPayload()))
}

// A new leader of a consumer refuses the questions that it knows of, be they answered or not. Who asked again for that would have two questions there.
func TestARefusalOfAFormerQuestionIsNotOfTheLast(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	s := opened(t, p, &pubsubv1.SubscribeDurableRequest{})
	requireNoneYet(t, s)
	s.mu.Lock()
	former := s.question()
	s.mu.Unlock()
	p.publishPersistent(t, "message")
	require.NotNil(t, requireNext(t, s).GetMessage())
	requireNoneYet(t, s)
	s.came(&nats.Msg{Subject: former, Header: nats.Header{"Status": {"409"}}})
	for range 2 { // the first one takes the refusal, the other would ask
		requireNoneYet(t, s)
	}
	require.NoError(t, p.store.conn.FlushTimeout(patience))
	var waiting int
	require.Eventually(t, func() bool {
		info, err := s.info(t.Context())
		require.NoError(t, err)
		waiting = info.NumWaiting
		return waiting > 0
	}, patience, time.Millisecond)
	require.Equal(t, 1, waiting)
}

// While servers of a cluster elect the one that serves a consumer, and tell each other, nobody takes questions.
func TestAStreamOfAClusterWaitsForWhoServesIt(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	s := opened(t, p, &pubsubv1.SubscribeDurableRequest{})
	p.store.replicas = 3 // as in a cluster
	require.NoError(t, s.removeConsumer(t.Context()))
	requireNoneYet(t, s)
	require.Eventually(t, func() bool {
		requireNoneYet(t, s)
		return !s.unserved.IsZero()
	}, patience, time.Millisecond)
	require.NoError(t, s.consume(t.Context()))
	p.publishPersistent(t, "message")
	require.Equal(t, "message", string(requireNext(t, s).GetMessage().GetMessage().GetPayload()))
	require.Zero(t, s.unserved)
	require.NoError(t, s.removeConsumer(t.Context()))
	s.unserved = time.Now().Add(-pullSilent)
	require.Eventually(t, func() bool {
		_, _, _, err := s.next(t.Context())
		return fault.CodeOf(err) == fault.Unavailable
	}, patience, time.Millisecond, "not for ever")
}

// What is not given back comes again only when its acknowledgement timeout has passed.
func TestAStreamGivesBackWhatItHasWhenTheServerHesitated(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	s, other := opened(t, p, &pubsubv1.SubscribeDurableRequest{}), opened(t, p, &pubsubv1.SubscribeDurableRequest{})
	p.publishPersistent(t, "message")
	next := requireSending(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.giveBack(ctx, []*delivery{next.delivery})
	require.Equal(t, "message", string(requireNext(t, other).GetMessage().GetMessage().GetPayload()))
}

func TestAMessageThatHasWaitedTooLongIsNotSentBesideItsNextDelivery(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	request := &pubsubv1.SubscribeDurableRequest{AcknowledgementTimeout: durationpb.New(time.Second)}
	slow, other := opened(t, p, request), opened(t, p, request)
	requireNoneYet(t, slow)
	p.publishPersistent(t, "message")
	require.Eventually(t, func() bool {
		slow.mu.Lock()
		defer slow.mu.Unlock()
		return slow.arrived != nil
	}, patience, time.Millisecond)
	require.Equal(t, "message", string(requireNext(t, other).GetMessage().GetMessage().GetPayload()), "it comes on the other stream when its time has passed")
	require.Eventually(t, func() bool { return time.Since(slow.arrived.at) >= slow.timeout() }, patience, time.Millisecond) // it may have come late
	requireNoneYet(t, slow)
}

func TestAMissedComesBeforeTheNextMessage(t *testing.T) {
	t.Parallel()
	p := namespace(t, func(config *backendsv1.Nats) { config.TopicRetention = durationpb.New(6 * time.Second) })
	s := opened(t, p, &pubsubv1.SubscribeDurableRequest{})
	p.publishPersistent(t, "goes")
	require.Eventually(t, func() bool {
		first, err := p.store.firstKept(t.Context())
		require.NoError(t, err)
		if first > 1 {
			return true
		}
		require.NoError(t, s.watch.look(t.Context(), s.durable)) // nothing is missed yet
		return false
	}, patience, 20*time.Millisecond)
	p.publishPersistent(t, "comes")
	require.NotNil(t, requireNext(t, s).GetMissed())
	s.watch.told()
	require.Equal(t, "comes", string(requireNext(t, s).GetMessage().GetMessage().GetPayload()))
}

func TestWhatCannotBeGivenBackIsNotRemembered(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	s := opened(t, p, &pubsubv1.SubscribeDurableRequest{})
	p.publishPersistent(t, "message")
	next := requireSending(t, s)
	require.True(t, s.begin(next.delivery))
	s.sent(next.delivery, nil)
	require.NoError(t, p.loaded(t).forget(t.Context(), s.record.Generation))
	s.close()
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	require.Empty(t, p.store.unsettled, "the consumer is gone")
}

// BenchmarkNextWithALargeWindow is what a message costs a stream with many others that are not acknowledged.
func BenchmarkNextWithALargeWindow(b *testing.B) {
	for _, size := range []int{0, 1000, 9999} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := &durableStream{max: 10_000, window: make(map[uint64]*delivery), pulling: time.Now().Add(time.Hour)}
			for n := range size {
				s.window[uint64(n)] = &delivery{deadline: time.Now().Add(time.Hour)}
			}
			for b.Loop() {
				if _, err := s.ask(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
