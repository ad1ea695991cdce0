package pubsubtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// toTopic opens a live subscription to one topic, by one of the methods that make them.
type toTopic func(i *prism.Interfaces, topic string, bufferSize uint32) opened

// live runs the cases that hold for every live subscription, whichever method makes it.
func live(t *testing.T, open Open, to toTopic) {
	run := func(name string, test func(t *testing.T, i *prism.Interfaces)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	all := func(i *prism.Interfaces) opened { return to(i, "topic", 0) }

	run("StreamBeginsWithSubscribed", func(t *testing.T, i *prism.Interfaces) {
		seen := make(map[string]bool)
		for range 5 {
			l := listen(t, all(i))
			requireASCII(t, l.id, 256)
			require.False(t, seen[l.id], "two streams have the id %q", l.id)
			seen[l.id] = true
		}
		l := listen(t, all(i))
		publish(t, i.PubSubBasic, "topic", "message")
		l.message(t) // and not another Subscribed
	})
	run("MessageIsDeliveredAsPublished", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, all(i))
		_, err := i.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte("payload"), Metadata: map[string]string{"a": "1", "b": ""}})
		require.NoError(t, err)
		e := l.message(t)
		want := &pubsubv1.Message{Topic: "topic", Payload: []byte("payload"), Metadata: map[string]string{"a": "1", "b": ""}}
		require.True(t, proto.Equal(want, e.message), "got %v, want %v: a message of Publish has no id, no time and no key", e.message, want)
		require.Empty(t, e.resume)
	})
	run("MessagePublishedBehindSubscribedIsDelivered", func(t *testing.T, i *prism.Interfaces) {
		for n := range 40 {
			l := listen(t, all(i))
			publish(t, i.PubSubBasic, "topic", strconv.Itoa(n))
			require.Equal(t, strconv.Itoa(n), string(l.message(t).message.GetPayload()))
			l.stop()
		}
	})
	run("MessagePublishedBeforeTheSubscriptionIsNotDelivered", func(t *testing.T, i *prism.Interfaces) {
		publishAll(t, i.PubSubBasic, "topic", numbers("before-", 5))
		l := listen(t, all(i))
		publish(t, i.PubSubBasic, "topic", "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()))
	})
	run("EveryMessageComesOnceToEverySubscription", func(t *testing.T, i *prism.Interfaces) {
		want := numbers("message-", 100)
		listeners := []*listener{listen(t, all(i)), listen(t, all(i)), listen(t, all(i))}
		publishAll(t, i.PubSubBasic, "topic", want)
		publish(t, i.PubSubBasic, "topic", "behind")
		for _, l := range listeners {
			require.ElementsMatch(t, append([]string{"behind"}, want...), l.payloads(t, len(want)+1))
			l.requireNothing(t)
		}
	})
	run("MessagesOfOtherTopicsDoNotCome", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, all(i))
		for _, other := range []string{"Topic", "topi", "topic2", "topic.", ".topic", "topic.a", "a.topic", "t", "-", "_", "."} {
			publish(t, i.PubSubBasic, other, other)
		}
		publish(t, i.PubSubBasic, "topic", "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()))
	})
	run("MessagesOfEveryMethodCome", func(t *testing.T, i *prism.Interfaces) {
		for name, publish := range publishers(i) {
			l := listen(t, all(i))
			sent := publish(t, "topic", "by "+name, map[string]string{"method": strings.ToLower(name)})
			got := l.message(t).message
			require.Equal(t, "by "+name, string(got.GetPayload()))
			require.Equal(t, "topic", got.GetTopic())
			require.Equal(t, map[string]string{"method": strings.ToLower(name)}, got.GetMetadata())
			require.Equal(t, sent.id, got.GetMessageId(), "the id is the one that %s answered with", name)
			require.Equal(t, sent.key, got.GetOrderingKey())
			require.Equal(t, sent.id == "", got.GetPublishTime() == nil, "there is a time when there is an id, after %s", name)
			l.requireNothing(t) // it comes once
			l.stop()
		}
	})
	run("SlowSubscriberIsToldHowManyItMissed", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, to(i, "topic", 1))
		overflow(t, l, 8, func(n int) error { return publishPayload(t.Context(), i, n, expect.Bytes(n, 128<<10)) })
		// Nothing is left over: what is published now comes, and nothing before it.
		publish(t, i.PubSubBasic, "topic", "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()))
	})
	run("SlowSubscriberHoldsNobodyUp", func(t *testing.T, i *prism.Interfaces) {
		slow, other := listen(t, to(i, "topic", 1)), listen(t, all(i))
		large := strings.Repeat("x", 128<<10)
		for n := range 100 {
			publish(t, i.PubSubBasic, "topic", strconv.Itoa(n)+large)
			got := other.message(t).message.GetPayload()
			require.True(t, strings.HasPrefix(string(got), strconv.Itoa(n)+"x"), "another subscriber misses nothing")
		}
		first := slow.message(t).message.GetPayload()
		require.True(t, strings.HasPrefix(string(first), "0x"), "what is in the buffer stays")
	})
	run("BufferHolds1024MessagesByDefault", func(t *testing.T, i *prism.Interfaces) {
		requireRoom(t, i, listen(t, to(i, "topic", 0)), 1024)
	})
	run("BufferHoldsAsManyMessagesAsWasAskedFor", func(t *testing.T, i *prism.Interfaces) {
		for _, size := range []int{1, 2, 100, 2000} {
			l := listen(t, to(i, "topic", uint32(size)))
			requireRoom(t, i, l, size)
			l.stop()
		}
	})
	run("BufferSizeIsAtMost65536", func(t *testing.T, i *prism.Interfaces) {
		expect.Invalid(t, "buffer_size", openFails(t, to(i, "topic", 65537)))
		listen(t, to(i, "topic", 65536))
	})
	run("UnsubscribeEndsTheStreamWithOK", func(t *testing.T, i *prism.Interfaces) {
		l, other := listen(t, all(i)), listen(t, all(i))
		require.True(t, unsubscribe(t, i.PubSubBasic, l.id))
		publish(t, i.PubSubBasic, "topic", "behind")
		came, err := l.ending(t)
		require.NoError(t, err)
		require.Zero(t, came, "nothing comes that was published afterwards")
		require.Equal(t, "behind", string(other.message(t).message.GetPayload()), "other subscriptions go on")
		require.False(t, unsubscribe(t, i.PubSubBasic, l.id), "it has ended already")
		require.True(t, forget(t, i.PubSubBasic, other.id), "forget means nothing for a live subscription")
		_, err = other.ending(t)
		require.NoError(t, err)
	})
	run("UnsubscribeEndsAStreamWithASlowSubscriber", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, all(i))
		publishAll(t, i.PubSubBasic, "topic", numbers("", 50))
		require.True(t, unsubscribe(t, i.PubSubBasic, l.id))
		_, err := l.ending(t)
		require.NoError(t, err)
	})
	run("UnsubscribeAfterTheEndIsUnsubscribedFalse", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, all(i))
		l.stop()
		expect.Eventually(t, "the subscription has ended", func() bool { return !unsubscribe(t, i.PubSubBasic, l.id) })
	})
	run("StreamEndsWithItsContext", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, all(i))
		l.stop()
		expect.Code(t, fault.Canceled, l.err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		l = start(t, ctx, all(i))
		_, err := l.ending(t)
		expect.Code(t, fault.DeadlineExceeded, err)
	})
	run("StreamEndsWithTheErrorOfSend", func(t *testing.T, i *prism.Interfaces) {
		for failAt := range 3 {
			publishing, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for n := 0; publishing.Err() == nil; n++ {
					_, _ = i.PubSubBasic.Publish(publishing, &pubsubv1.PublishRequest{Topic: "topic"})
				}
			}()
			sent := 0
			err := all(i)(patiently(t), func(event) error {
				if sent++; sent > failAt {
					return errSend
				}
				return nil
			})
			stop()
			<-done
			require.ErrorIs(t, err, errSend)
			require.Equal(t, failAt+1, sent, "nothing is sent after an error")
		}
	})
	run("MessagesAreNotChangedAfterTheyWereSent", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, all(i))
		publishAll(t, i.PubSubBasic, "topic", numbers("", 20))
		events := l.messages(t, 20)
		var copies []proto.Message
		for _, e := range events {
			copies = append(copies, proto.Clone(e.response))
		}
		publishAll(t, i.PubSubBasic, "topic", numbers("more-", 20))
		l.messages(t, 20)
		for n, e := range events {
			require.True(t, proto.Equal(copies[n], e.response), "a message was changed after it was sent")
		}
	})
	run("SubscriptionsComeAndGoWhileOthersPublish", func(t *testing.T, i *prism.Interfaces) {
		steady := listen(t, all(i))
		const publishers, each = 4, 60
		var want []string
		for p := range publishers {
			want = append(want, numbers(fmt.Sprint(p, "-"), each)...)
		}
		const visitors, visits = 2, 10
		expect.Concurrently(t, publishers+visitors, func(n int) error {
			if n < publishers {
				for m, p := range numbers(fmt.Sprint(n, "-"), each) {
					if err := publishPayload(t.Context(), i, m, []byte(p)); err != nil {
						return err
					}
				}
				return nil
			}
			for range visits {
				if err := visit(patiently(t), i, all(i), n%2 == 0); err != nil {
					return err
				}
			}
			return nil
		})
		got := steady.payloads(t, len(want)+visitors*visits)
		got = slices.DeleteFunc(got, func(p string) bool { return strings.HasPrefix(p, "visit") })
		require.ElementsMatch(t, want, got)
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		l := listen(t, all(one))
		publish(t, other.PubSubBasic, "topic", "other")
		_, err := other.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: l.id})
		expect.Code(t, fault.FailedPrecondition, err)
		publish(t, one.PubSubBasic, "topic", "one")
		require.Equal(t, "one", string(l.message(t).message.GetPayload()))
	})
}

