package nats

import (
	"fmt"
	"testing"
	"time"

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
	var response *pubsubv1.SubscribeDurableResponse
	require.Eventually(t, func() bool {
		next, found, _, err := s.next(t.Context())
		require.NoError(t, err)
		response = next.response
		return found
	}, patience, 5*time.Millisecond)
	return response
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
	requireNoneYet(t, s)
	p.publishPersistent(t, "message")
	var next sending
	require.Eventually(t, func() bool {
		found, ok, _, err := s.next(t.Context())
		require.NoError(t, err)
		next = found
		return ok
	}, patience, 5*time.Millisecond)
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
