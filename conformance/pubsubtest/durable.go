package pubsubtest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

func persistentDelivery(t *testing.T, open Open) {
	run := persistentCase(t, open)
	run("StreamBeginsWithSubscribed", func(t *testing.T, d durables) {
		d.publish(t, "message")
		one, other := d.listen(t), d.listen(t)
		requireASCII(t, one.id, 256)
		require.NotEqual(t, one.id, other.id)
	})
	run("MessagesWaitForTheSubscription", func(t *testing.T, d durables) {
		d.listen(t).stop()
		payloads := numbers("", 30)
		d.publish(t, payloads...)
		require.Equal(t, payloads, d.listen(t).payloads(t, len(payloads)))
	})
	run("MessageBehindSubscribedIsDelivered", func(t *testing.T, d durables) {
		for n := range 20 {
			l := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = strconv.Itoa(n) }))
			d.publish(t, strconv.Itoa(n))
			require.Equal(t, strconv.Itoa(n), string(l.message(t).message.GetPayload()))
			l.stop()
		}
	})
	run("EverySubscriptionGetsEveryMessage", func(t *testing.T, d durables) {
		listeners := make([]*listener, 3)
		for n := range listeners {
			listeners[n] = listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = strconv.Itoa(n) }))
		}
		payloads := numbers("", 50)
		d.publish(t, payloads...)
		for _, l := range listeners {
			require.Equal(t, payloads, l.payloads(t, len(payloads)))
			l.requireNothing(t)
		}
	})
	run("SubscriptionGoesOnWhereItAcknowledged", func(t *testing.T, d durables) {
		payloads := numbers("", 10)
		d.publish(t, payloads...)
		for at := 0; at < len(payloads); at += 2 {
			l := d.listen(t)
			events := l.messages(t, len(payloads)-at)
			for n, e := range events {
				require.Equal(t, payloads[at+n], string(e.message.GetPayload()))
			}
			d.acknowledge(t, events[0].receipt, events[1].receipt)
			l.stop()
		}
		l := d.listen(t)
		d.publish(t, "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()), "what is acknowledged does not come again")
	})
	run("UnacknowledgedMessageComesAgainWhenItsStreamHasEnded", func(t *testing.T, d durables) {
		d.publish(t, "a", "b", "c")
		receipts := make(map[string]bool)
		for n := range 3 {
			l := d.listen(t)
			for _, e := range l.messages(t, 3) {
				requireASCII(t, e.receipt, 1024)
				require.False(t, receipts[e.receipt], "a receipt comes twice")
				receipts[e.receipt] = true
				require.GreaterOrEqual(t, e.count, uint32(1))
				require.LessOrEqual(t, e.count, uint32(n+1), "it was sent no more often")
			}
			l.stop()
		}
	})
	run("UnacknowledgedMessageComesAgainAfterItsTimeoutAndNotBefore", func(t *testing.T, d durables) {
		l := listen(t, d.open(withTimeout(shortest)))
		begin := time.Now()
		d.publish(t, "a", "b")
		first := l.messages(t, 2)
		d.acknowledge(t, first[0].receipt)
		if time.Since(begin) >= shortest {
			return // too late to tell: acknowledged or not, it may come again
		}
		e := l.message(t)
		require.GreaterOrEqual(t, time.Since(begin), shortest, "it comes again early")
		require.Equal(t, "b", string(e.message.GetPayload()), "what is acknowledged does not come again")
		require.NotEqual(t, first[1].receipt, e.receipt)
		require.LessOrEqual(t, e.count, uint32(2))
		require.Equal(t, first[1].message.GetMessageId(), e.message.GetMessageId())
		// A late receipt is OK, whether it settles the message or not; then comes one that does.
		d.acknowledge(t, first[1].receipt)
		d.acknowledge(t, e.receipt)
		if time.Since(begin) >= 2*shortest {
			return // it was sent again a while before it came: too late to tell, too
		}
		d.publish(t, "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()))
	})
	run("MessageIsWithOneStream", func(t *testing.T, d durables) {
		one := d.listen(t)
		d.publish(t, "a", "b")
		one.messages(t, 2)
		other := d.listen(t)
		other.requireNothing(t)
		one.stop()
		requirePayloads(t, []string{"a", "b"}, other)
	})
	run("StreamsShareTheMessages", func(t *testing.T, d durables) {
		const streams, published = 4, 100
		events := make(chan event)
		for range streams {
			l := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.MaxUnacknowledged = 5 }))
			go forward(t.Context(), l, events)
		}
		payloads := numbers("", published)
		publisher := make(chan error, 1)
		go func() { publisher <- d.publishInBackground(t.Context(), payloads) }()
		var got []string
		for range payloads {
			select {
			case e := <-events:
				require.NotNil(t, e.message)
				got = append(got, string(e.message.GetPayload()))
				d.acknowledge(t, e.receipt)
			case <-time.After(expect.Patience):
				require.FailNow(t, "messages do not come", "%d of %d came", len(got), published)
			}
		}
		require.NoError(t, <-publisher)
		require.ElementsMatch(t, payloads, got)
	})
	run("NoMoreThanMaxUnacknowledgedAreSent", func(t *testing.T, d durables) {
		l := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.MaxUnacknowledged = 2 }))
		d.publish(t, numbers("", 7)...)
		waiting := l.messages(t, 2)
		l.requireNothing(t)
		d.acknowledge(t, waiting[1].receipt)
		require.Equal(t, "2", string(l.message(t).message.GetPayload()))
		l.requireNothing(t)
		d.acknowledge(t, waiting[0].receipt)
		require.Equal(t, "3", string(l.message(t).message.GetPayload()))
		l.requireNothing(t)
		// Another stream has a bound of its own.
		other := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.MaxUnacknowledged = 1 }))
		require.Equal(t, "4", string(other.message(t).message.GetPayload()))
		other.requireNothing(t)
	})
	run("MaxUnacknowledgedIs1000ByDefault", func(t *testing.T, d durables) {
		payloads := numbers("", 1001)
		expect.Concurrently(t, 7, func(part int) error { return d.publishInBackground(t.Context(), payloads[part*143:(part+1)*143]) })
		l := d.listen(t)
		events := l.messages(t, 1000)
		l.requireNothing(t)
		d.acknowledge(t, receiptsOf(events)...) // 1,000 receipts are as many as one call takes
		l.message(t)
	})
	run("SlowSubscriberMissesNothing", func(t *testing.T, d durables) {
		l := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.MaxUnacknowledged = 10_000 }))
		const published = 400
		large := string(expect.Bytes(1, 64<<10))
		for n := range published {
			d.publish(t, strconv.Itoa(n)+" "+large)
		}
		for n, got := range l.payloads(t, published) {
			require.True(t, strings.HasPrefix(got, strconv.Itoa(n)+" "), "message %d comes in its place", n)
		}
	})
	run("UnsentMessageComesOnTheNextStream", func(t *testing.T, d durables) {
		d.publish(t, "a", "b")
		sent := 0
		err := d.open(fromEarliest)(patiently(t), func(event) error {
			if sent++; sent == 2 {
				return errSend
			}
			return nil
		})
		require.True(t, errors.Is(err, errSend), "got %v", err)
		require.Equal(t, 2, sent, "nothing is sent after an error")
		requirePayloads(t, []string{"a", "b"}, d.listen(t))
	})
	run("SubscribingMovesNothing", func(t *testing.T, d durables) {
		d.publish(t, "a")
		for range 5 {
			l := d.listen(t)
			l.stop()
		}
		require.Equal(t, "a", string(d.listen(t).message(t).message.GetPayload()))
	})
	run("StreamEndsWithItsContext", func(t *testing.T, d durables) {
		l := d.listen(t)
		l.stop()
		expect.Code(t, fault.Canceled, l.err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := start(t, ctx, d.open(nil)).ending(t)
		expect.Code(t, fault.DeadlineExceeded, err)
	})
	run("MessagesAreNotChangedAfterTheyWereSent", func(t *testing.T, d durables) {
		d.publish(t, numbers("", 10)...)
		l := d.listen(t)
		events := l.messages(t, 10)
		var copies []proto.Message
		for _, e := range events {
			copies = append(copies, proto.Clone(e.response))
		}
		l.stop()
		d.listen(t).messages(t, 10)
		for n, e := range events {
			require.True(t, proto.Equal(copies[n], e.response), "a message was changed after it was sent")
		}
	})
}

