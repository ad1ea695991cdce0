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

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// clockSkew is how far the clocks of a backend and of the suite may be apart.
	clockSkew = time.Minute

	latest   = pubsubv1.StartPoint_START_POINT_LATEST
	earliest = pubsubv1.StartPoint_START_POINT_EARLIEST
)

// Ordering is the suite of pubsub_ordering.
func Ordering(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, i *prism.Interfaces)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
	live(t, open, func(i *prism.Interfaces, topic string, bufferSize uint32) opened {
		return subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{Topic: topic, BufferSize: bufferSize})
	})

	run("MessageHasAnIdATimeAndAKey", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, orderedAt(i, latest))
		seen := make(map[string]bool)
		for n := range 20 {
			begin := time.Now()
			id := publishOrdered(t, i.PubSubOrdering, "key", strconv.Itoa(n))
			requireASCII(t, id, 256)
			require.False(t, seen[id], "the id %q comes twice", id)
			seen[id] = true
			e := l.message(t)
			require.Equal(t, id, e.message.GetMessageId())
			require.Equal(t, "key", e.message.GetOrderingKey())
			requirePublishTime(t, e.message, begin)
			requireASCII(t, e.resume, 4096)
		}
	})
	run("KeysKeepTheirOrder", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, orderedAt(i, latest))
		var want []string
		for n := range 150 {
			key := []string{"a", "b", "c"}[n*7%3]
			publishOrdered(t, i.PubSubOrdering, key, strconv.Itoa(n))
			want = append(want, key+" "+strconv.Itoa(n))
		}
		requireOrder(t, want, l.messages(t, len(want)))
		requireOrder(t, want, listen(t, orderedAt(i, earliest)).messages(t, len(want)))
	})
	run("OverlappingCallsHaveOneOrderForEverySubscriber", func(t *testing.T, i *prism.Interfaces) {
		const publishers, each = 6, 30
		listeners := []*listener{listen(t, orderedAt(i, latest)), listen(t, orderedAt(i, latest))}
		expect.Concurrently(t, publishers, func(p int) error {
			for n := range each {
				request := &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "shared", Payload: fmt.Appendf(nil, "%d-%d", p, n)}
				if _, err := i.PubSubOrdering.PublishOrdered(t.Context(), request); err != nil {
					return err
				}
			}
			return nil
		})
		listeners = append(listeners, listen(t, orderedAt(i, earliest)))
		first := listeners[0].payloads(t, publishers*each)
		for _, l := range listeners[1:] {
			require.Equal(t, first, l.payloads(t, publishers*each), "two subscribers have different orders")
		}
		for p := range publishers {
			own := slices.DeleteFunc(slices.Clone(first), func(payload string) bool { return !strings.HasPrefix(payload, strconv.Itoa(p)+"-") })
			require.Equal(t, numbers(strconv.Itoa(p)+"-", each), own, "a message that was answered before another was published comes first")
		}
	})
	run("KeysAreDistinct", func(t *testing.T, i *prism.Interfaces) {
		keys := []string{"a", "A", "aa", " a", "a ", "á", "a\u0301", "*", ">", "a.b", "{a}", "%s", "'", `"`, `\`, "\n", "\x01", "日本語", "😀", "0", "00", strings.Repeat("k", 1024), strings.Repeat("é", 512)}
		l := listen(t, orderedAt(i, latest))
		for _, key := range keys {
			publishOrdered(t, i.PubSubOrdering, key, "of "+key)
		}
		for range keys {
			got := l.message(t).message
			require.Equal(t, "of "+got.GetOrderingKey(), string(got.GetPayload()))
			at := slices.Index(keys, got.GetOrderingKey())
			require.GreaterOrEqual(t, at, 0, "the key %.40q comes twice, or was never published", got.GetOrderingKey())
			keys[at] = "\x00"
		}
	})
	run("KeyIs1To1024BytesWithoutNUL", func(t *testing.T, i *prism.Interfaces) {
		for _, key := range []string{"", strings.Repeat("k", 1025), strings.Repeat("é", 513), "\x00", "a\x00"} {
			_, err := i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: key})
			expect.Invalid(t, "ordering_key", err)
		}
	})
	run("StartIsTheLatestUnlessSaid", func(t *testing.T, i *prism.Interfaces) {
		for n := range 5 {
			publishOrdered(t, i.PubSubOrdering, "key", "before-"+strconv.Itoa(n))
		}
		late := []*listener{
			listen(t, orderedAt(i, latest)), listen(t, orderedAt(i, pubsubv1.StartPoint_START_POINT_UNSPECIFIED)),
			listen(t, subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{Topic: "topic"})),
		}
		early := listen(t, orderedAt(i, earliest))
		publishOrdered(t, i.PubSubOrdering, "key", "behind")
		for _, l := range late {
			require.Equal(t, "behind", string(l.message(t).message.GetPayload()))
		}
		require.Equal(t, append(numbers("before-", 5), "behind"), early.payloads(t, 6))
	})
	run("StartPointIsOneOfTheEnum", func(t *testing.T, i *prism.Interfaces) {
		expect.Invalid(t, "start_point", openFails(t, orderedAt(i, 3)))
	})
	run("ResumesBehindEveryMessage", func(t *testing.T, i *prism.Interfaces) {
		var want []string
		for n := range 24 {
			key := []string{"a", "b"}[n%2]
			publishOrdered(t, i.PubSubOrdering, key, strconv.Itoa(n))
			want = append(want, key+" "+strconv.Itoa(n))
		}
		whole := listen(t, orderedAt(i, earliest)).messages(t, len(want))
		for at, e := range whole {
			var rest []string
			for _, e := range whole[at+1:] {
				rest = append(rest, e.message.GetOrderingKey()+" "+string(e.message.GetPayload()))
			}
			slices.SortFunc(rest, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) })
			for range 2 { // a resume id is good any number of times
				l := listen(t, orderedBehind(i, e.resume))
				requireOrder(t, rest, l.messages(t, len(rest)))
				if len(rest) == 0 {
					l.requireNothing(t)
				}
				l.stop()
			}
		}
	})
	run("ResumesWhereAResumedStreamWas", func(t *testing.T, i *prism.Interfaces) {
		for n := range 30 {
			publishOrdered(t, i.PubSubOrdering, "key", strconv.Itoa(n))
		}
		var got []string
		l := listen(t, orderedAt(i, earliest))
		for {
			var resume string
			for _, e := range l.messages(t, 3) {
				got, resume = append(got, string(e.message.GetPayload())), e.resume
			}
			l.stop()
			if len(got) == 30 {
				break
			}
			l = listen(t, orderedBehind(i, resume))
		}
		require.Equal(t, numbers("", 30), got)
	})
	run("ResumingMissesNothingThatIsPublishedMeanwhile", func(t *testing.T, i *prism.Interfaces) {
		const published = 150
		publisher := make(chan error, 1)
		resume := publishFirst(t, i)
		go func() {
			for n := range published {
				request := &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte(strconv.Itoa(n))}
				if _, err := i.PubSubOrdering.PublishOrdered(t.Context(), request); err != nil {
					publisher <- err
					return
				}
			}
			publisher <- nil
		}()
		var got []string
		for len(got) < published {
			l := listen(t, orderedBehind(i, resume))
			for range min(7, published-len(got)) {
				e := l.message(t)
				got, resume = append(got, string(e.message.GetPayload())), e.resume
			}
			l.stop()
		}
		require.NoError(t, <-publisher)
		require.Equal(t, numbers("", published), got)
	})
	run("ResumingRepeatsNoMessageOfOtherMethods", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, orderedAt(i, latest))
		publishOrdered(t, i.PubSubOrdering, "key", "first")
		resume := l.message(t).resume
		publish(t, i.PubSubBasic, "topic", "in passing")
		publishOrdered(t, i.PubSubOrdering, "key", "second")
		require.ElementsMatch(t, []string{"in passing", "second"}, l.payloads(t, 2))
		again := listen(t, orderedBehind(i, resume))
		require.Equal(t, "second", string(again.message(t).message.GetPayload()))
		again.requireNothing(t)
		publish(t, i.PubSubBasic, "topic", "in passing again")
		e := again.message(t)
		require.Equal(t, "in passing again", string(e.message.GetPayload()))
		require.Empty(t, e.resume, "a message of another method has no resume id")
	})
	run("OnlyOrderedMessagesHaveAResumeId", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, orderedAt(i, latest))
		for name, publish := range publishers(i) {
			publish(t, "topic", name, nil)
			require.Equal(t, name == "PublishOrdered", l.message(t).resume != "", "the resume id of a message of %s", name)
		}
	})
	run("ResumeIdOfElsewhereIsInvalid", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, orderedAt(i, latest))
		publishOrdered(t, i.PubSubOrdering, "key", "message")
		resume := l.message(t).resume
		request := &pubsubv1.SubscribeOrderedRequest{Topic: "other", Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: resume}}
		expect.Invalid(t, "start_after_resume_id", openFails(t, subscribeOrdered(i.PubSubOrdering, request)))
		for _, id := range append(tampered(resume), "", strings.Repeat("x", 4096), strings.Repeat("x", 4097)) {
			expect.Invalid(t, "start_after_resume_id", openFails(t, orderedBehind(i, id)))
		}
	})
	run("SlowSubscriberMissesNoOrderedMessage", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{Topic: "topic", BufferSize: 1}))
		const published = 400
		large := string(expect.Bytes(1, 64<<10))
		for n := range published {
			publishOrdered(t, i.PubSubOrdering, "key", strconv.Itoa(n)+" "+large)
		}
		for n, got := range l.payloads(t, published) {
			require.True(t, strings.HasPrefix(got, strconv.Itoa(n)+" "), "message %d comes in its place", n)
		}
	})
	run("SlowSubscriberMissesOthersAndIsToldHowMany", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{Topic: "topic", BufferSize: 2}))
		ordered, large := 0, expect.Bytes(1, 64<<10)
		for round := 16; ; round *= 2 {
			require.LessOrEqual(t, round, 4096, "the buffer has no bound")
			before := ordered
			for range round {
				require.NoError(t, publishPayload(t.Context(), i, 0, large))
				publishOrdered(t, i.PubSubOrdering, "key", strconv.Itoa(ordered))
				ordered++
			}
			others, missed := 0, 0
			for next := before; next < ordered || others+missed < round; {
				e := l.next(t)
				switch {
				case e.missed != nil:
					require.Positive(t, e.missed.GetCount(), "the count of other messages is known")
					missed += int(e.missed.GetCount())
				case e.resume == "":
					others++
				default:
					require.Equal(t, strconv.Itoa(next), string(e.message.GetPayload()))
					next++
				}
			}
			require.Equal(t, round, others+missed)
			if missed > 0 {
				return
			}
		}
	})
	run("OtherTopicsAndNamespacesHaveOrdersOfTheirOwn", func(t *testing.T, i *prism.Interfaces) {
		publishOrdered(t, i.PubSubOrdering, "key", "of topic")
		_, err := i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "other", OrderingKey: "key", Payload: []byte("of other")})
		require.NoError(t, err)
		other := listen(t, subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{
			Topic: "other", Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: earliest},
		}))
		require.Equal(t, "of other", string(other.message(t).message.GetPayload()))
		other.requireNothing(t)
	})
	t.Run("ResumeIdOfAnotherNamespaceIsInvalid", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		resume := publishFirst(t, one)
		publishFirst(t, other)
		expect.Invalid(t, "start_after_resume_id", openFails(t, orderedBehind(other, resume)))
	})
	run("PayloadAndMetadataArriveWholeOrAreInvalid", func(t *testing.T, i *prism.Interfaces) {
		l := listen(t, orderedAt(i, latest))
		requirePublishRules(t, l, "metadata", func(ctx context.Context, payload []byte, metadata map[string]string) error {
			_, err := i.PubSubOrdering.PublishOrdered(ctx, &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: payload, Metadata: metadata})
			return err
		})
	})
	run("TopicIs1To200CharactersOfAName", func(t *testing.T, i *prism.Interfaces) {
		requireNameRules(t, "topic", func(ctx context.Context, name string) error {
			_, err := i.PubSubOrdering.PublishOrdered(ctx, &pubsubv1.PublishOrderedRequest{Topic: name, OrderingKey: "key"})
			return err
		})
		requireNameRules(t, "topic", func(_ context.Context, name string) error {
			return openFails(t, subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{Topic: name}))
		})
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, i *prism.Interfaces) {
		requireContextRules(t, []call{
			{"PublishOrdered", func(ctx context.Context) error {
				_, err := i.PubSubOrdering.PublishOrdered(ctx, &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key"})
				return err
			}},
			{"SubscribeOrdered", func(ctx context.Context) error {
				return orderedAt(i, latest)(ctx, func(event) error { return errSend })
			}},
		})
		publishOrdered(t, i.PubSubOrdering, "key", "message")
		require.Equal(t, "message", string(listen(t, orderedAt(i, earliest)).message(t).message.GetPayload()), "a canceled call publishes nothing")
	})
	run("RequestsAreNotChanged", func(t *testing.T, i *prism.Interfaces) {
		publishing := &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte("payload"), Metadata: map[string]string{"a": "b"}}
		expect.Unchanged(t, publishing, func() error { _, err := i.PubSubOrdering.PublishOrdered(t.Context(), publishing); return err })
		subscribing := &pubsubv1.SubscribeOrderedRequest{Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: earliest}}
		expect.Unchanged(t, subscribing, func() error {
			l := listen(t, subscribeOrdered(i.PubSubOrdering, subscribing))
			l.message(t)
			require.True(t, unsubscribe(t, i.PubSubBasic, l.id))
			_, err := l.ending(t)
			return err
		})
	})
	run("StreamEndsWithTheErrorOfSendAmongKeptMessages", func(t *testing.T, i *prism.Interfaces) {
		for n := range 10 {
			publishOrdered(t, i.PubSubOrdering, "key", strconv.Itoa(n))
		}
		sent := 0
		err := orderedAt(i, earliest)(patiently(t), func(event) error {
			if sent++; sent == 5 {
				return errSend
			}
			return nil
		})
		require.True(t, errors.Is(err, errSend), "got %v", err)
		require.Equal(t, 5, sent, "nothing is sent after an error")
	})
}

func orderedAt(i *prism.Interfaces, point pubsubv1.StartPoint) opened {
	return subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: point}})
}

func orderedBehind(i *prism.Interfaces, resume string) opened {
	return subscribeOrdered(i.PubSubOrdering, &pubsubv1.SubscribeOrderedRequest{
		Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: resume},
	})
}

// publishOrdered publishes a message to "topic" and returns its id.
func publishOrdered(t *testing.T, ordering pubsubv1.Ordering, key, payload string) string {
	t.Helper()
	response, err := ordering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: key, Payload: []byte(payload)})
	require.NoError(t, err, "PublishOrdered")
	return response.GetMessageId()
}

// publishFirst publishes a message to "topic" and returns its resume id.
func publishFirst(t *testing.T, i *prism.Interfaces) string {
	t.Helper()
	l := listen(t, orderedAt(i, latest))
	publishOrdered(t, i.PubSubOrdering, "key", "first")
	resume := l.message(t).resume
	l.stop()
	return resume
}

// requireOrder fails unless messages are those that are wanted, "key payload" each, with those of each key in the same order.
func requireOrder(t *testing.T, want []string, got []event) {
	t.Helper()
	wantOf, gotOf := make(map[string][]string), make(map[string][]string)
	for _, w := range want {
		key, _, _ := strings.Cut(w, " ")
		wantOf[key] = append(wantOf[key], w)
	}
	for _, e := range got {
		key := e.message.GetOrderingKey()
		gotOf[key] = append(gotOf[key], key+" "+string(e.message.GetPayload()))
	}
	require.Equal(t, wantOf, gotOf, "each key's messages, in their order")
}

// requirePublishTime fails unless a message that was published since a time tells when, in whole milliseconds.
func requirePublishTime(t *testing.T, message *pubsubv1.Message, since time.Time) {
	t.Helper()
	require.NotNil(t, message.GetPublishTime(), "a message with an id has a time")
	published := message.GetPublishTime().AsTime()
	require.Zero(t, published.Nanosecond()%int(time.Millisecond), "%s is in whole milliseconds", published)
	require.WithinRange(t, published, since.Add(-clockSkew), time.Now().Add(clockSkew))
}
