package nats

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
)

// busy is how long a server may take to answer: machines that run tests are busy.
var busy = durationpb.New(30 * time.Second)

// namespace opens an instance of the test's own, and a namespace of it.
func namespace(t *testing.T, change func(*backendsv1.Nats)) *pubSub {
	t.Helper()
	config := &backendsv1.Nats{Urls: []string{"nats://" + testenv.Shared(t, testenv.NATS).Address()}, Prefix: fmt.Sprintf("t%x", rand.Uint64()), Timeout: busy}
	if change != nil {
		change(config)
	}
	s, err := Open(t.Context(), backend.Env{}, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(t.Context())) })
	_, err = s.Namespace(t.Context(), "name")
	require.NoError(t, err)
	return s.namespaces["name"]
}

// subscribed opens a stream of the durable subscription, and returns its id and what it ends with.
func subscribed(t *testing.T, p *pubSub) (id string, ended chan error) {
	t.Helper()
	ids := make(chan string, 1)
	ended = make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		ended <- p.SubscribeDurable(ctx, &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "s"}, func(r *pubsubv1.SubscribeDurableResponse) error {
			if r.GetSubscribed() != nil {
				ids <- r.GetSubscribed().GetSubscriptionId()
			}
			return nil
		})
	}()
	select {
	case id = <-ids:
	case err := <-ended:
		require.NoError(t, err)
	}
	return id, ended
}

func (p *pubSub) loaded(t *testing.T) *durable {
	t.Helper()
	d := &durable{pubSub: p, topic: "topic", hash: hash(p.name, "topic", "s")}
	there, err := d.load(t.Context())
	require.NoError(t, err)
	require.True(t, there)
	return d
}

func requireNoConsumer(t *testing.T, d *durable) {
	t.Helper()
	_, err := d.store.topics.Consumer(t.Context(), d.consumer())
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
}

// TestForgettingIsFinishedByWhoRepeatsIt has the answer to the first half of Unsubscribe be lost.
func TestForgettingIsFinishedByWhoRepeatsIt(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	id, first := subscribed(t, p)
	_, second := subscribed(t, p)
	d := p.loaded(t)
	require.NoError(t, d.save(t.Context(), true))
	_, err := p.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id, Forget: true})
	require.NoError(t, err)
	for _, ended := range []chan error{first, second} {
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(patience):
			require.FailNow(t, "a stream of a forgotten subscription goes on")
		}
	}
	requireNoConsumer(t, d)
}

// TestAStreamOfAForgottenSubscriptionDoesNotBegin has a subscription be forgotten between the steps of SubscribeDurable.
func TestAStreamOfAForgottenSubscriptionDoesNotBegin(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	request := &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "s"}
	d, err := p.durable(t.Context(), request)
	require.NoError(t, err)
	there, err := d.still(t.Context())
	require.NoError(t, err)
	require.True(t, there)
	require.NoError(t, p.loaded(t).forget(t.Context(), d.record.Generation))
	require.NoError(t, d.consume(t.Context()))
	there, err = d.still(t.Context())
	require.NoError(t, err)
	require.False(t, there)
	requireNoConsumer(t, d)
	subscribed(t, p)
	require.NotEqual(t, d.record.Generation, p.loaded(t).record.Generation)
}

// TestAnOrderedReaderReadsWhatItWasNotToldOf has the news of a message be lost, as a cluster may that changes its leader.
func TestAnOrderedReaderReadsWhatItWasNotToldOf(t *testing.T) {
	t.Parallel()
	p := namespace(t, nil)
	r := &orderedReader{pubSub: p, topic: "topic", subject: p.kept(ordered, "topic"), next: 1}
	require.NoError(t, r.begin(t.Context()))
	_, found, err := r.read(t.Context())
	require.NoError(t, err)
	require.False(t, found)
	for _, payload := range []string{"first", "second"} {
		_, err := p.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte(payload)})
		require.NoError(t, err)
	}
	r.came = 2
	for _, payload := range []string{"first", "second"} {
		event, found, err := r.read(t.Context())
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, payload, string(event.Message.GetPayload()))
	}
}

// TestTheClockIsNotAheadOfTheServers has the gateway's clock run faster than the server's.
func TestTheClockIsNotAheadOfTheServers(t *testing.T) {
	t.Parallel()
	told := time.Unix(1_000_000, 0)
	c := clock{told: told, since: time.Now().Add(-2 * time.Second)} // it is asked only when much more time has passed
	now, err := c.now(t.Context())
	require.NoError(t, err)
	passed := time.Since(c.since)
	require.LessOrEqual(t, now.Sub(told), passed-time.Millisecond)
	require.Greater(t, now.Sub(told), time.Second)
}
