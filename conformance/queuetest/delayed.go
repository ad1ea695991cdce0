package queuetest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// oneYear is the longest delay.
const oneYear = 365 * 24 * time.Hour

// Delayed is the suite of queue_delayed.
func Delayed(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.QueueBasic, i.QueueDelayed)
		})
	}
	offered := open(t)

	run("ScheduledMessageIsNotVisible", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		schedule(t, delayed, "queue", "payload", time.Hour)
		requireEmpty(t, basic, "queue")
		enqueue(t, basic, "queue", "visible")
		requireOrder(t, basic, "queue", "visible")
	})
	run("ScheduledMessageBecomesVisibleAndNeverEarly", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		for _, delay := range []time.Duration{time.Millisecond, 40 * time.Millisecond, short, 1999 * time.Microsecond} {
			begin := time.Now()
			schedule(t, delayed, "queue", "payload", delay)
			expect.Eventually(t, "the message is visible", func() bool { return peek(t, basic, "queue") != nil })
			require.GreaterOrEqual(t, time.Since(begin), delay, "the message is visible early")
			require.NotNil(t, dequeue(t, basic, "queue"))
		}
	})
	run("ScheduledMessageWakesACallThatWaits", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		first := waitInDequeue(t.Context(), basic, "queue", 30*time.Second)
		begin := time.Now()
		id := schedule(t, delayed, "queue", "payload", short).GetMessageId()
		got := receive(t, first)
		require.NoError(t, got.err)
		require.GreaterOrEqual(t, time.Since(begin), short)
		require.Equal(t, id, got.message.GetMessageId())
	})
	run("ScheduledMessageIsAsAnother", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		metadata := map[string]string{"key": "value"}
		begin := time.Now()
		response, err := delayed.EnqueueDelayed(t.Context(), &queuev1.EnqueueDelayedRequest{
			Queue: "queue", Payload: []byte("payload"), Metadata: metadata, Delay: durationpb.New(short),
		})
		require.NoError(t, err)
		end := time.Now()
		require.False(t, response.GetDuplicate())
		requireAbout(t, begin.Add(short), end.Add(short), response.GetDueTime())
		message := await(t, basic, "queue")
		require.Equal(t, response.GetMessageId(), message.GetMessageId())
		expect.EqualBytes(t, []byte("payload"), message.GetPayload())
		require.Equal(t, metadata, message.GetMetadata())
		require.Zero(t, message.GetPriority())
		require.EqualValues(t, 1, message.GetReceiveCount())
		require.Zero(t, message.GetEnqueueTime().GetNanos()%1_000_000, "enqueue_time is in whole milliseconds")
		require.LessOrEqual(t, message.GetEnqueueTime().AsTime(), response.GetDueTime().AsTime().Add(-short+time.Millisecond), "it was enqueued when it was scheduled")
	})
	run("FirstDueFirstOut", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		// On a machine so slow that the calls take as long as the delays differ, the case begins again with longer ones.
		for step := 50 * time.Millisecond; ; step *= 2 {
			require.Less(t, step, expect.Patience, "the implementation is too slow to be tested")
			begin := time.Now()
			for _, steps := range []int{4, 1, 3, 2} {
				schedule(t, delayed, "queue", fmt.Sprint("after ", steps), time.Duration(steps)*step)
			}
			late := time.Since(begin) >= step
			waitUntilNoneIsScheduled(t, delayed, "queue")
			if late {
				require.Len(t, drain(t, basic, "queue"), 4)
				continue
			}
			requireOrder(t, basic, "queue", "after 1", "after 2", "after 3", "after 4")
			return
		}
	})
	run("ScheduledMessageTakesItsPlaceWhenItBecomesVisible", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		// On a machine so slow that the delay is over before the calls are, the case begins again with a longer one.
		for delay := short; ; delay *= 2 {
			require.Less(t, delay, expect.Patience, "the implementation is too slow to be tested")
			enqueue(t, basic, "queue", "first")
			begin := time.Now()
			schedule(t, delayed, "queue", "scheduled", delay)
			enqueue(t, basic, "queue", "before")
			late := time.Since(begin) >= delay
			waitUntilNoneIsScheduled(t, delayed, "queue")
			enqueue(t, basic, "queue", "after")
			if late {
				require.Len(t, drain(t, basic, "queue"), 4)
				continue
			}
			requireOrder(t, basic, "queue", "first", "before", "scheduled", "after")
			return
		}
	})
	run("GetScheduledCountCountsWhatIsNotVisibleYet", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		require.Zero(t, scheduledCount(t, delayed, "queue"))
		enqueue(t, basic, "queue", "visible")
		require.Zero(t, scheduledCount(t, delayed, "queue"))
		for i := range 5 {
			schedule(t, delayed, "queue", "payload", time.Hour+time.Duration(i))
			schedule(t, delayed, "other", "payload", time.Hour)
			require.EqualValues(t, i+1, scheduledCount(t, delayed, "queue"))
		}
		require.True(t, cancelScheduled(t, delayed, "queue", schedule(t, delayed, "queue", "cancelled", time.Hour).GetMessageId()))
		require.EqualValues(t, 5, scheduledCount(t, delayed, "queue"))
		schedule(t, delayed, "queue", "soon", time.Millisecond)
		expect.Eventually(t, "what is due does not count", func() bool { return scheduledCount(t, delayed, "queue") == 5 })
	})
	run("CancelScheduledRemovesAMessage", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		cancelled := schedule(t, delayed, "queue", "cancelled", short).GetMessageId()
		kept := schedule(t, delayed, "queue", "kept", short).GetMessageId()
		if !cancelScheduled(t, delayed, "queue", cancelled) {
			require.NotNil(t, await(t, basic, "queue"), "it was due before")
		}
		require.Equal(t, kept, await(t, basic, "queue").GetMessageId())
		expect.Pause(t, 20*time.Millisecond)
		requireEmpty(t, basic, "queue")
		require.False(t, cancelScheduled(t, delayed, "queue", cancelled), "it was cancelled before")
	})
	run("CancelScheduledRemovesOneMessage", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		var ids []string
		for range 10 {
			ids = append(ids, schedule(t, delayed, "queue", "payload", time.Hour).GetMessageId())
		}
		for i, id := range []string{ids[4], ids[0], ids[9]} {
			require.True(t, cancelScheduled(t, delayed, "queue", id))
			require.False(t, cancelScheduled(t, delayed, "queue", id))
			require.EqualValues(t, 9-i, scheduledCount(t, delayed, "queue"))
		}
		requireEmpty(t, basic, "queue")
	})
	run("CancelScheduledOfWhatIsNotScheduledChangesNothing", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		require.False(t, cancelScheduled(t, delayed, "queue", "never-there"))
		require.False(t, cancelScheduled(t, delayed, "queue", strings.Repeat("é", 128)))
		id := enqueue(t, basic, "queue", "visible")
		require.False(t, cancelScheduled(t, delayed, "queue", id))
		requireFirst(t, basic, "queue", "visible")
		require.NotNil(t, dequeue(t, basic, "queue"))
		require.False(t, cancelScheduled(t, delayed, "queue", id), "it is gone")
		due := schedule(t, delayed, "queue", "due", time.Millisecond).GetMessageId()
		expect.Eventually(t, "the message is visible", func() bool { return peek(t, basic, "queue") != nil })
		require.False(t, cancelScheduled(t, delayed, "queue", due))
		requireOrder(t, basic, "queue", "due")
		elsewhere := schedule(t, delayed, "other", "payload", time.Hour).GetMessageId()
		require.False(t, cancelScheduled(t, delayed, "queue", elsewhere), "it is in another queue")
		require.EqualValues(t, 1, scheduledCount(t, delayed, "other"))
	})
	if offered.QueueVisibility != nil {
		t.Run("CancelScheduledLeavesLeasedAndHeldBackMessages", func(t *testing.T) {
			t.Parallel()
			i := open(t)
			schedule(t, i.QueueDelayed, "queue", "payload", time.Millisecond)
			leased := awaitLease(t, i.QueueVisibility, "queue", time.Hour)
			require.False(t, cancelScheduled(t, i.QueueDelayed, "queue", leased.GetMessage().GetMessageId()))
			releaseWith(t, i.QueueVisibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Delay: durationpb.New(short)})
			require.False(t, cancelScheduled(t, i.QueueDelayed, "queue", leased.GetMessage().GetMessageId()))
			require.Zero(t, scheduledCount(t, i.QueueDelayed, "queue"))
			require.NotNil(t, await(t, i.QueueBasic, "queue"))
		})
		t.Run("DequeueWithTimeoutDoesNotTakeAScheduledMessage", func(t *testing.T) {
			t.Parallel()
			i := open(t)
			schedule(t, i.QueueDelayed, "queue", "payload", time.Hour)
			require.False(t, lease(t, i.QueueVisibility, "queue", time.Hour).GetFound())
		})
	}
	if offered.QueuePriority != nil {
		t.Run("ScheduledMessageHasPriority0", func(t *testing.T) {
			t.Parallel()
			i := open(t)
			schedule(t, i.QueueDelayed, "queue", "scheduled", time.Millisecond)
			waitUntilNoneIsScheduled(t, i.QueueDelayed, "queue")
			prioritize(t, i.QueuePriority, "queue", "1", 1)
			requireOrder(t, i.QueueBasic, "queue", "1", "scheduled")
		})
	}
	run("CancelledOrVisibleNeverBothNorNeither", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		const messages = 60
		var mu sync.Mutex
		kept := make(map[string]bool)
		expect.Concurrently(t, 3, func(i int) error {
			for n := range messages / 3 {
				response, err := delayed.EnqueueDelayed(t.Context(), &queuev1.EnqueueDelayedRequest{Queue: "queue", Delay: durationpb.New(time.Duration(1+n%5) * time.Millisecond)})
				if err != nil {
					return err
				}
				expect.Pause(t, time.Duration(n%7)*time.Millisecond)
				cancelled, err := delayed.CancelScheduled(t.Context(), &queuev1.CancelScheduledRequest{Queue: "queue", MessageId: response.GetMessageId()})
				if err != nil {
					return err
				}
				if !cancelled.GetCancelled() {
					mu.Lock()
					kept[response.GetMessageId()] = true
					mu.Unlock()
				}
			}
			return nil
		})
		waitUntilNoneIsScheduled(t, delayed, "queue")
		for message := dequeue(t, basic, "queue"); message != nil; message = dequeue(t, basic, "queue") {
			require.True(t, kept[message.GetMessageId()], "a cancelled message became visible")
			delete(kept, message.GetMessageId())
		}
		require.Empty(t, kept, "messages that were not cancelled did not become visible")
	})
	run("IdempotencyKeyMakesRepeatedCallsCountOnce", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		requireCountsOnce(t, basic, delayedEnqueueing(delayed, 5*time.Millisecond))
	})
	run("RepeatedCallKeepsTheDueTime", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		request := &queuev1.EnqueueDelayedRequest{Queue: "queue", Payload: []byte("payload"), Delay: durationpb.New(time.Hour), IdempotencyKey: "key"}
		first, err := delayed.EnqueueDelayed(t.Context(), request)
		require.NoError(t, err)
		for _, delay := range []time.Duration{time.Millisecond, 2 * time.Hour} {
			again, err := delayed.EnqueueDelayed(t.Context(), &queuev1.EnqueueDelayedRequest{Queue: "queue", Delay: durationpb.New(delay), IdempotencyKey: "key"})
			require.NoError(t, err)
			require.True(t, again.GetDuplicate())
			require.Equal(t, first.GetMessageId(), again.GetMessageId())
			require.True(t, proto.Equal(first.GetDueTime(), again.GetDueTime()), "it answers with the due time of the first call: got %v, want %v", again.GetDueTime(), first.GetDueTime())
		}
		expect.Pause(t, 20*time.Millisecond)
		require.EqualValues(t, 1, scheduledCount(t, delayed, "queue"))
		requireEmpty(t, basic, "queue")
	})
	run("KeyOfAnotherMethodHasNoDueTime", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		id, _, err := basicEnqueueing(basic)(t.Context(), arrival{queue: "queue", payload: []byte("payload"), key: "key"})
		require.NoError(t, err)
		response, err := delayed.EnqueueDelayed(t.Context(), &queuev1.EnqueueDelayedRequest{Queue: "queue", Delay: durationpb.New(time.Hour), IdempotencyKey: "key"})
		require.NoError(t, err)
		require.True(t, response.GetDuplicate())
		require.Equal(t, id, response.GetMessageId())
		require.Nil(t, response.GetDueTime())
		require.Zero(t, scheduledCount(t, delayed, "queue"))
		requireOrder(t, basic, "queue", "payload")
	})
	run("KeyOfACancelledMessageGoesOnCounting", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		put := delayedEnqueueing(delayed, time.Hour)
		id, _, err := put(t.Context(), arrival{queue: "queue", key: "key"})
		require.NoError(t, err)
		require.True(t, cancelScheduled(t, delayed, "queue", id))
		for _, put := range []enqueueing{put, basicEnqueueing(basic)} {
			again, duplicate, err := put(t.Context(), arrival{queue: "queue", key: "key"})
			require.NoError(t, err)
			require.True(t, duplicate)
			require.Equal(t, id, again)
		}
		require.Zero(t, scheduledCount(t, delayed, "queue"))
		requireEmpty(t, basic, "queue")
	})
	run("DelayIs1MillisecondTo1Year", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		for _, wrong := range []*durationpb.Duration{
			nil, {}, {Nanos: 1}, durationpb.New(time.Millisecond - 1), durationpb.New(-time.Hour), durationpb.New(oneYear + 1), durationpb.New(math.MaxInt64), {Seconds: 315_576_000_000},
		} {
			_, err := delayed.EnqueueDelayed(t.Context(), &queuev1.EnqueueDelayedRequest{Queue: "queue", Delay: wrong})
			expect.Invalid(t, "delay", err)
		}
		begin := time.Now()
		requireAbout(t, begin.Add(oneYear), begin.Add(oneYear), schedule(t, delayed, "queue", "payload", oneYear).GetDueTime())
		require.EqualValues(t, 1, scheduledCount(t, delayed, "queue"))
		requireEmpty(t, basic, "queue")
	})
	run("MessageIdIs1To256Bytes", func(t *testing.T, _ queuev1.Basic, delayed queuev1.Delayed) {
		for _, wrong := range []string{"", strings.Repeat("m", 257)} {
			_, err := delayed.CancelScheduled(t.Context(), &queuev1.CancelScheduledRequest{Queue: "queue", MessageId: wrong})
			expect.Invalid(t, "message_id", err)
		}
		require.False(t, cancelScheduled(t, delayed, "queue", strings.Repeat("m", 256)))
	})
	run("PayloadMetadataAndKeyAreBounded", func(t *testing.T, basic queuev1.Basic, delayed queuev1.Delayed) {
		requireArrivalRules(t, delayedEnqueueing(delayed, time.Hour))
		require.Zero(t, scheduledCount(t, delayed, "wrong"))
	})
	run("NamesAre1To200BytesOfLettersDigitsDotsDashes", func(t *testing.T, _ queuev1.Basic, delayed queuev1.Delayed) {
		requireNameRules(t, delayedCalls(delayed))
	})
	run("RequestsAreNotChanged", func(t *testing.T, _ queuev1.Basic, delayed queuev1.Delayed) {
		enqueuing := &queuev1.EnqueueDelayedRequest{
			Queue: "queue", Payload: []byte("payload"), Metadata: map[string]string{"key": "value"}, Delay: durationpb.New(time.Hour + 1), IdempotencyKey: "key",
		}
		expect.Unchanged(t, enqueuing, func() error { _, err := delayed.EnqueueDelayed(t.Context(), enqueuing); return err })
		cancelling := &queuev1.CancelScheduledRequest{Queue: "queue", MessageId: "never-there"}
		expect.Unchanged(t, cancelling, func() error { _, err := delayed.CancelScheduled(t.Context(), cancelling); return err })
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, _ queuev1.Basic, delayed queuev1.Delayed) {
		requireContextRules(t, delayedCalls(delayed))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		id := schedule(t, one.QueueDelayed, "queue", "payload", time.Hour).GetMessageId()
		for _, i := range []*prism.Interfaces{other} {
			require.Zero(t, scheduledCount(t, i.QueueDelayed, "queue"))
			require.False(t, cancelScheduled(t, i.QueueDelayed, "queue", id))
		}
		require.True(t, cancelScheduled(t, one.QueueDelayed, "queue", id))
	})
}

