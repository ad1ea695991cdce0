package queuetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// Basic is the suite of queue_basic.
func Basic(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic queuev1.Basic)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t).QueueBasic)
		})
	}

	run("QueueThatWasNeverUsedIsEmpty", func(t *testing.T, basic queuev1.Basic) {
		requireEmpty(t, basic, "queue")
		requireEmpty(t, basic, "queue") // looking makes nothing
	})
	run("DequeueTakesWhatEnqueueAdded", func(t *testing.T, basic queuev1.Basic) {
		metadata := map[string]string{"content-type": "text/plain", "empty": ""}
		begin := time.Now()
		response, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte("payload"), Metadata: metadata})
		require.NoError(t, err)
		require.False(t, response.GetDuplicate())
		message := dequeue(t, basic, "queue")
		require.NotNil(t, message)
		require.Equal(t, response.GetMessageId(), message.GetMessageId())
		expect.EqualBytes(t, []byte("payload"), message.GetPayload())
		require.Equal(t, metadata, message.GetMetadata())
		requireAbout(t, begin, time.Now(), message.GetEnqueueTime())
		require.Zero(t, message.GetEnqueueTime().GetNanos()%1_000_000, "enqueue_time is in whole milliseconds")
		require.Zero(t, message.GetPriority())
		require.EqualValues(t, 1, message.GetReceiveCount())
		require.Nil(t, message.GetDeadLetter())
	})
	run("DequeueTakesForGood", func(t *testing.T, basic queuev1.Basic) {
		enqueue(t, basic, "queue", "payload")
		require.NotNil(t, dequeue(t, basic, "queue"))
		requireEmpty(t, basic, "queue")
	})
	run("FirstInFirstOut", func(t *testing.T, basic queuev1.Basic) {
		var want []string
		for i := range 200 {
			want = append(want, fmt.Sprint("payload-", i))
		}
		enqueueAll(t, basic, "queue", want...)
		requireOrder(t, basic, "queue", want...)
	})
	run("OrderHoldsWhileMessagesComeAndGo", func(t *testing.T, basic queuev1.Basic) {
		put, taken := 0, 0
		for round := range 40 {
			for range 1 + round%5 {
				enqueue(t, basic, "queue", fmt.Sprint(put))
				put++
			}
			for range 1 + (round*7)%4 {
				if taken < put {
					expect.EqualBytes(t, fmt.Append(nil, taken), dequeue(t, basic, "queue").GetPayload())
					taken++
				}
			}
		}
		for ; taken < put; taken++ {
			expect.EqualBytes(t, fmt.Append(nil, taken), dequeue(t, basic, "queue").GetPayload())
		}
		requireEmpty(t, basic, "queue")
	})
	run("PeekShowsTheFirstAndLeavesIt", func(t *testing.T, basic queuev1.Basic) {
		enqueueAll(t, basic, "queue", "first", "second")
		for range 3 {
			message := peek(t, basic, "queue")
			require.NotNil(t, message)
			expect.EqualBytes(t, []byte("first"), message.GetPayload())
			require.Zero(t, message.GetReceiveCount(), "Peek does not count")
		}
		shown, taken := peek(t, basic, "queue"), dequeue(t, basic, "queue")
		require.EqualValues(t, 1, taken.GetReceiveCount())
		taken.ReceiveCount = 0
		require.True(t, proto.Equal(shown, taken), "Peek shows what Dequeue takes: got %v and %v", shown, taken)
		requireFirst(t, basic, "queue", "second")
	})
	run("MessageIdIsASCIIAndUniqueInTheNamespace", func(t *testing.T, basic queuev1.Basic) {
		var mu sync.Mutex
		seen := make(map[string]bool)
		expect.Concurrently(t, 6, func(i int) error {
			for range 30 {
				response, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: fmt.Sprint("queue-", i%3), Payload: []byte("the same")})
				if err != nil {
					return err
				}
				id := response.GetMessageId()
				if id == "" || len(id) > 256 || strings.ContainsFunc(id, func(r rune) bool { return r > 127 }) {
					return fmt.Errorf("%q is not 1 to 256 bytes of ASCII", id)
				}
				mu.Lock()
				twice := seen[id]
				seen[id] = true
				mu.Unlock()
				if twice {
					return fmt.Errorf("%q is the id of two messages", id)
				}
			}
			return nil
		})
	})
	run("PayloadMayHoldAnyBytes", func(t *testing.T, basic queuev1.Basic) {
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		for _, want := range [][]byte{nil, {}, every, {0}, {0, 0}, []byte("\xff\xfe"), []byte("\r\n"), bytes.Repeat([]byte{0xc3}, 3), expect.Bytes(1, maxPayload)} {
			enqueue(t, basic, "queue", string(want))
			message := dequeue(t, basic, "queue")
			require.NotNil(t, message)
			expect.EqualBytes(t, want, message.GetPayload())
		}
	})
	run("MetadataComesEntryForEntry", func(t *testing.T, basic queuev1.Basic) {
		for _, want := range []map[string]string{nil, {"a": ""}, {"0._-": "\x00\n\r\"'é😀", "-": " ", "a": strings.Repeat("v", 4096)}} {
			_, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Metadata: want})
			require.NoError(t, err)
			got := dequeue(t, basic, "queue").GetMetadata()
			require.Len(t, got, len(want))
			for key, value := range want {
				require.Equal(t, value, got[key])
			}
		}
	})
	run("PayloadMetadataAndKeyAreBounded", func(t *testing.T, basic queuev1.Basic) {
		requireArrivalRules(t, basicEnqueueing(basic))
		requireEmpty(t, basic, "wrong")
	})
	run("QueuesAreSeparate", func(t *testing.T, basic queuev1.Basic) {
		names := distinctNames()
		for _, name := range names {
			requireEmpty(t, basic, name)
			enqueue(t, basic, name, "in "+name)
		}
		for _, name := range names {
			requireOrder(t, basic, name, "in "+name)
		}
	})
	run("NamesAre1To200BytesOfLettersDigitsDotsDashes", func(t *testing.T, basic queuev1.Basic) {
		requireNameRules(t, basicCalls(basic))
	})
	run("DequeueWithoutAWaitTimeDoesNotWait", func(t *testing.T, basic queuev1.Basic) {
		for _, wait := range []*durationpb.Duration{nil, {}} {
			begin := time.Now()
			response, err := basic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "queue", WaitTime: wait})
			require.NoError(t, err)
			require.False(t, response.GetFound())
			require.Less(t, time.Since(begin), expect.Patience, "it does not wait")
		}
	})
	run("DequeueWaitsAsLongAsItMay", func(t *testing.T, basic queuev1.Basic) {
		begin := time.Now()
		response, err := basic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "queue", WaitTime: durationpb.New(short)})
		require.NoError(t, err)
		require.False(t, response.GetFound())
		require.Nil(t, response.GetMessage())
		require.GreaterOrEqual(t, time.Since(begin), short, "it waits for its wait_time")
		require.Less(t, time.Since(begin), short+expect.Patience)
	})
	run("DequeueEndsToWaitWhenAMessageComes", func(t *testing.T, basic queuev1.Basic) {
		for round := range 5 {
			answers := waitInDequeue(t.Context(), basic, "queue", 30*time.Second)
			expect.Pause(t, time.Duration(round)*10*time.Millisecond)
			id := enqueue(t, basic, "queue", "payload")
			got := receive(t, answers)
			require.NoError(t, got.err)
			require.Equal(t, id, got.message.GetMessageId())
			requireEmpty(t, basic, "queue")
		}
	})
	run("DequeueThatMayWaitTakesWhatIsThereAtOnce", func(t *testing.T, basic queuev1.Basic) {
		enqueue(t, basic, "queue", "payload")
		got := receive(t, waitInDequeue(t.Context(), basic, "queue", 30*time.Second))
		require.NoError(t, got.err)
		expect.EqualBytes(t, []byte("payload"), got.message.GetPayload())
	})
	run("WaitTimeIs0To30Seconds", func(t *testing.T, basic queuev1.Basic) {
		enqueue(t, basic, "queue", "payload")
		for _, wrong := range []*durationpb.Duration{
			{Nanos: -1}, durationpb.New(-time.Second), durationpb.New(30*time.Second + 1), durationpb.New(time.Hour), durationpb.New(math.MaxInt64), {Seconds: 315_576_000_000},
		} {
			_, err := basic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "queue", WaitTime: wrong})
			expect.Invalid(t, "wait_time", err)
		}
		requireOrder(t, basic, "queue", "payload")
	})
	run("EachMessageGoesToOneOfThoseThatWait", func(t *testing.T, basic queuev1.Basic) {
		const callers, messages = 12, 8
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answers := make(chan answer, callers)
		for range callers {
			go func() { answers <- <-waitInDequeue(ctx, basic, "queue", 30*time.Second) }()
		}
		expect.Pause(t, 20*time.Millisecond)
		want := make(map[string]bool)
		for range messages {
			want[enqueue(t, basic, "queue", "payload")] = true
		}
		for range messages {
			got := receive(t, answers)
			require.NoError(t, got.err)
			require.True(t, want[got.message.GetMessageId()], "a message comes once, and only what was enqueued comes")
			delete(want, got.message.GetMessageId())
		}
		cancel()
		for range callers - messages {
			expect.Code(t, fault.Canceled, receive(t, answers).err)
		}
		requireEmpty(t, basic, "queue")
	})
	run("CallThatHasEndedTakesNoMessage", func(t *testing.T, basic queuev1.Basic) {
		requireTakesNothing(t, basic, func(ctx context.Context, queue string) <-chan answer {
			return waitInDequeue(ctx, basic, queue, 30*time.Second)
		})
	})
	run("WaitingEndsWithTheDeadline", func(t *testing.T, basic queuev1.Basic) {
		ctx, cancel := context.WithTimeout(t.Context(), short)
		defer cancel()
		expect.Code(t, fault.DeadlineExceeded, receive(t, waitInDequeue(ctx, basic, "queue", 30*time.Second)).err)
	})
	run("CancelledCallsLeaveMessagesToOthers", func(t *testing.T, basic queuev1.Basic) {
		// Some calls end just when messages come: what they do not answer with is still there, or was taken when the call's end crossed it.
		ctx, cancel := context.WithCancel(t.Context())
		var ended []<-chan answer
		for range 6 {
			ended = append(ended, waitInDequeue(ctx, basic, "queue", 30*time.Second))
		}
		stays := waitInDequeue(t.Context(), basic, "queue", 30*time.Second)
		cancel()
		for _, answers := range ended {
			receive(t, answers)
		}
		expect.Eventually(t, "the call that goes on waiting is served", func() bool {
			enqueue(t, basic, "queue", "payload")
			select {
			case got := <-stays:
				require.NoError(t, got.err)
				require.NotNil(t, got.message)
				return true
			default:
				return false
			}
		})
	})
	run("IdempotencyKeyMakesRepeatedCallsCountOnce", func(t *testing.T, basic queuev1.Basic) {
		requireCountsOnce(t, basic, basicEnqueueing(basic))
	})
	run("IdempotencyKeysAreDistinct", func(t *testing.T, basic queuev1.Basic) {
		keys := distinctKeys()
		ids := make(map[string]string)
		for _, key := range keys {
			response, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte(key), IdempotencyKey: key})
			require.NoError(t, err)
			require.False(t, response.GetDuplicate(), "%.80q is taken for another key", key)
			ids[key] = response.GetMessageId()
		}
		for _, key := range keys {
			response, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", IdempotencyKey: key})
			require.NoError(t, err)
			require.True(t, response.GetDuplicate())
			require.Equal(t, ids[key], response.GetMessageId())
		}
		requireOrder(t, basic, "queue", keys...)
	})
	run("IdempotencyKeyIsTheQueues", func(t *testing.T, basic queuev1.Basic) {
		put := basicEnqueueing(basic)
		one, duplicate, err := put(t.Context(), arrival{queue: "one", key: "key"})
		require.NoError(t, err)
		require.False(t, duplicate)
		other, duplicate, err := put(t.Context(), arrival{queue: "other", key: "key"})
		require.NoError(t, err)
		require.False(t, duplicate, "the key of another queue is another key")
		require.NotEqual(t, one, other)
	})
	run("WithoutAKeyARepeatedCallIsAnotherMessage", func(t *testing.T, basic queuev1.Basic) {
		require.NotEqual(t, enqueue(t, basic, "queue", "payload"), enqueue(t, basic, "queue", "payload"))
		requireOrder(t, basic, "queue", "payload", "payload")
	})
	run("OfSeveralCallsWithAKeyAtOnceOneEnqueues", func(t *testing.T, basic queuev1.Basic) {
		for round := range 10 {
			var first sync.Map
			var enqueued atomic.Int64
			expect.Concurrently(t, 6, func(i int) error {
				response, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Payload: fmt.Append(nil, i), IdempotencyKey: fmt.Sprint("key-", round)})
				if err != nil {
					return err
				}
				if !response.GetDuplicate() {
					enqueued.Add(1)
				}
				first.Store(response.GetMessageId(), true)
				return nil
			})
			require.EqualValues(t, 1, enqueued.Load(), "one call enqueues")
			message := dequeue(t, basic, "queue")
			require.NotNil(t, message)
			first.Range(func(id, _ any) bool {
				require.Equal(t, message.GetMessageId(), id, "all answer with its id")
				return true
			})
			requireEmpty(t, basic, "queue")
		}
	})
	run("RequestsAreNotChanged", func(t *testing.T, basic queuev1.Basic) {
		enqueuing := &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte("payload"), Metadata: map[string]string{"key": "value"}, IdempotencyKey: "key"}
		expect.Unchanged(t, enqueuing, func() error { _, err := basic.Enqueue(t.Context(), enqueuing); return err })
		peeking := &queuev1.PeekRequest{Queue: "queue"}
		expect.Unchanged(t, peeking, func() error { _, err := basic.Peek(t.Context(), peeking); return err })
		dequeuing := &queuev1.DequeueRequest{Queue: "queue", WaitTime: durationpb.New(time.Millisecond)}
		expect.Unchanged(t, dequeuing, func() error { _, err := basic.Dequeue(t.Context(), dequeuing); return err })
		expect.Unchanged(t, enqueuing, func() error { return nil })
	})
	run("ResponsesAreNotChangedAfterwards", func(t *testing.T, basic queuev1.Basic) {
		enqueue(t, basic, "queue", "payload")
		shown := peek(t, basic, "queue")
		before := proto.Clone(shown)
		taken := dequeue(t, basic, "queue")
		require.EqualValues(t, 1, taken.GetReceiveCount())
		enqueue(t, basic, "queue", "another")
		require.NotNil(t, dequeue(t, basic, "queue"))
		require.True(t, proto.Equal(before, shown), "got %v, want %v", shown, before)
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, basic queuev1.Basic) {
		requireContextRules(t, basicCalls(basic))
	})
	run("NoMessageIsLostNorTakenTwice", func(t *testing.T, basic queuev1.Basic) {
		requireEachOnce(t, basic, func(ctx context.Context, queue string) (*queuev1.Message, error) {
			response, err := basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: queue, WaitTime: durationpb.New(5 * time.Millisecond)})
			return response.GetMessage(), err
		})
	})
	t.Run("OneQueueIsLinearizable", func(t *testing.T) {
		t.Parallel()
		expect.Linearizable(t, queueModel(), recordQueue(t, open(t).QueueBasic, nil))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t).QueueBasic, open(t).QueueBasic
		_, _, err := basicEnqueueing(one)(t.Context(), arrival{queue: "queue", payload: []byte("one"), key: "key"})
		require.NoError(t, err)
		requireEmpty(t, other, "queue")
		_, duplicate, err := basicEnqueueing(other)(t.Context(), arrival{queue: "queue", payload: []byte("other"), key: "key"})
		require.NoError(t, err)
		require.False(t, duplicate, "the key of another namespace is another key")
		requireOrder(t, one, "queue", "one")
		requireOrder(t, other, "queue", "other")
	})
}

