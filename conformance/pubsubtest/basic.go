package pubsubtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// Basic is the suite of pubsub_basic.
func Basic(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic pubsubv1.Basic)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t).PubSubBasic)
		})
	}
	to := func(i *prism.Interfaces, topic string, bufferSize uint32) opened {
		return subscribe(i.PubSubBasic, &pubsubv1.SubscribeRequest{Topic: topic, BufferSize: bufferSize})
	}
	live(t, open, to)

	run("PublishToNobodyIsNoError", func(t *testing.T, basic pubsubv1.Basic) {
		publishAll(t, basic, "topic", numbers("", 5))
		l := listen(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: "topic"}))
		l.stop()
		publishAll(t, basic, "topic", numbers("", 5))
	})
	run("RepeatedPublishIsAnotherMessage", func(t *testing.T, basic pubsubv1.Basic) {
		l := listen(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: "topic"}))
		publishAll(t, basic, "topic", []string{"same", "same", "same"})
		require.Equal(t, []string{"same", "same", "same"}, l.payloads(t, 3))
		l.requireNothing(t)
	})
	run("TopicsAreLiteralAndDistinct", func(t *testing.T, basic pubsubv1.Basic) {
		topics := []string{
			"a", "A", "aa", "a.b", "a.B", "a..b", "a.", ".a", ".", "..", "a-b", "a_b", "-", "_", "0", "00", "null", "..a", "a.b.c",
			strings.Repeat("t", 200), strings.Repeat("t", 199), strings.Repeat(".", 200),
		}
		listeners := make([]*listener, len(topics))
		for n, topic := range topics {
			listeners[n] = listen(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: topic}))
		}
		for _, topic := range topics {
			publish(t, basic, topic, "to "+topic)
		}
		for n, topic := range topics {
			got := listeners[n].message(t).message
			require.Equal(t, "to "+topic, string(got.GetPayload()))
			require.Equal(t, topic, got.GetTopic())
			publish(t, basic, topic, "behind")
			require.Equal(t, "behind", string(listeners[n].message(t).message.GetPayload()), "one message comes to %s", topic)
		}
	})
	run("TopicIs1To200CharactersOfAName", func(t *testing.T, basic pubsubv1.Basic) {
		requireNameRules(t, "topic", func(ctx context.Context, name string) error {
			_, err := basic.Publish(ctx, &pubsubv1.PublishRequest{Topic: name})
			return err
		})
		requireNameRules(t, "topic", func(_ context.Context, name string) error {
			return openFails(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: name}))
		})
	})
	run("PayloadAndMetadataArriveWholeOrAreInvalid", func(t *testing.T, basic pubsubv1.Basic) {
		l := listen(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: "topic"}))
		requirePublishRules(t, l, "metadata", func(ctx context.Context, payload []byte, metadata map[string]string) error {
			_, err := basic.Publish(ctx, &pubsubv1.PublishRequest{Topic: "topic", Payload: payload, Metadata: metadata})
			return err
		})
	})
	t.Run("BufferHolds16MiBOfPayloadAndNoMore", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		l := listen(t, to(i, "topic", 65536))
		large := expect.Bytes(1, maxPayload)
		before := overflow(t, l, 20, func(n int) error { return publishPayload(t.Context(), i, n, large) })
		require.GreaterOrEqual(t, before, 16, "the buffer holds 16 messages of 1 MiB")
	})
	t.Run("LargeMessageFitsInABufferOfOne", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		l := listen(t, to(i, "topic", 1))
		for n := range 5 {
			require.NoError(t, publishPayload(t.Context(), i, n, expect.Bytes(n, maxPayload)))
			expect.EqualBytes(t, expect.Bytes(n, maxPayload), l.message(t).message.GetPayload())
		}
	})
	t.Run("UnsubscribeSendsNothingThatIsInTheBuffer", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		l := listen(t, to(i, "topic", 65536))
		const published = 48
		large := expect.Bytes(1, maxPayload)
		for n := range published {
			require.NoError(t, publishPayload(t.Context(), i, n, large))
		}
		require.True(t, unsubscribe(t, i.PubSubBasic, l.id))
		came, err := l.ending(t)
		require.NoError(t, err)
		require.LessOrEqual(t, came, published-16, "the 16 MiB in the buffer are not sent")
	})
	run("UnsubscribeOfAnIdThatWasNeverIssuedIsFailedPrecondition", func(t *testing.T, basic pubsubv1.Basic) {
		l := listen(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: "topic"}))
		for _, id := range append(tampered(l.id), strings.Repeat("x", 256), "topic", "\x00") {
			for _, forget := range []bool{false, true} {
				_, err := basic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id, Forget: forget})
				expect.Code(t, fault.FailedPrecondition, err)
			}
		}
		publish(t, basic, "topic", "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()), "nothing has ended")
	})
	run("UnsubscribeOfAnIdThatIsNoneIsInvalid", func(t *testing.T, basic pubsubv1.Basic) {
		for _, id := range []string{"", strings.Repeat("x", 257)} {
			_, err := basic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id})
			expect.Invalid(t, "subscription_id", err)
		}
	})
	run("UnsubscribeEndsAStreamOnce", func(t *testing.T, basic pubsubv1.Basic) {
		for range 10 {
			l := listen(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: "topic"}))
			ended := make([]bool, 4)
			expect.Concurrently(t, len(ended), func(n int) error {
				response, err := basic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: l.id})
				ended[n] = response.GetUnsubscribed()
				return err
			})
			count := 0
			for _, e := range ended {
				if e {
					count++
				}
			}
			require.Equal(t, 1, count, "of several calls one ends the stream")
			_, err := l.ending(t)
			require.NoError(t, err)
		}
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, basic pubsubv1.Basic) {
		l := listen(t, subscribe(basic, &pubsubv1.SubscribeRequest{Topic: "topic"}))
		requireContextRules(t, []call{
			{"Publish", func(ctx context.Context) error {
				_, err := basic.Publish(ctx, &pubsubv1.PublishRequest{Topic: "topic"})
				return err
			}},
			{"Subscribe", func(ctx context.Context) error {
				return basic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: "topic"}, func(*pubsubv1.SubscribeResponse) error { return errSend })
			}},
			{"Unsubscribe", func(ctx context.Context) error {
				_, err := basic.Unsubscribe(ctx, &pubsubv1.UnsubscribeRequest{SubscriptionId: l.id})
				return err
			}},
		})
		publish(t, basic, "topic", "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()), "a canceled call does nothing")
	})
	run("RequestsAreNotChanged", func(t *testing.T, basic pubsubv1.Basic) {
		subscribing := &pubsubv1.SubscribeRequest{Topic: "topic"}
		publishing := &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte("payload"), Metadata: map[string]string{"a": "b"}}
		expect.Unchanged(t, publishing, func() error {
			expect.Unchanged(t, subscribing, func() error {
				l := listen(t, subscribe(basic, subscribing))
				_, err := basic.Publish(t.Context(), publishing)
				l.message(t)
				ending := &pubsubv1.UnsubscribeRequest{SubscriptionId: l.id}
				expect.Unchanged(t, ending, func() error { _, err := basic.Unsubscribe(t.Context(), ending); return err })
				_, ended := l.ending(t)
				return errors.Join(err, ended)
			})
			return nil
		})
	})
	run("CallsRunConcurrently", func(t *testing.T, basic pubsubv1.Basic) {
		expect.Concurrently(t, 8, func(caller int) error {
			ctx := patiently(t)
			topic, next := "topic-"+strconv.Itoa(caller), 0
			err := basic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: topic}, func(r *pubsubv1.SubscribeResponse) error {
				if r.GetMissed() != nil {
					return errors.New("a message is missed")
				}
				if r.GetMessage() != nil {
					if want := fmt.Sprint(caller, "-", next); string(r.GetMessage().GetPayload()) != want {
						return fmt.Errorf("got %q, want %q", r.GetMessage().GetPayload(), want)
					}
					next++
				}
				if next == 30 {
					return errSend
				}
				_, err := basic.Publish(ctx, &pubsubv1.PublishRequest{Topic: topic, Payload: fmt.Append(nil, caller, "-", next)})
				return err
			})
			if !errors.Is(err, errSend) {
				return fmt.Errorf("caller %d ended at message %d with: %w", caller, next, err)
			}
			return nil
		})
	})
}
