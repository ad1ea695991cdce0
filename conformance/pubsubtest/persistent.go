package pubsubtest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// shortest is the shortest acknowledgement timeout.
const shortest = time.Second

// Persistent is the suite of pubsub_persistent.
func Persistent(t *testing.T, open Open) {
	persistentPublishing(t, open)
	persistentStarts(t, open)
	persistentDelivery(t, open)
	persistentAcknowledgement(t, open)
	persistentForgetting(t, open)
	persistentRequests(t, open)
}

// persistentCase runs a case in a namespace of its own.
func persistentCase(t *testing.T, open Open) func(name string, test func(t *testing.T, c durables)) {
	return func(name string, test func(t *testing.T, c durables)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, durables{i, i.PubSubBasic, i.PubSubPersistent})
		})
	}
}

// durables is what a case about durable subscriptions works with: the topic "topic" of a namespace.
type durables struct {
	*prism.Interfaces
	basic      pubsubv1.Basic
	persistent pubsubv1.Persistent
}

// publish keeps messages, one after the other, and returns their ids.
func (d durables) publish(t *testing.T, payloads ...string) []string {
	t.Helper()
	ids := make([]string, len(payloads))
	for n, payload := range payloads {
		response, err := d.persistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)})
		require.NoError(t, err, "PublishPersistent")
		ids[n] = response.GetMessageId()
	}
	return ids
}

// open returns the call that serves the durable subscription "name", changed.
func (d durables) open(change func(*pubsubv1.SubscribeDurableRequest)) opened {
	request := &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "name"}
	if change != nil {
		change(request)
	}
	return subscribeDurable(d.persistent, request)
}

// listen serves the durable subscription "name", which begins with the oldest message that is kept.
func (d durables) listen(t *testing.T) *listener {
	t.Helper()
	return listen(t, d.open(fromEarliest))
}

func fromEarliest(r *pubsubv1.SubscribeDurableRequest) {
	r.Start = &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: earliest}
}

func from(point pubsubv1.StartPoint) func(*pubsubv1.SubscribeDurableRequest) {
	return func(r *pubsubv1.SubscribeDurableRequest) {
		r.Start = &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: point}
	}
}

func fromID(id string) func(*pubsubv1.SubscribeDurableRequest) {
	return func(r *pubsubv1.SubscribeDurableRequest) {
		r.Start = &pubsubv1.SubscribeDurableRequest_StartAfterMessageId{StartAfterMessageId: id}
	}
}

func fromTime(at time.Time) func(*pubsubv1.SubscribeDurableRequest) {
	return func(r *pubsubv1.SubscribeDurableRequest) {
		r.Start = &pubsubv1.SubscribeDurableRequest_StartTime{StartTime: timestamppb.New(at)}
	}
}

// withTimeout begins with the oldest message and has an acknowledgement timeout.
func withTimeout(timeout time.Duration) func(*pubsubv1.SubscribeDurableRequest) {
	return func(r *pubsubv1.SubscribeDurableRequest) {
		fromEarliest(r)
		r.AcknowledgementTimeout = durationpb.New(timeout)
	}
}

// tryAcknowledge settles deliveries to the durable subscription "name".
func (d durables) tryAcknowledge(t *testing.T, receipts ...string) error {
	t.Helper()
	_, err := d.persistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: receipts})
	return err
}

func (d durables) acknowledge(t *testing.T, receipts ...string) {
	t.Helper()
	require.NoError(t, d.tryAcknowledge(t, receipts...), "Acknowledge")
}

// requirePayloads fails unless the next messages of a stream have payloads, in any order.
func requirePayloads(t *testing.T, want []string, l *listener) {
	t.Helper()
	require.ElementsMatch(t, want, l.payloads(t, len(want)))
}

func receiptsOf(events []event) []string {
	found := make([]string, len(events))
	for n, e := range events {
		found[n] = e.receipt
	}
	return found
}