// basicCalls are the calls of queue_basic.
func basicCalls(basic queuev1.Basic) []call {
	return []call{
		{"Enqueue", func(ctx context.Context, queue string) error {
			_, err := basic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: queue, Payload: []byte("payload")})
			return err
		}, "queue", fault.OK},
		{"Peek", func(ctx context.Context, queue string) error {
			_, err := basic.Peek(ctx, &queuev1.PeekRequest{Queue: queue})
			return err
		}, "queue", fault.OK},
		{"Dequeue", func(ctx context.Context, queue string) error {
			_, err := basic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: queue})
			return err
		}, "queue", fault.OK},
	}
}

func basicEnqueueing(basic queuev1.Basic) enqueueing {
	return func(ctx context.Context, a arrival) (string, bool, error) {
		response, err := basic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: a.queue, Payload: a.payload, Metadata: a.metadata, IdempotencyKey: a.key})
		return response.GetMessageId(), response.GetDuplicate(), err
	}
}

// requireCountsOnce checks that calls of an enqueueing method with one idempotency key enqueue one message, whatever becomes of it, and that Enqueue knows its keys.
func requireCountsOnce(t *testing.T, basic queuev1.Basic, put enqueueing) {
	t.Helper()
	id, duplicate, err := put(t.Context(), arrival{queue: "queue", payload: []byte("first"), metadata: map[string]string{"n": "1"}, key: "key"})
	require.NoError(t, err)
	require.False(t, duplicate)
	repeat := func(put enqueueing) {
		t.Helper()
		again, duplicate, err := put(t.Context(), arrival{queue: "queue", payload: []byte("second"), metadata: map[string]string{"n": "2"}, key: "key"})
		require.NoError(t, err)
		require.True(t, duplicate, "the call is a repetition")
		require.Equal(t, id, again, "it answers with the first one's message id")
	}
	repeat(put)
	repeat(basicEnqueueing(basic))
	message := await(t, basic, "queue")
	require.Equal(t, id, message.GetMessageId())
	expect.EqualBytes(t, []byte("first"), message.GetPayload())
	require.Equal(t, map[string]string{"n": "1"}, message.GetMetadata())
	repeat(put) // the message is gone, and the key counts still
	repeat(basicEnqueueing(basic))
	requireEmpty(t, basic, "queue")
}