// publishInBackground keeps messages from another goroutine than the test's.
func (d durables) publishInBackground(ctx context.Context, payloads []string) error {
	for _, payload := range payloads {
		if _, err := d.persistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)}); err != nil {
			return err
		}
	}
	return nil
}

func persistentAcknowledgement(t *testing.T, open Open) {
	run := persistentCase(t, open)
	run("AcknowledgeSettlesItsMessagesAndNoOthers", func(t *testing.T, d durables) {
		d.publish(t, "a", "b", "c", "d")
		begin := time.Now()
		l := listen(t, d.open(withTimeout(shortest)))
		events := l.messages(t, 4)
		d.acknowledge(t, events[2].receipt, events[0].receipt, events[2].receipt) // in any order, and repeated
		d.acknowledge(t, events[0].receipt)                                       // and again
		if time.Since(begin) >= shortest {
			return // too late to tell: acknowledged or not, they may come again
		}
		requirePayloads(t, []string{"b", "d"}, l)
	})
	run("AcknowledgedMessagesDoNotComeAgainOnTheNextStream", func(t *testing.T, d durables) {
		d.publish(t, "a", "b", "c")
		l := d.listen(t)
		events := l.messages(t, 3)
		d.acknowledge(t, events[0].receipt, events[1].receipt)
		l.stop()
		require.Equal(t, "c", string(d.listen(t).message(t).message.GetPayload()))
	})
	run("ReceiptOfElsewhereIsFailedPreconditionAndNothingIsSettled", func(t *testing.T, d durables) {
		l := d.listen(t)
		other := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = "other" }))
		elsewhere := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Topic = "elsewhere" }))
		d.publish(t, "a")
		_, err := d.persistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "elsewhere"})
		require.NoError(t, err)
		right := l.message(t).receipt
		for _, wrong := range append(tampered(right), other.message(t).receipt, elsewhere.message(t).receipt) {
			expect.Code(t, fault.FailedPrecondition, d.tryAcknowledge(t, wrong))
			expect.Code(t, fault.FailedPrecondition, d.tryAcknowledge(t, right, wrong))
			expect.Code(t, fault.FailedPrecondition, d.tryAcknowledge(t, wrong, right))
		}
		l.stop()
		l = d.listen(t)
		e := l.message(t)
		require.Equal(t, "a", string(e.message.GetPayload()), "no refused call has settled it")
		d.acknowledge(t, e.receipt)
	})
	run("ReceiptOfASubscriptionThatIsNotThereIsFailedPrecondition", func(t *testing.T, d durables) {
		expect.Code(t, fault.FailedPrecondition, d.tryAcknowledge(t, "receipt"))
		d.publish(t, "a")
		expect.Code(t, fault.FailedPrecondition, d.tryAcknowledge(t, "receipt"))
		receipt := d.listen(t).message(t).receipt
		for topic, subscription := range map[string]string{"topic": "none", "none": "name"} {
			_, err := d.persistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: topic, Subscription: subscription, Receipts: []string{receipt}})
			expect.Code(t, fault.FailedPrecondition, err)
		}
	})
	run("ReceiptOfAStreamThatHasEndedIsGoodOrRefused", func(t *testing.T, d durables) {
		d.publish(t, "a")
		l := d.listen(t)
		receipt := l.message(t).receipt
		l.stop()
		expect.Eventually(t, "the stream has ended", func() bool { return !unsubscribe(t, d.basic, l.id) })
		err := d.tryAcknowledge(t, receipt)
		if err != nil {
			expect.Code(t, fault.FailedPrecondition, err)
		}
		next := d.listen(t)
		d.publish(t, "behind")
		if err == nil {
			require.Equal(t, "behind", string(next.message(t).message.GetPayload()), "it was settled")
			return
		}
		requirePayloads(t, []string{"a", "behind"}, next)
	})
	run("AcknowledgementsOverlap", func(t *testing.T, d durables) {
		d.publish(t, numbers("", 60)...)
		l := d.listen(t)
		receipts := receiptsOf(l.messages(t, 60))
		expect.Concurrently(t, 6, func(int) error { // each settles all
			for _, receipt := range receipts {
				if _, err := d.persistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{receipt}}); err != nil {
					return err
				}
			}
			return nil
		})
		l.stop()
		next := d.listen(t)
		d.publish(t, "behind")
		require.Equal(t, "behind", string(next.message(t).message.GetPayload()))
	})
}