// delayedCalls are the calls of queue_delayed.
func delayedCalls(delayed queuev1.Delayed) []call {
	return []call{
		{"EnqueueDelayed", func(ctx context.Context, queue string) error {
			_, err := delayed.EnqueueDelayed(ctx, &queuev1.EnqueueDelayedRequest{Queue: queue, Delay: durationpb.New(time.Hour)})
			return err
		}, "queue", fault.OK},
		{"GetScheduledCount", func(ctx context.Context, queue string) error {
			_, err := delayed.GetScheduledCount(ctx, &queuev1.GetScheduledCountRequest{Queue: queue})
			return err
		}, "queue", fault.OK},
		{"CancelScheduled", func(ctx context.Context, queue string) error {
			_, err := delayed.CancelScheduled(ctx, &queuev1.CancelScheduledRequest{Queue: queue, MessageId: "never-there"})
			return err
		}, "queue", fault.OK},
	}
}

// delayedEnqueueing is EnqueueDelayed with some delay.
func delayedEnqueueing(delayed queuev1.Delayed, delay time.Duration) enqueueing {
	return func(ctx context.Context, a arrival) (string, bool, error) {
		response, err := delayed.EnqueueDelayed(ctx, &queuev1.EnqueueDelayedRequest{
			Queue: a.queue, Payload: a.payload, Metadata: a.metadata, IdempotencyKey: a.key, Delay: durationpb.New(delay),
		})
		return response.GetMessageId(), response.GetDuplicate(), err
	}
}