// publication is what a publishing call answered.
type publication struct{ id, key string }

// publishers returns every publishing method that is offered, by name.
func publishers(i *prism.Interfaces) map[string]func(t *testing.T, topic, payload string, metadata map[string]string) publication {
	found := map[string]func(t *testing.T, topic, payload string, metadata map[string]string) publication{
		"Publish": func(t *testing.T, topic, payload string, metadata map[string]string) publication {
			_, err := i.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: topic, Payload: []byte(payload), Metadata: metadata})
			require.NoError(t, err)
			return publication{}
		},
	}
	if i.PubSubFiltering != nil {
		found["PublishWithAttributes"] = func(t *testing.T, topic, payload string, metadata map[string]string) publication {
			_, err := i.PubSubFiltering.PublishWithAttributes(t.Context(), &pubsubv1.PublishWithAttributesRequest{Topic: topic, Payload: []byte(payload), Attributes: metadata})
			require.NoError(t, err)
			return publication{}
		}
	}
	if i.PubSubOrdering != nil {
		found["PublishOrdered"] = func(t *testing.T, topic, payload string, metadata map[string]string) publication {
			response, err := i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: topic, OrderingKey: "key", Payload: []byte(payload), Metadata: metadata})
			require.NoError(t, err)
			require.NotEmpty(t, response.GetMessageId())
			return publication{response.GetMessageId(), "key"}
		}
	}
	if i.PubSubPersistent != nil {
		found["PublishPersistent"] = func(t *testing.T, topic, payload string, metadata map[string]string) publication {
			response, err := i.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: topic, OrderingKey: "key", Payload: []byte(payload), Metadata: metadata})
			require.NoError(t, err)
			require.NotEmpty(t, response.GetMessageId())
			return publication{response.GetMessageId(), "key"}
		}
	}
	return found
}