func persistentForgetting(t *testing.T, open Open) {
	run := persistentCase(t, open)
	run("UnsubscribeEndsOneStreamWithOKAndKeepsThePosition", func(t *testing.T, d durables) {
		d.publish(t, "a", "b")
		one := d.listen(t)
		events := one.messages(t, 2)
		d.acknowledge(t, events[0].receipt)
		other := d.listen(t)
		require.True(t, unsubscribe(t, d.basic, one.id))
		_, err := one.ending(t)
		require.NoError(t, err)
		require.Equal(t, "b", string(other.message(t).message.GetPayload()), "what was not acknowledged goes to the others")
		require.False(t, unsubscribe(t, d.basic, one.id))
		require.True(t, unsubscribe(t, d.basic, other.id))
		require.Equal(t, "b", string(d.listen(t).message(t).message.GetPayload()))
	})
	run("ForgetRemovesTheSubscriptionAndEndsItsStreams", func(t *testing.T, d durables) {
		d.publish(t, "a", "b")
		one, other := d.listen(t), d.listen(t)
		stays := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = "stays" }))
		require.True(t, forget(t, d.basic, one.id))
		for _, l := range []*listener{one, other} {
			_, err := l.ending(t)
			require.NoError(t, err, "a stream whose subscription is forgotten ends with OK")
		}
		require.False(t, unsubscribe(t, d.basic, other.id), "it ended before")
		d.publish(t, "c")
		require.Equal(t, "c", string(stays.message(t).message.GetPayload()), "other subscriptions stay")
		require.Equal(t, []string{"a", "b", "c"}, d.listen(t).payloads(t, 3), "the next one begins anew")
	})
	run("ForgottenPositionIsGone", func(t *testing.T, d durables) {
		d.publish(t, "a")
		l := d.listen(t)
		receipt := l.message(t).receipt
		d.acknowledge(t, receipt)
		require.True(t, forget(t, d.basic, l.id))
		expect.Code(t, fault.FailedPrecondition, d.tryAcknowledge(t, receipt))
		again := d.listen(t)
		require.Equal(t, "a", string(again.message(t).message.GetPayload()))
		expect.Code(t, fault.FailedPrecondition, d.tryAcknowledge(t, receipt))
	})
	run("ForgetTakesEffectAfterTheStreamHasEnded", func(t *testing.T, d durables) {
		d.publish(t, "a")
		l := d.listen(t)
		d.acknowledge(t, l.message(t).receipt)
		require.True(t, unsubscribe(t, d.basic, l.id))
		require.False(t, forget(t, d.basic, l.id), "the stream had ended before")
		require.Equal(t, "a", string(d.listen(t).message(t).message.GetPayload()), "the subscription was forgotten all the same")
	})
	run("SubscriptionThatWasCreatedAgainIsAnotherOne", func(t *testing.T, d durables) {
		d.publish(t, "a")
		old := d.listen(t)
		require.True(t, forget(t, d.basic, old.id))
		next := d.listen(t)
		d.acknowledge(t, next.message(t).receipt)
		require.False(t, forget(t, d.basic, old.id), "it is gone")
		d.publish(t, "b")
		require.Equal(t, "b", string(next.message(t).message.GetPayload()), "the one of the same name stays, with its streams")
		next.stop()
		require.Equal(t, "b", string(d.listen(t).message(t).message.GetPayload()), "and its position")
	})
}