func persistentPublishing(t *testing.T, open Open) {
	run := persistentCase(t, open)
	run("MessageHasAnIdATimeAndAKey", func(t *testing.T, d durables) {
		l := d.listen(t)
		seen := make(map[string]bool)
		for n, key := range []string{"", "a", "A", "", strings.Repeat("k", 1024), "日本語"} {
			begin := time.Now()
			request := &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(strconv.Itoa(n)), OrderingKey: key, Metadata: map[string]string{"n": strconv.Itoa(n)}}
			response, err := d.persistent.PublishPersistent(t.Context(), request)
			require.NoError(t, err)
			id := response.GetMessageId()
			requireASCII(t, id, 256)
			require.False(t, seen[id], "the id %q comes twice", id)
			seen[id] = true
			got := l.message(t).message
			requirePublishTime(t, got, begin)
			want := &pubsubv1.Message{
				Topic: "topic", Payload: request.GetPayload(), Metadata: request.GetMetadata(), MessageId: id, PublishTime: got.GetPublishTime(), OrderingKey: key,
			}
			require.True(t, proto.Equal(want, got), "got %v, want %v", got, want)
		}
	})
	run("MessageReachesLiveSubscriptionsToo", func(t *testing.T, d durables) {
		liveOne, durable := listen(t, subscribe(d.basic, &pubsubv1.SubscribeRequest{Topic: "topic"})), d.listen(t)
		id := d.publish(t, "message")[0]
		for _, l := range []*listener{liveOne, durable} {
			got := l.message(t).message
			require.Equal(t, "message", string(got.GetPayload()))
			require.Equal(t, id, got.GetMessageId())
		}
	})
	run("DurableSubscriptionGetsNothingOfOtherMethods", func(t *testing.T, d durables) {
		l := d.listen(t)
		for name, publish := range publishers(d.Interfaces) {
			publish(t, "topic", name, nil)
		}
		require.Equal(t, "PublishPersistent", string(l.message(t).message.GetPayload()))
		d.publish(t, "behind")
		require.Equal(t, "behind", string(l.message(t).message.GetPayload()))
		requirePayloads(t, []string{"PublishPersistent", "behind"}, listen(t, subscribeDurable(d.persistent, &pubsubv1.SubscribeDurableRequest{
			Topic: "topic", Subscription: "another", Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: earliest},
		})))
	})
	run("RepeatedPublishIsKeptTwice", func(t *testing.T, d durables) {
		ids := d.publish(t, "same", "same")
		require.NotEqual(t, ids[0], ids[1])
		require.Equal(t, []string{"same", "same"}, d.listen(t).payloads(t, 2))
	})
	run("KeysKeepTheirOrder", func(t *testing.T, d durables) {
		early := listen(t, subscribeDurable(d.persistent, &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "early"}))
		var want []string
		for n := range 150 {
			key := []string{"a", "", "c"}[n*7%3]
			_, err := d.persistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", OrderingKey: key, Payload: []byte(strconv.Itoa(n))})
			require.NoError(t, err)
			want = append(want, key+" "+strconv.Itoa(n))
		}
		requireOrder(t, want, early.messages(t, len(want)))
		requireOrder(t, want, d.listen(t).messages(t, len(want)))
	})
	run("OverlappingCallsKeepTheOrderOfEachCaller", func(t *testing.T, d durables) {
		const publishers, each = 6, 25
		l := d.listen(t)
		expect.Concurrently(t, publishers, func(p int) error {
			for n := range each {
				request := &pubsubv1.PublishPersistentRequest{Topic: "topic", OrderingKey: "shared", Payload: fmt.Appendf(nil, "%d-%d", p, n)}
				if _, err := d.persistent.PublishPersistent(t.Context(), request); err != nil {
					return err
				}
			}
			return nil
		})
		got := l.payloads(t, publishers*each)
		for p := range publishers {
			own := slices.DeleteFunc(slices.Clone(got), func(payload string) bool { return !strings.HasPrefix(payload, strconv.Itoa(p)+"-") })
			require.Equal(t, numbers(strconv.Itoa(p)+"-", each), own)
		}
	})
	run("GetLastMessageIDTellsTheNewest", func(t *testing.T, d durables) {
		last := func() *pubsubv1.GetLastMessageIDResponse {
			response, err := d.persistent.GetLastMessageID(t.Context(), &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
			require.NoError(t, err)
			return response
		}
		requireNone := func() {
			t.Helper()
			none := last()
			require.False(t, none.GetFound())
			require.Empty(t, none.GetMessageId())
			require.Nil(t, none.GetPublishTime())
		}
		requireNone()
		publish(t, d.basic, "topic", "kept nowhere")
		_, err := d.persistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "other"})
		require.NoError(t, err)
		l := d.listen(t)
		requireNone()
		for range 10 {
			id := d.publish(t, "message")[0]
			newest := last()
			require.True(t, newest.GetFound())
			require.Equal(t, id, newest.GetMessageId())
			e := l.message(t)
			require.True(t, proto.Equal(e.message.GetPublishTime(), newest.GetPublishTime()))
			d.acknowledge(t, e.receipt) // it stays all the same
			require.Equal(t, id, last().GetMessageId())
		}
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		i, j := open(t), open(t)
		one, other := durables{i, i.PubSubBasic, i.PubSubPersistent}, durables{j, j.PubSubBasic, j.PubSubPersistent}
		l, there := one.listen(t), other.listen(t)
		id := one.publish(t, "one")[0]
		other.publish(t, "other")
		e := l.message(t)
		require.Equal(t, "one", string(e.message.GetPayload()))
		require.Equal(t, "other", string(there.message(t).message.GetPayload()))
		expect.Code(t, fault.FailedPrecondition, other.tryAcknowledge(t, e.receipt))
		expect.Invalid(t, "start_after_message_id", openFails(t, other.open(func(r *pubsubv1.SubscribeDurableRequest) {
			fromID(id)(r)
			r.Subscription = "new"
		})))
		_, err := other.basic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: l.id, Forget: true})
		expect.Code(t, fault.FailedPrecondition, err)
		one.acknowledge(t, e.receipt)
	})
}