func schedule(t *testing.T, delayed queuev1.Delayed, queue, payload string, delay time.Duration) *queuev1.EnqueueDelayedResponse {
	t.Helper()
	response, err := delayed.EnqueueDelayed(t.Context(), &queuev1.EnqueueDelayedRequest{Queue: queue, Payload: []byte(payload), Delay: durationpb.New(delay)})
	require.NoError(t, err, "EnqueueDelayed %.80q", payload)
	require.False(t, response.GetDuplicate(), "a call without an idempotency key is no duplicate")
	return response
}

func scheduledCount(t *testing.T, delayed queuev1.Delayed, queue string) uint64 {
	t.Helper()
	response, err := delayed.GetScheduledCount(t.Context(), &queuev1.GetScheduledCountRequest{Queue: queue})
	require.NoError(t, err, "GetScheduledCount")
	return response.GetCount()
}

func cancelScheduled(t *testing.T, delayed queuev1.Delayed, queue, id string) bool {
	t.Helper()
	response, err := delayed.CancelScheduled(t.Context(), &queuev1.CancelScheduledRequest{Queue: queue, MessageId: id})
	require.NoError(t, err, "CancelScheduled")
	return response.GetCancelled()
}

func waitUntilNoneIsScheduled(t *testing.T, delayed queuev1.Delayed, queue string) {
	t.Helper()
	expect.Eventually(t, "every message is visible", func() bool { return scheduledCount(t, delayed, queue) == 0 })
}
