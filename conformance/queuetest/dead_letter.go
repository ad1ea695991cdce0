package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// DeadLetter is the suite of queue_dead_letter.
func DeadLetter(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, q letterbox)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, letterbox{t, i.QueueBasic, i.QueueVisibility, i.QueueDeadLetter})
		})
	}
	offered := open(t)

	run("QueueHasNoDeadLetterQueueAtFirst", func(t *testing.T, q letterbox) {
		q.requireNone("queue")
		enqueue(t, q.basic, "queue", "payload")
		q.requireNone("queue")
	})
	run("ConfigurationIsToldReplacedAndTakenAway", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 3)
		q.requireConfigured("queue", "dead", 3, 0)
		q.configure("queue", "dead", 3)
		q.requireConfigured("queue", "dead", 3, 0)
		q.configure("queue", "other", 1000)
		q.requireConfigured("queue", "other", 1000, 0)
		q.requireNone("dead")
		q.requireNone("other")
		for range 2 {
			q.configure("queue", "", 0)
			q.requireNone("queue")
		}
		q.configure("never-used", "", 5) // max_receives is not looked at
		q.requireNone("never-used")
	})
	run("MessageThatWasReceivedAsOftenAsAllowedMoves", func(t *testing.T, q letterbox) {
		for _, most := range []uint32{1, 2, 5} {
			source, dead := fmt.Sprint("source-", most), fmt.Sprint("dead-", most)
			q.configure(source, dead, most)
			id := enqueue(t, q.basic, source, "payload")
			for i := range most {
				require.Nil(t, peek(t, q.basic, dead))
				leased := mustLease(t, q.visibility, source, time.Hour)
				require.Equal(t, i+1, leased.GetMessage().GetReceiveCount())
				release(t, q.visibility, source, leased.GetReceipt())
			}
			requireEmpty(t, q.basic, source)
			require.Equal(t, id, await(t, q.basic, dead).GetMessageId())
			requireEmpty(t, q.basic, dead)
		}
	})
	run("MessageMovesByItselfWhenItsTimeIsOver", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 1)
		id := enqueue(t, q.basic, "queue", "payload")
		answers := waitInDequeue(t.Context(), q.basic, "dead", 30*time.Second) // from here on there is no call on either queue
		begin := time.Now()
		mustLease(t, q.visibility, "queue", short)
		got := receive(t, answers)
		require.NoError(t, got.err)
		require.GreaterOrEqual(t, time.Since(begin), short, "the lease ended early")
		require.Equal(t, id, got.message.GetMessageId())
		require.Equal(t, "queue", got.message.GetDeadLetter().GetSourceQueue())
		requireEmpty(t, q.basic, "queue")
	})
	run("DelayDoesNotHoldADeadLetterBack", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 1)
		enqueue(t, q.basic, "queue", "payload")
		leased := mustLease(t, q.visibility, "queue", time.Hour)
		releaseWith(t, q.visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Delay: durationpb.New(time.Hour)})
		require.NotNil(t, await(t, q.basic, "dead"))
		requireEmpty(t, q.basic, "queue")
	})
	run("DeadLetterKeepsWhatItIsAndTellsWhatItWas", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 2)
		metadata := map[string]string{"key": "value"}
		_, err := q.basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte("payload"), Metadata: metadata})
		require.NoError(t, err)
		before := peek(t, q.basic, "queue")
		begin := time.Now()
		for _, reason := range []string{"the first reason", "the last reason, é"} {
			leased := mustLease(t, q.visibility, "queue", time.Hour)
			require.Nil(t, leased.GetMessage().GetDeadLetter())
			releaseWith(t, q.visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Reason: reason})
		}
		q.await("dead")
		letter := peek(t, q.basic, "dead")
		info := letter.GetDeadLetter()
		require.Equal(t, "queue", info.GetSourceQueue())
		require.Equal(t, queuev1.DeadLetterReason_DEAD_LETTER_REASON_MAX_RECEIVES, info.GetReason())
		require.Equal(t, "the last reason, é", info.GetLastReleaseReason())
		require.EqualValues(t, 2, info.GetReceiveCount())
		requireAbout(t, begin, time.Now(), info.GetMoveTime())
		require.Zero(t, letter.GetReceiveCount(), "it was not received from this queue yet")
		letter.DeadLetter = nil
		require.True(t, proto.Equal(before, letter), "it keeps all else: got %v, want %v", letter, before)
		require.EqualValues(t, 1, dequeue(t, q.basic, "dead").GetReceiveCount())
	})
	run("ReasonOfAReleaseStaysWithTheMessage", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 2)
		for _, reason := range []string{"", "given once"} {
			enqueue(t, q.basic, "queue", "payload")
			leased := mustLease(t, q.visibility, "queue", time.Hour)
			releaseWith(t, q.visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Reason: reason})
			mustLease(t, q.visibility, "queue", shortestLease) // ends without a Release
			require.Equal(t, reason, await(t, q.basic, "dead").GetDeadLetter().GetLastReleaseReason())
		}
	})
	run("AcknowledgedMessageDoesNotMove", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 1)
		enqueueAll(t, q.basic, "queue", "acknowledged", "dequeued", "dead")
		acknowledge(t, q.visibility, "queue", mustLease(t, q.visibility, "queue", time.Hour).GetReceipt())
		require.NotNil(t, dequeue(t, q.basic, "queue"))
		release(t, q.visibility, "queue", mustLease(t, q.visibility, "queue", time.Hour).GetReceipt())
		expect.EqualBytes(t, []byte("dead"), await(t, q.basic, "dead").GetPayload())
		expect.Pause(t, 10*time.Millisecond)
		requireEmpty(t, q.basic, "dead")
		requireEmpty(t, q.basic, "queue")
	})
	run("WithoutADeadLetterQueueMessagesStay", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 1)
		q.configure("queue", "", 1)
		enqueue(t, q.basic, "queue", "payload")
		for range 5 {
			release(t, q.visibility, "queue", mustLease(t, q.visibility, "queue", time.Hour).GetReceipt())
		}
		requireEmpty(t, q.basic, "dead")
		requireOrder(t, q.basic, "queue", "payload")
	})
	run("ConfigurationHoldsForLeasesThatBeganBefore", func(t *testing.T, q letterbox) {
		enqueueAll(t, q.basic, "queue", "released", "over")
		released := mustLease(t, q.visibility, "queue", time.Hour)
		mustLease(t, q.visibility, "queue", short)
		q.configure("queue", "dead", 1)
		release(t, q.visibility, "queue", released.GetReceipt())
		first := string(await(t, q.basic, "dead").GetPayload())
		if first == "over" { // a slow machine: the other lease ended before this one was released
			expect.EqualBytes(t, []byte("released"), await(t, q.basic, "dead").GetPayload())
			return
		}
		require.Equal(t, "released", first)
		// The other lease ended after the answer, or the machine is so slow that it had ended before the configuration.
		if peek(t, q.basic, "queue") == nil {
			expect.EqualBytes(t, []byte("over"), await(t, q.basic, "dead").GetPayload())
		}
	})
	run("ConfigurationThatWasTakenAwayHoldsNoMore", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 1)
		enqueue(t, q.basic, "queue", "payload")
		leased := mustLease(t, q.visibility, "queue", time.Hour)
		q.configure("queue", "", 0)
		release(t, q.visibility, "queue", leased.GetReceipt())
		requireOrder(t, q.basic, "queue", "payload")
		requireEmpty(t, q.basic, "dead")
	})
	run("MessageThatHadBeenReceivedIsReceivedOnceMore", func(t *testing.T, q letterbox) {
		enqueue(t, q.basic, "queue", "payload")
		for range 3 {
			release(t, q.visibility, "queue", mustLease(t, q.visibility, "queue", time.Hour).GetReceipt())
		}
		q.configure("queue", "dead", 2)
		requireFirst(t, q.basic, "queue", "payload")
		requireEmpty(t, q.basic, "dead")
		leased := mustLease(t, q.visibility, "queue", time.Hour)
		require.EqualValues(t, 4, leased.GetMessage().GetReceiveCount())
		release(t, q.visibility, "queue", leased.GetReceipt())
		require.EqualValues(t, 4, await(t, q.basic, "dead").GetDeadLetter().GetReceiveCount())
		requireEmpty(t, q.basic, "queue")
	})
	run("MessagesThatWereMovedBeforeStayWhereTheyAre", func(t *testing.T, q letterbox) {
		q.bury("queue", "dead", "first")
		q.bury("queue", "other", "second")
		q.requireConfigured("queue", "other", 1, 1)
		q.configure("queue", "", 0)
		q.requireNone("queue")
		requireOrder(t, q.basic, "dead", "first")
		requireOrder(t, q.basic, "other", "second")
	})
	run("QueueThatIsItsOwnDeadLetterQueueIsInvalid", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 3)
		_, err := q.dead.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: "queue", DeadLetterQueue: "queue", MaxReceives: 3})
		expect.Invalid(t, "dead_letter_queue", err)
		q.requireConfigured("queue", "dead", 3, 0)
	})
	run("MaxReceivesIs1To1000", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 3)
		for _, wrong := range []uint32{0, 1001} {
			_, err := q.dead.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: "queue", DeadLetterQueue: "other", MaxReceives: wrong})
			expect.Invalid(t, "max_receives", err)
		}
		q.requireConfigured("queue", "dead", 3, 0)
	})
	run("LongerCyclesAreNotRefused", func(t *testing.T, q letterbox) {
		q.configure("a", "b", 1)
		q.configure("b", "c", 1)
		q.configure("c", "a", 1)
		id := enqueue(t, q.basic, "a", "payload")
		for _, step := range []struct{ from, to string }{{"a", "b"}, {"b", "c"}, {"c", "a"}, {"a", "b"}} {
			leased := awaitLease(t, q.visibility, step.from, time.Hour)
			require.Equal(t, id, leased.GetMessage().GetMessageId())
			release(t, q.visibility, step.from, leased.GetReceipt())
			q.await(step.to)
			require.Equal(t, step.from, peek(t, q.basic, step.to).GetDeadLetter().GetSourceQueue(), "it tells where it was moved from last")
		}
	})
	run("TwoQueuesMayBeEachOthersDeadLetterQueue", func(t *testing.T, q letterbox) {
		q.configure("a", "b", 1)
		q.configure("b", "a", 1)
		const messages = 10
		for i := range messages {
			enqueue(t, q.basic, []string{"a", "b"}[i%2], fmt.Sprint(i))
		}
		var moves atomic.Int64
		expect.Concurrently(t, 4, func(i int) error {
			name := []string{"a", "b"}[i%2]
			for moves.Add(1) < 200 {
				response, err := q.visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: name})
				if err != nil {
					return err
				}
				if response.GetFound() {
					if _, err := q.visibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: name, Receipt: response.GetReceipt()}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		var left []string
		expect.Eventually(t, "all messages are there, each once", func() bool {
			left = append(append(left, drain(t, q.basic, "a")...), drain(t, q.basic, "b")...)
			return len(left) == messages
		})
		slices.Sort(left)
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, left)
	})
	run("DeadLetterQueueIsAQueueAsAnyOther", func(t *testing.T, q letterbox) {
		q.bury("queue", "dead", "first")
		q.bury("queue", "dead", "second")
		first := mustLease(t, q.visibility, "dead", time.Hour)
		expect.EqualBytes(t, []byte("first"), first.GetMessage().GetPayload())
		require.NotNil(t, first.GetMessage().GetDeadLetter(), "it is told by every method")
		require.EqualValues(t, 1, first.GetMessage().GetReceiveCount())
		release(t, q.visibility, "dead", first.GetReceipt())
		requireFirst(t, q.basic, "dead", "first")
		acknowledge(t, q.visibility, "dead", mustLease(t, q.visibility, "dead", time.Hour).GetReceipt())
		enqueue(t, q.basic, "dead", "ordinary")
		requireOrder(t, q.basic, "dead", "second", "ordinary")
	})
	run("DeadLetterStandsAsIfItHadBeenEnqueuedWhenItMoved", func(t *testing.T, q letterbox) {
		enqueue(t, q.basic, "dead", "before")
		enqueue(t, q.basic, "queue", "old")
		enqueue(t, q.basic, "dead", "between")
		q.configure("queue", "dead", 1)
		release(t, q.visibility, "queue", mustLease(t, q.visibility, "queue", time.Hour).GetReceipt())
		q.awaitCount("queue", 1)
		enqueue(t, q.basic, "dead", "after")
		requireOrder(t, q.basic, "dead", "before", "between", "old", "after")
	})
	if offered.QueuePriority != nil {
		t.Run("DeadLetterKeepsItsPriority", func(t *testing.T) {
			t.Parallel()
			i := open(t)
			q := letterbox{t, i.QueueBasic, i.QueueVisibility, i.QueueDeadLetter}
			q.configure("queue", "dead", 1)
			for _, p := range []uint32{1, 9, 5} {
				prioritize(t, i.QueuePriority, "queue", fmt.Sprint(p), p)
			}
			for _, want := range []uint32{9, 5, 1} {
				leased := mustLease(t, q.visibility, "queue", time.Hour)
				require.Equal(t, want, leased.GetMessage().GetPriority())
				release(t, q.visibility, "queue", leased.GetReceipt())
			}
			q.awaitCount("queue", 3)
			enqueue(t, q.basic, "dead", "0")
			prioritize(t, i.QueuePriority, "dead", "7", 7)
			requireOrder(t, q.basic, "dead", "9", "7", "5", "1", "0")
		})
	}
	run("IdempotencyKeysDoNotMoveAlong", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 1)
		put := basicEnqueueing(q.basic)
		id, _, err := put(t.Context(), arrival{queue: "queue", key: "key"})
		require.NoError(t, err)
		release(t, q.visibility, "queue", mustLease(t, q.visibility, "queue", time.Hour).GetReceipt())
		q.await("dead")
		other, duplicate, err := put(t.Context(), arrival{queue: "dead", key: "key"})
		require.NoError(t, err)
		require.False(t, duplicate, "the key is not the dead letter queue's")
		require.NotEqual(t, id, other)
		again, duplicate, err := put(t.Context(), arrival{queue: "queue", key: "key"})
		require.NoError(t, err)
		require.True(t, duplicate, "the key still counts where it was given")
		require.Equal(t, id, again)
	})
	run("MessageCountCountsTheQueuesDeadLettersInWhateverState", func(t *testing.T, q letterbox) {
		enqueue(t, q.basic, "dead", "ordinary")
		for i := range 4 {
			q.bury("queue", "dead", fmt.Sprint(i))
			q.bury("other", "dead", fmt.Sprint(i))
			q.requireConfigured("queue", "dead", 1, uint64(i+1))
		}
		require.Equal(t, "ordinary", string(dequeue(t, q.basic, "dead").GetPayload()))
		q.requireConfigured("queue", "dead", 1, 4)
		leased := mustLease(t, q.visibility, "dead", time.Hour)
		require.Equal(t, "queue", leased.GetMessage().GetDeadLetter().GetSourceQueue())
		q.requireConfigured("queue", "dead", 1, 4)
		releaseWith(t, q.visibility, &queuev1.ReleaseRequest{Queue: "dead", Receipt: leased.GetReceipt(), Delay: durationpb.New(time.Hour)})
		q.requireConfigured("queue", "dead", 1, 4)
		drain(t, q.basic, "dead")
		q.requireConfigured("queue", "dead", 1, 1)
		q.requireConfigured("other", "dead", 1, 0)
	})
	run("MessageCountForgetsWhatIsAcknowledgedOrMovesOn", func(t *testing.T, q letterbox) {
		q.bury("queue", "dead", "acknowledged")
		q.bury("queue", "dead", "moves on")
		acknowledge(t, q.visibility, "dead", mustLease(t, q.visibility, "dead", time.Hour).GetReceipt())
		q.requireConfigured("queue", "dead", 1, 1)
		q.configure("dead", "deader", 1)
		release(t, q.visibility, "dead", mustLease(t, q.visibility, "dead", time.Hour).GetReceipt())
		q.awaitCount("dead", 1)
		q.requireConfigured("queue", "dead", 1, 0)
		require.Equal(t, "dead", peek(t, q.basic, "deader").GetDeadLetter().GetSourceQueue())
	})
	run("RedriveMovesBackAsIfEnqueuedThen", func(t *testing.T, q letterbox) {
		for i := range 5 {
			q.bury("queue", "dead", fmt.Sprint(i))
		}
		enqueue(t, q.basic, "queue", "before")
		before := peek(t, q.basic, "dead")
		require.EqualValues(t, 5, q.redrive("dead", "", 0))
		q.requireConfigured("queue", "dead", 1, 0)
		requireEmpty(t, q.basic, "dead")
		enqueue(t, q.basic, "queue", "after")
		expect.EqualBytes(t, []byte("before"), dequeue(t, q.basic, "queue").GetPayload())
		back := peek(t, q.basic, "queue")
		require.Nil(t, back.GetDeadLetter())
		require.Zero(t, back.GetReceiveCount())
		before.DeadLetter = nil
		require.True(t, proto.Equal(before, back), "it keeps all else: got %v, want %v", back, before)
		requireOrder(t, q.basic, "queue", "0", "1", "2", "3", "4", "after")
	})
	run("RedriveOfNothingIsNoError", func(t *testing.T, q letterbox) {
		require.Zero(t, q.redrive("never-used", "", 0))
		enqueue(t, q.basic, "dead", "ordinary")
		require.Zero(t, q.redrive("dead", "", 0))
		q.bury("queue", "dead", "letter")
		require.Zero(t, q.redrive("dead", "other", 0))
		require.Zero(t, q.redrive("queue", "", 0), "it is asked of the dead letter queue")
		requireOrder(t, q.basic, "dead", "ordinary", "letter")
	})
	run("RedriveMovesEachToWhereItCameFrom", func(t *testing.T, q letterbox) {
		for _, from := range []string{"b", "a", "b"} {
			q.bury(from, "dead", "of "+from)
		}
		require.EqualValues(t, 3, q.redrive("dead", "", 0))
		requireOrder(t, q.basic, "a", "of a")
		requireOrder(t, q.basic, "b", "of b", "of b")
	})
	run("RedriveOfOneSourceLeavesTheOthers", func(t *testing.T, q letterbox) {
		for i, from := range []string{"b", "a", "b", "a", "a.b"} {
			q.bury(from, "dead", fmt.Sprint(i))
		}
		require.EqualValues(t, 2, q.redrive("dead", "a", 0))
		requireOrder(t, q.basic, "a", "1", "3")
		requireOrder(t, q.basic, "dead", "0", "2", "4")
	})
	run("RedriveMovesTheOldestAtMostAsManyAsItShall", func(t *testing.T, q letterbox) {
		for i := range 5 {
			q.bury("queue", "dead", fmt.Sprint(i))
		}
		require.EqualValues(t, 2, q.redrive("dead", "", 2))
		requireFirst(t, q.basic, "dead", "2")
		require.EqualValues(t, 1, q.redrive("dead", "", 1))
		require.EqualValues(t, 2, q.redrive("dead", "queue", 10_000))
		requireOrder(t, q.basic, "queue", "0", "1", "2", "3", "4")
	})
	run("RedriveLeavesWhatIsNotVisibleOrWasNotMoved", func(t *testing.T, q letterbox) {
		for _, payload := range []string{"leased", "held back", "visible"} {
			q.bury("queue", "dead", payload)
		}
		leased, held := mustLease(t, q.visibility, "dead", time.Hour), mustLease(t, q.visibility, "dead", time.Hour)
		releaseWith(t, q.visibility, &queuev1.ReleaseRequest{Queue: "dead", Receipt: held.GetReceipt(), Delay: durationpb.New(time.Hour)})
		enqueue(t, q.basic, "dead", "ordinary")
		require.EqualValues(t, 1, q.redrive("dead", "", 0))
		requireOrder(t, q.basic, "queue", "visible")
		requireOrder(t, q.basic, "dead", "ordinary")
		q.requireConfigured("queue", "dead", 1, 2)
		release(t, q.visibility, "dead", leased.GetReceipt())
		require.EqualValues(t, 1, q.redrive("dead", "", 0), "one that was leased and came back is visible again")
		requireOrder(t, q.basic, "queue", "leased")
	})
	run("RedriveMoves1000ByDefault", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 1)
		const letters = 1001
		var next atomic.Int64
		expect.Concurrently(t, 8, func(int) error {
			for next.Add(1) <= letters {
				if _, err := q.basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue"}); err != nil {
					return err
				}
				leased, err := q.visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: "queue"})
				if err != nil {
					return err
				}
				if _, err := q.visibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt()}); err != nil {
					return err
				}
			}
			return nil
		})
		q.awaitCount("queue", letters)
		require.EqualValues(t, 1000, q.redrive("dead", "", 0))
		q.requireConfigured("queue", "dead", 1, 1)
	})
	run("RedrivenMessageWakesACallThatWaits", func(t *testing.T, q letterbox) {
		q.bury("queue", "dead", "payload")
		answers := waitInDequeue(t.Context(), q.basic, "queue", 30*time.Second)
		expect.Pause(t, 10*time.Millisecond)
		require.EqualValues(t, 1, q.redrive("dead", "", 0))
		got := receive(t, answers)
		require.NoError(t, got.err)
		expect.EqualBytes(t, []byte("payload"), got.message.GetPayload())
	})
	run("RedrivenMessageBeginsAnew", func(t *testing.T, q letterbox) {
		q.configure("queue", "dead", 2)
		enqueue(t, q.basic, "queue", "payload")
		for round := range 3 {
			for i := range uint32(2) {
				leased := mustLease(t, q.visibility, "queue", time.Hour)
				require.Equal(t, i+1, leased.GetMessage().GetReceiveCount())
				reason := ""
				if round == 0 {
					reason = "only at first"
				}
				releaseWith(t, q.visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Reason: reason})
			}
			q.await("dead")
			info := peek(t, q.basic, "dead").GetDeadLetter()
			require.EqualValues(t, 2, info.GetReceiveCount())
			if round > 0 {
				require.Equal(t, "", info.GetLastReleaseReason())
			}
			require.EqualValues(t, 1, q.redrive("dead", "", 0))
		}
	})
	run("RedriveIsOneStepForEachMessage", func(t *testing.T, q letterbox) {
		for round := range 40 {
			q.bury("queue", "dead", fmt.Sprint(round))
			moved := make(chan uint32, 1)
			go func() {
				response, _ := q.dead.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: "dead"})
				moved <- response.GetMoved()
			}()
			expect.Eventually(t, "the message has moved", func() bool {
				if peek(t, q.basic, "dead") != nil {
					return false
				}
				require.NotNil(t, peek(t, q.basic, "queue"), "the message is in neither queue")
				return true
			})
			require.EqualValues(t, 1, <-moved)
			require.NotNil(t, dequeue(t, q.basic, "queue"))
		}
	})
	run("SeveralRedrivesMoveEachMessageOnce", func(t *testing.T, q letterbox) {
		const letters = 40
		for i := range letters {
			q.bury("queue", "dead", fmt.Sprint(i))
		}
		var moved atomic.Int64
		expect.Concurrently(t, 4, func(int) error {
			response, err := q.dead.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: "dead"})
			moved.Add(int64(response.GetMoved()))
			return err
		})
		require.EqualValues(t, letters, moved.Load())
		require.Len(t, drain(t, q.basic, "queue"), letters)
		requireEmpty(t, q.basic, "dead")
	})
	run("MaxMessagesIsAtMost10000", func(t *testing.T, q letterbox) {
		_, err := q.dead.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: "dead", MaxMessages: 10_001})
		expect.Invalid(t, "max_messages", err)
	})
	run("NamesAre1To200BytesOfLettersDigitsDotsDashes", func(t *testing.T, q letterbox) {
		requireNameRules(t, deadLetterCalls(q.dead))
		for _, wrong := range []string{strings.Repeat("q", maxName+1), "a/b", "a b", "ä"} {
			_, err := q.dead.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: "queue", DeadLetterQueue: wrong, MaxReceives: 1})
			expect.Invalid(t, "dead_letter_queue", err)
			_, err = q.dead.Redrive(t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: "dead", SourceQueue: wrong})
			expect.Invalid(t, "source_queue", err)
		}
	})
	run("RequestsAreNotChanged", func(t *testing.T, q letterbox) {
		configuring := &queuev1.ConfigureDeadLetterRequest{Queue: "queue", MaxReceives: 3}
		expect.Unchanged(t, configuring, func() error { _, err := q.dead.ConfigureDeadLetter(t.Context(), configuring); return err })
		redriving := &queuev1.RedriveRequest{DeadLetterQueue: "dead"}
		expect.Unchanged(t, redriving, func() error { _, err := q.dead.Redrive(t.Context(), redriving); return err })
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, q letterbox) {
		requireContextRules(t, deadLetterCalls(q.dead))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		var boxes []letterbox
		for range 2 {
			i := open(t)
			boxes = append(boxes, letterbox{t, i.QueueBasic, i.QueueVisibility, i.QueueDeadLetter})
		}
		one, other := boxes[0], boxes[1]
		one.bury("queue", "dead", "payload")
		other.requireNone("queue")
		requireEmpty(t, other.basic, "dead")
		require.Zero(t, other.redrive("dead", "", 0))
		one.requireConfigured("queue", "dead", 1, 1)
	})
}