func persistentStarts(t *testing.T, open Open) {
	run := persistentCase(t, open)
	run("NewSubscriptionStartsAtTheLatestUnlessSaid", func(t *testing.T, d durables) {
		d.publish(t, numbers("before-", 5)...)
		var late []*listener
		for n, change := range []func(*pubsubv1.SubscribeDurableRequest){nil, from(latest), from(pubsubv1.StartPoint_START_POINT_UNSPECIFIED)} {
			late = append(late, listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) {
				if change != nil {
					change(r)
				}
				r.Subscription = "late-" + strconv.Itoa(n)
			})))
		}
		early := d.listen(t)
		d.publish(t, "behind")
		for _, l := range late {
			require.Equal(t, "behind", string(l.message(t).message.GetPayload()))
		}
		require.Equal(t, append(numbers("before-", 5), "behind"), early.payloads(t, 6))
	})
	run("NewSubscriptionStartsBehindAnyMessage", func(t *testing.T, d durables) {
		payloads := numbers("", 12)
		ids := d.publish(t, payloads...)
		for n, id := range ids {
			l := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) {
				fromID(id)(r)
				r.Subscription = strconv.Itoa(n)
			}))
			require.Equal(t, payloads[n+1:], l.payloads(t, len(ids)-n-1))
			if n == len(ids)-1 {
				l.requireNothing(t)
			}
		}
	})
	run("MessageIdOfElsewhereIsInvalid", func(t *testing.T, d durables) {
		id := d.publish(t, "message")[0]
		for _, wrong := range append(tampered(id), "", strings.Repeat("x", 256), strings.Repeat("x", 257)) {
			expect.Invalid(t, "start_after_message_id", openFails(t, d.open(fromID(wrong))))
		}
		l := d.listen(t) // a refused call has created nothing: this one's start counts
		require.Equal(t, "message", string(l.message(t).message.GetPayload()))
	})
	run("NewSubscriptionStartsAtATime", func(t *testing.T, d durables) {
		probe := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = "probe" }))
		var times []time.Time
		for n := range 4 {
			d.publish(t, strconv.Itoa(n))
			times = append(times, probe.message(t).message.GetPublishTime().AsTime())
			if n > 0 {
				require.True(t, times[n].After(times[n-1]), "the clock has moved on")
			}
			expect.Pause(t, 5*time.Millisecond)
		}
		for name, c := range map[string]struct {
			at   time.Time
			want []string
		}{
			"long ago":                  {time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), []string{"0", "1", "2", "3"}},
			"the first one's time":      {times[0], []string{"0", "1", "2", "3"}},
			"a nanosecond later":        {times[0].Add(1), []string{"1", "2", "3"}},
			"the third one's time":      {times[2], []string{"2", "3"}},
			"a nanosecond before it":    {times[2].Add(-1), []string{"2", "3"}},
			"a millisecond after it":    {times[2].Add(time.Millisecond), []string{"3"}},
			"a nanosecond after it all": {times[3].Add(1), nil},
		} {
			l := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) {
				fromTime(c.at)(r)
				r.Subscription = strings.ReplaceAll(name, " ", "-")
				r.Subscription = strings.ReplaceAll(r.Subscription, "'", "-")
			}))
			require.Equal(t, c.want, nilIfEmpty(l.payloads(t, len(c.want))), name)
			if len(c.want) == 0 {
				l.requireNothing(t)
			}
		}
	})
	run("StartTimeInTheFutureWaitsForIt", func(t *testing.T, d durables) {
		probe := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = "probe" }))
		d.publish(t, "long before")
		at := probe.message(t).message.GetPublishTime().AsTime().Add(250 * time.Millisecond)
		l := listen(t, d.open(fromTime(at)))
		expected := 0
		for n := 0; expected < 3; n++ {
			d.publish(t, strconv.Itoa(n))
			if e := probe.message(t); !e.message.GetPublishTime().AsTime().Before(at) {
				require.Equal(t, strconv.Itoa(n), string(l.message(t).message.GetPayload()))
				expected++
			}
			expect.Pause(t, 10*time.Millisecond)
		}
	})
	run("StartAndTimeoutOfOneThatIsThereAreIgnored", func(t *testing.T, d durables) {
		d.publish(t, "before")
		l := listen(t, d.open(from(latest)))
		id := d.publish(t, "first")[0]
		require.Equal(t, "first", string(l.message(t).message.GetPayload()))
		l.stop()
		for _, change := range []func(*pubsubv1.SubscribeDurableRequest){fromEarliest, fromID(id), fromTime(time.Now().Add(time.Hour)), from(latest), nil} {
			l = listen(t, d.open(change))
			require.Equal(t, "first", string(l.message(t).message.GetPayload()), "it goes on with what it has not acknowledged")
			l.stop()
		}
	})
	run("SubscriptionIsCreatedOnce", func(t *testing.T, d durables) {
		payloads := numbers("", 40)
		d.publish(t, payloads...)
		const streams = 6
		listeners := make([]*listener, streams)
		for n := range listeners {
			listeners[n] = start(t, t.Context(), d.open(fromEarliest))
		}
		events := make(chan event)
		for _, l := range listeners {
			require.NotNil(t, l.next(t).subscribed)
			go forward(t.Context(), l, events)
		}
		var got []string
		for range payloads {
			select {
			case e := <-events:
				got = append(got, string(e.message.GetPayload()))
			case <-time.After(expect.Patience):
				require.FailNow(t, "messages do not come", "%v", got)
			}
		}
		require.ElementsMatch(t, payloads, got, "the streams share one subscription's messages")
	})
	run("NamesAreOfTheirTopic", func(t *testing.T, d durables) {
		one := d.listen(t)
		other := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Topic = "other" }))
		second := listen(t, d.open(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = "Name" }))
		d.publish(t, "message")
		require.Equal(t, "message", string(one.message(t).message.GetPayload()))
		require.Equal(t, "message", string(second.message(t).message.GetPayload()))
		other.requireNothing(t)
	})
}

// nilIfEmpty makes two ways to have nothing one.
func nilIfEmpty(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}

// forward passes a stream's messages on.
func forward(ctx context.Context, l *listener, events chan<- event) {
	for {
		select {
		case e := <-l.events:
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		case <-l.done:
			return
		}
	}
}