// requireEachOnce lets some producers and consumers work at once and fails unless each message comes to one consumer, and those of a producer in their order.
func requireEachOnce(t *testing.T, basic queuev1.Basic, take func(ctx context.Context, queue string) (*queuev1.Message, error)) {
	t.Helper()
	const producers, consumers, each = 3, 4, 60
	var taken atomic.Int64
	got := make([][]string, consumers)
	expect.Concurrently(t, producers+consumers, func(i int) error {
		if i < producers {
			for n := range each {
				if _, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Payload: fmt.Appendf(nil, "%d %d", i, n)}); err != nil {
					return err
				}
			}
			return nil
		}
		for end := time.Now().Add(expect.Patience); taken.Load() < producers*each; {
			if time.Now().After(end) {
				return fmt.Errorf("%d of %d messages came", taken.Load(), producers*each)
			}
			message, err := take(t.Context(), "queue")
			if err != nil {
				return err
			}
			if message != nil {
				taken.Add(1)
				got[i-producers] = append(got[i-producers], string(message.GetPayload()))
			}
		}
		return nil
	})
	seen := make(map[string]bool)
	for _, payloads := range got {
		last := [producers]int{-1, -1, -1}
		for _, payload := range payloads {
			var producer, n int
			_, err := fmt.Sscanf(payload, "%d %d", &producer, &n)
			require.NoError(t, err)
			require.False(t, seen[payload], "%q came twice", payload)
			require.Greater(t, n, last[producer], "a consumer gets a producer's messages in their order")
			seen[payload], last[producer] = true, n
		}
	}
	require.Len(t, seen, producers*each)
	requireEmpty(t, basic, "queue")
}