// deadLetterCalls are the calls of queue_dead_letter.
func deadLetterCalls(dead queuev1.DeadLetter) []call {
	return []call{
		{"ConfigureDeadLetter", func(ctx context.Context, queue string) error {
			_, err := dead.ConfigureDeadLetter(ctx, &queuev1.ConfigureDeadLetterRequest{Queue: queue, DeadLetterQueue: "dead", MaxReceives: 3})
			return err
		}, "queue", fault.OK},
		{"GetDeadLetterQueue", func(ctx context.Context, queue string) error {
			_, err := dead.GetDeadLetterQueue(ctx, &queuev1.GetDeadLetterQueueRequest{Queue: queue})
			return err
		}, "queue", fault.OK},
		{"Redrive", func(ctx context.Context, queue string) error {
			_, err := dead.Redrive(ctx, &queuev1.RedriveRequest{DeadLetterQueue: queue})
			return err
		}, "dead_letter_queue", fault.OK},
	}
}

// letterbox is what the cases of queue_dead_letter work with.
type letterbox struct {
	t          *testing.T
	basic      queuev1.Basic
	visibility queuev1.Visibility
	dead       queuev1.DeadLetter
}

func (q letterbox) configure(queue, dead string, maxReceives uint32) {
	q.t.Helper()
	_, err := q.dead.ConfigureDeadLetter(q.t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: queue, DeadLetterQueue: dead, MaxReceives: maxReceives})
	require.NoError(q.t, err, "ConfigureDeadLetter")
}