// publishPayload publishes a message that carries its number, as every payload has many bytes.
func publishPayload(ctx context.Context, i *prism.Interfaces, n int, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, expect.Patience)
	defer cancel()
	_, err := i.PubSubBasic.Publish(ctx, &pubsubv1.PublishRequest{Topic: "topic", Payload: payload, Metadata: map[string]string{"n": strconv.Itoa(n)}})
	return err
}

// overflow publishes to a subscriber that does not read, more in each round, until it misses some. In every round, what it gets and what it is told to have
// missed must add up to what was published, though nothing comes behind. It returns how many came before the first Missed of the last round.
func overflow(t *testing.T, l *listener, first int, publish func(n int) error) int {
	t.Helper()
	published := 0
	for round := first; round <= 64*first; round *= 2 {
		seen := make(map[string]bool)
		for range round {
			require.NoError(t, publish(published))
			published++
		}
		got, missed, before := 0, 0, 0
		for got+missed < round {
			e := l.next(t)
			if e.missed != nil {
				require.Positive(t, e.missed.GetCount(), "the count is known")
				missed += int(e.missed.GetCount())
				continue
			}
			n := e.message.GetMetadata()["n"]
			require.False(t, seen[n], "message %s comes twice", n)
			seen[n] = true
			got++
			if missed == 0 {
				before++
			}
		}
		require.Equal(t, round, got+missed, "what came and what was missed add up to what was published")
		require.True(t, seen[strconv.Itoa(published-round)], "what is in the buffer stays: the first of a round comes")
		if missed > 0 {
			return before
		}
	}
	require.FailNow(t, "the buffer has no bound", "%d messages were published to a subscriber that does not read", published)
	return 0
}

// requireRoom fails unless a subscriber that does not read is sent n messages all the same.
func requireRoom(t *testing.T, i *prism.Interfaces, l *listener, n int) {
	t.Helper()
	expect.Concurrently(t, 4, func(part int) error {
		for m := part; m < n; m += 4 {
			if err := publishPayload(t.Context(), i, m, []byte(strconv.Itoa(m))); err != nil {
				return err
			}
		}
		return nil
	})
	require.ElementsMatch(t, numbers("", n), l.payloads(t, n))
}

// openFails returns the error of a stream that must fail before its first message.
func openFails(t *testing.T, open opened) error {
	t.Helper()
	l := start(t, t.Context(), open)
	came, err := l.ending(t)
	require.Error(t, err)
	require.Zero(t, came, "the stream is refused before any message")
	return err
}

// visit opens a stream, publishes a message that it must get, and ends it.
func visit(ctx context.Context, i *prism.Interfaces, open opened, byUnsubscribe bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var id, want string
	found := false
	err := open(ctx, func(e event) error {
		switch {
		case found:
		case e.subscribed != nil:
			id = e.subscribed.GetSubscriptionId()
			want = "visit " + id
			_, err := i.PubSubBasic.Publish(ctx, &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte(want)})
			return err
		case string(e.message.GetPayload()) == want:
			found = true
			if !byUnsubscribe {
				return errSend
			}
			_, err := i.PubSubBasic.Unsubscribe(ctx, &pubsubv1.UnsubscribeRequest{SubscriptionId: id})
			return err
		}
		return nil
	})
	if found && (byUnsubscribe && err == nil || !byUnsubscribe && errors.Is(err, errSend)) {
		return nil
	}
	return fmt.Errorf("a stream ended with %w; its message came: %v", err, found)
}
