package queuetest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// maxPriority is the priority that goes first.
const maxPriority = 9

// Priority is the suite of queue_priority.
func Priority(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.QueueBasic, i.QueuePriority)
		})
	}
	offered := open(t)

	run("HigherPriorityGoesFirst", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		var want []string
		for i := range uint32(maxPriority + 1) {
			p := (i*7 + 3) % (maxPriority + 1) // each once, in disorder
			prioritize(t, priority, "queue", fmt.Sprint(p), p)
			want = append(want, fmt.Sprint(maxPriority-i))
		}
		requireOrder(t, basic, "queue", want...)
	})
	run("FirstInFirstOutWithinAPriority", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		random := rand.New(rand.NewPCG(5, 5))
		type put struct {
			priority uint32
			payload  string
		}
		var puts []put
		for i := range 150 {
			p := put{random.Uint32N(maxPriority + 1), fmt.Sprint("payload-", i)}
			prioritize(t, priority, "queue", p.payload, p.priority)
			puts = append(puts, p)
		}
		slices.SortStableFunc(puts, func(a, b put) int { return cmp.Compare(b.priority, a.priority) })
		for _, want := range puts {
			shown, taken := peek(t, basic, "queue"), dequeue(t, basic, "queue")
			require.Equal(t, want.payload, string(shown.GetPayload()))
			require.Equal(t, want.payload, string(taken.GetPayload()))
			require.Equal(t, want.priority, taken.GetPriority())
		}
		requireEmpty(t, basic, "queue")
	})
	run("EnqueueIsPriority0", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		enqueue(t, basic, "queue", "a")
		prioritize(t, priority, "queue", "b", 0)
		enqueue(t, basic, "queue", "c")
		prioritize(t, priority, "queue", "first", 1)
		requireOrder(t, basic, "queue", "first", "a", "b", "c")
	})
	run("LowPriorityWaitsAsLongAsHigherOnesCome", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		enqueue(t, basic, "queue", "low")
		for i := range 50 {
			prioritize(t, priority, "queue", fmt.Sprint(i), 5)
			expect.EqualBytes(t, fmt.Append(nil, i), dequeue(t, basic, "queue").GetPayload())
		}
		requireOrder(t, basic, "queue", "low")
	})
	run("PriorityCountsFromTheAnswerOn", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		for i := range uint32(maxPriority + 1) {
			prioritize(t, priority, "queue", fmt.Sprint(i), i)
			requireFirst(t, basic, "queue", fmt.Sprint(i))
		}
	})
	run("MessageIsAsAnother", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		metadata := map[string]string{"key": "value"}
		begin := time.Now()
		response, err := priority.EnqueueWithPriority(t.Context(), &queuev1.EnqueueWithPriorityRequest{Queue: "queue", Payload: []byte("payload"), Metadata: metadata, Priority: 7})
		require.NoError(t, err)
		require.False(t, response.GetDuplicate())
		message := dequeue(t, basic, "queue")
		require.Equal(t, response.GetMessageId(), message.GetMessageId())
		expect.EqualBytes(t, []byte("payload"), message.GetPayload())
		require.Equal(t, metadata, message.GetMetadata())
		require.EqualValues(t, 7, message.GetPriority())
		require.EqualValues(t, 1, message.GetReceiveCount())
		requireAbout(t, begin, time.Now(), message.GetEnqueueTime())
	})
	run("MessageWakesACallThatWaits", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		answers := waitInDequeue(t.Context(), basic, "queue", 30*time.Second)
		expect.Pause(t, 10*time.Millisecond)
		id := prioritize(t, priority, "queue", "payload", 3)
		got := receive(t, answers)
		require.NoError(t, got.err)
		require.Equal(t, id, got.message.GetMessageId())
	})
	if offered.QueueVisibility != nil {
		t.Run("LeasesGoByPriority", func(t *testing.T) {
			t.Parallel()
			i := open(t)
			for _, p := range []uint32{2, 9, 0, 5} {
				prioritize(t, i.QueuePriority, "queue", fmt.Sprint(p), p)
			}
			for _, want := range []string{"9", "5", "2", "0"} {
				expect.EqualBytes(t, []byte(want), mustLease(t, i.QueueVisibility, "queue", time.Hour).GetMessage().GetPayload())
			}
		})
		t.Run("MessageComesBackToItsOldPlaceInItsPriority", func(t *testing.T) {
			t.Parallel()
			i := open(t)
			prioritize(t, i.QueuePriority, "queue", "low", 1)
			low := mustLease(t, i.QueueVisibility, "queue", time.Hour)
			prioritize(t, i.QueuePriority, "queue", "high", 8)
			high := mustLease(t, i.QueueVisibility, "queue", time.Hour)
			for _, p := range []uint32{1, 8, 4} {
				prioritize(t, i.QueuePriority, "queue", fmt.Sprint("later ", p), p)
			}
			release(t, i.QueueVisibility, "queue", low.GetReceipt())
			requireFirst(t, i.QueueBasic, "queue", "later 8")
			release(t, i.QueueVisibility, "queue", high.GetReceipt())
			requireOrder(t, i.QueueBasic, "queue", "high", "later 8", "later 4", "low", "later 1")
		})
	}
	run("IdempotencyKeyMakesRepeatedCallsCountOnce", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		requireCountsOnce(t, basic, priorityEnqueueing(priority, 3))
	})
	run("KeyOfAnotherMethodAndPriorityCounts", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		id, _, err := basicEnqueueing(basic)(t.Context(), arrival{queue: "queue", payload: []byte("payload"), key: "key"})
		require.NoError(t, err)
		for _, p := range []uint32{0, maxPriority} {
			again, duplicate, err := priorityEnqueueing(priority, p)(t.Context(), arrival{queue: "queue", key: "key"})
			require.NoError(t, err)
			require.True(t, duplicate)
			require.Equal(t, id, again)
		}
		require.Zero(t, dequeue(t, basic, "queue").GetPriority())
		requireEmpty(t, basic, "queue")
	})
	run("PriorityIs0To9", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		for _, wrong := range []uint32{maxPriority + 1, 100, 256, math.MaxUint32} {
			_, _, err := priorityEnqueueing(priority, wrong)(t.Context(), arrival{queue: "queue"})
			expect.Invalid(t, "priority", err)
		}
		requireEmpty(t, basic, "queue")
	})
	run("PayloadMetadataAndKeyAreBounded", func(t *testing.T, basic queuev1.Basic, priority queuev1.Priority) {
		requireArrivalRules(t, priorityEnqueueing(priority, 3))
		requireEmpty(t, basic, "wrong")
	})
	run("NamesAre1To200BytesOfLettersDigitsDotsDashes", func(t *testing.T, _ queuev1.Basic, priority queuev1.Priority) {
		requireNameRules(t, priorityCalls(priority))
	})
	run("RequestsAreNotChanged", func(t *testing.T, _ queuev1.Basic, priority queuev1.Priority) {
		enqueuing := &queuev1.EnqueueWithPriorityRequest{Queue: "queue", Payload: []byte("payload"), Priority: 3, Metadata: map[string]string{"key": "value"}, IdempotencyKey: "key"}
		expect.Unchanged(t, enqueuing, func() error { _, err := priority.EnqueueWithPriority(t.Context(), enqueuing); return err })
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, _ queuev1.Basic, priority queuev1.Priority) {
		requireContextRules(t, priorityCalls(priority))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		prioritize(t, one.QueuePriority, "queue", "one", 9)
		prioritize(t, other.QueuePriority, "queue", "other", 1)
		requireOrder(t, one.QueueBasic, "queue", "one")
		requireOrder(t, other.QueueBasic, "queue", "other")
	})
}