func (q letterbox) configured(queue string) *queuev1.GetDeadLetterQueueResponse {
	q.t.Helper()
	response, err := q.dead.GetDeadLetterQueue(q.t.Context(), &queuev1.GetDeadLetterQueueRequest{Queue: queue})
	require.NoError(q.t, err, "GetDeadLetterQueue")
	return response
}

// requireNone fails unless a queue has no dead letter queue.
func (q letterbox) requireNone(queue string) {
	q.t.Helper()
	require.True(q.t, proto.Equal(&queuev1.GetDeadLetterQueueResponse{}, q.configured(queue)), "%.80q has no dead letter queue", queue)
}

func (q letterbox) requireConfigured(queue, dead string, maxReceives uint32, count uint64) {
	q.t.Helper()
	want := &queuev1.GetDeadLetterQueueResponse{Found: true, DeadLetterQueue: dead, MaxReceives: maxReceives, MessageCount: count}
	got := q.configured(queue)
	require.True(q.t, proto.Equal(want, got), "got %v, want %v", got, want)
}

func (q letterbox) redrive(dead, source string, most uint32) uint32 {
	q.t.Helper()
	response, err := q.dead.Redrive(q.t.Context(), &queuev1.RedriveRequest{DeadLetterQueue: dead, SourceQueue: source, MaxMessages: most})
	require.NoError(q.t, err, "Redrive")
	return response.GetMoved()
}

// bury leaves a queue's message in a dead letter queue. The queue has no other visible message.
func (q letterbox) bury(queue, dead, payload string) {
	q.t.Helper()
	q.configure(queue, dead, 1)
	count := q.configured(queue).GetMessageCount()
	enqueue(q.t, q.basic, queue, payload)
	release(q.t, q.visibility, queue, mustLease(q.t, q.visibility, queue, time.Hour).GetReceipt())
	q.awaitCount(queue, count+1)
}

// await waits until a queue has a visible message.
func (q letterbox) await(queue string) {
	q.t.Helper()
	expect.Eventually(q.t, "a message is in "+queue, func() bool { return peek(q.t, q.basic, queue) != nil })
}

// awaitCount waits until so many of a queue's messages are in its dead letter queue.
func (q letterbox) awaitCount(queue string, want uint64) {
	q.t.Helper()
	expect.Eventually(q.t, fmt.Sprintf("%d messages of %s have moved", want, queue), func() bool { return q.configured(queue).GetMessageCount() == want })
}