func persistentRequests(t *testing.T, open Open) {
	run := persistentCase(t, open)
	run("PayloadAndMetadataArriveWholeOrAreInvalid", func(t *testing.T, d durables) {
		requirePublishRules(t, d.listen(t), "metadata", func(ctx context.Context, payload []byte, metadata map[string]string) error {
			_, err := d.persistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: payload, Metadata: metadata})
			return err
		})
	})
	run("NamesAre1To200Characters", func(t *testing.T, d durables) {
		requireNameRules(t, "topic", func(ctx context.Context, name string) error {
			_, err := d.persistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: name})
			return err
		})
		requireNameRules(t, "topic", func(ctx context.Context, name string) error {
			_, err := d.persistent.GetLastMessageID(ctx, &pubsubv1.GetLastMessageIDRequest{Topic: name})
			return err
		})
		requireNameRules(t, "topic", func(ctx context.Context, name string) error {
			_, err := d.persistent.Acknowledge(ctx, &pubsubv1.AcknowledgeRequest{Topic: name, Subscription: "name", Receipts: []string{"r"}})
			return err
		})
		requireNameRules(t, "topic", func(_ context.Context, name string) error {
			return openFails(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Topic = name }))
		})
		requireNameRules(t, "subscription", func(_ context.Context, name string) error {
			return openFails(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = name }))
		})
		requireNameRules(t, "subscription", func(ctx context.Context, name string) error {
			_, err := d.persistent.Acknowledge(ctx, &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: name, Receipts: []string{"r"}})
			return err
		})
	})
	run("WhatIsOutOfBoundsIsInvalid", func(t *testing.T, d durables) {
		for _, key := range []string{strings.Repeat("k", 1025), "a\x00"} {
			_, err := d.persistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", OrderingKey: key})
			expect.Invalid(t, "ordering_key", err)
		}
		for _, timeout := range []time.Duration{0, -time.Second, time.Second - 1, 12*time.Hour + 1} {
			change := func(r *pubsubv1.SubscribeDurableRequest) { r.AcknowledgementTimeout = durationpb.New(timeout) }
			expect.Invalid(t, "acknowledgement_timeout", openFails(t, d.open(change)))
		}
		expect.Invalid(t, "max_unacknowledged", openFails(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.MaxUnacknowledged = 10_001 })))
		expect.Invalid(t, "start_point", openFails(t, d.open(from(3))))
		for _, at := range []*timestamppb.Timestamp{{Seconds: -2208988801}, {Seconds: 10413792000}} {
			expect.Invalid(t, "start_time", openFails(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) {
				r.Start = &pubsubv1.SubscribeDurableRequest_StartTime{StartTime: at}
			})))
		}
		expect.Invalid(t, "receipts", d.tryAcknowledge(t))
		expect.Invalid(t, "receipts", d.tryAcknowledge(t, ""))
		expect.Invalid(t, "receipts", d.tryAcknowledge(t, strings.Repeat("r", 1025)))
		expect.Invalid(t, "receipts", d.tryAcknowledge(t, numbers("r", 1001)...))
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, d durables) {
		d.publish(t, "a")
		l := d.listen(t)
		receipt := l.message(t).receipt
		requireContextRules(t, []call{
			{"PublishPersistent", func(ctx context.Context) error {
				_, err := d.persistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: "topic"})
				return err
			}},
			{"SubscribeDurable", func(ctx context.Context) error {
				return d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = "canceled" })(ctx, func(event) error { return errSend })
			}},
			{"GetLastMessageID", func(ctx context.Context) error {
				_, err := d.persistent.GetLastMessageID(ctx, &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
				return err
			}},
			{"Acknowledge", func(ctx context.Context) error {
				_, err := d.persistent.Acknowledge(ctx, &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{receipt}})
				return err
			}},
		})
		l.stop()
		next := d.listen(t)
		require.Equal(t, "a", string(next.message(t).message.GetPayload()), "a canceled call settles nothing")
		next.requireNothing(t) // nor keeps anything
	})
	run("RequestsAreNotChanged", func(t *testing.T, d durables) {
		publishing := &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte("payload"), Metadata: map[string]string{"a": "b"}, OrderingKey: "key"}
		expect.Unchanged(t, publishing, func() error { _, err := d.persistent.PublishPersistent(t.Context(), publishing); return err })
		asking := &pubsubv1.GetLastMessageIDRequest{Topic: "topic"}
		expect.Unchanged(t, asking, func() error { _, err := d.persistent.GetLastMessageID(t.Context(), asking); return err })
		subscribing := &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "name", Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: earliest}}
		expect.Unchanged(t, subscribing, func() error {
			l := listen(t, subscribeDurable(d.persistent, subscribing))
			settling := &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{l.message(t).receipt}}
			expect.Unchanged(t, settling, func() error { _, err := d.persistent.Acknowledge(t.Context(), settling); return err })
			require.True(t, unsubscribe(t, d.basic, l.id))
			_, err := l.ending(t)
			return err
		})
	})
}