// priorityCalls are the calls of queue_priority.
func priorityCalls(priority queuev1.Priority) []call {
	return []call{{"EnqueueWithPriority", func(ctx context.Context, queue string) error {
		_, err := priority.EnqueueWithPriority(ctx, &queuev1.EnqueueWithPriorityRequest{Queue: queue, Priority: 3})
		return err
	}, "queue", fault.OK}}
}

// priorityEnqueueing is EnqueueWithPriority with some priority.
func priorityEnqueueing(priority queuev1.Priority, p uint32) enqueueing {
	return func(ctx context.Context, a arrival) (string, bool, error) {
		response, err := priority.EnqueueWithPriority(ctx, &queuev1.EnqueueWithPriorityRequest{
			Queue: a.queue, Payload: a.payload, Metadata: a.metadata, IdempotencyKey: a.key, Priority: p,
		})
		return response.GetMessageId(), response.GetDuplicate(), err
	}
}

func prioritize(t *testing.T, priority queuev1.Priority, queue, payload string, p uint32) string {
	t.Helper()
	response, err := priority.EnqueueWithPriority(t.Context(), &queuev1.EnqueueWithPriorityRequest{Queue: queue, Payload: []byte(payload), Priority: p})
	require.NoError(t, err, "EnqueueWithPriority %.80q", payload)
	require.False(t, response.GetDuplicate(), "a call without an idempotency key is no duplicate")
	return response.GetMessageId()
}
