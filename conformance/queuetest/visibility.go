package queuetest

import (
	"context"
	"fmt"
	"math"
	"strings"
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

const (
	// shortestLease and longestLease bound a visibility_timeout.
	shortestLease = 100 * time.Millisecond
	longestLease  = 12 * time.Hour
)

// Visibility is the suite of queue_visibility.
func Visibility(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.QueueBasic, i.QueueVisibility)
		})
	}
	offered := open(t)

	run("EmptyQueueIsFoundFalse", func(t *testing.T, _ queuev1.Basic, visibility queuev1.Visibility) {
		response := lease(t, visibility, "queue", time.Minute)
		require.False(t, response.GetFound())
		require.Nil(t, response.GetMessage())
		require.Empty(t, response.GetReceipt())
		require.Nil(t, response.GetLeaseEndTime())
	})
	run("LeaseCarriesTheMessageAReceiptAndItsEnd", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		metadata := map[string]string{"key": "value"}
		enqueued, err := basic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte("payload"), Metadata: metadata})
		require.NoError(t, err)
		shown := peek(t, basic, "queue")
		begin := time.Now()
		response := lease(t, visibility, "queue", time.Hour)
		end := time.Now()
		require.True(t, response.GetFound())
		message := response.GetMessage()
		require.Equal(t, enqueued.GetMessageId(), message.GetMessageId())
		require.EqualValues(t, 1, message.GetReceiveCount())
		shown.ReceiveCount = 1
		require.True(t, proto.Equal(shown, message), "got %v, want %v", message, shown)
		requireReceipt(t, response.GetReceipt())
		requireAbout(t, begin.Add(time.Hour), end.Add(time.Hour), response.GetLeaseEndTime())
	})
	run("LeaseLasts30SecondsByDefault", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		for range 2 {
			enqueue(t, basic, "queue", "payload")
		}
		byDefault, err := visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: "queue"})
		require.NoError(t, err)
		given := lease(t, visibility, "queue", 30*time.Second)
		require.WithinDuration(t, given.GetLeaseEndTime().AsTime(), byDefault.GetLeaseEndTime().AsTime(), 10*time.Second)
	})
	run("LeasedMessageIsNotVisible", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueueAll(t, basic, "queue", "first", "second")
		leased := mustLease(t, visibility, "queue", time.Hour)
		expect.EqualBytes(t, []byte("first"), leased.GetMessage().GetPayload())
		requireFirst(t, basic, "queue", "second")
		expect.EqualBytes(t, []byte("second"), mustLease(t, visibility, "queue", time.Hour).GetMessage().GetPayload())
		requireEmpty(t, basic, "queue")
		require.False(t, lease(t, visibility, "queue", time.Hour).GetFound())
	})
	run("LeaseEndsByItselfAndNeverEarly", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		for _, lasting := range []time.Duration{shortestLease, short, shortestLease + 1} {
			enqueue(t, basic, "queue", "payload")
			begin := time.Now()
			leased := mustLease(t, visibility, "queue", lasting)
			message := await(t, basic, "queue") // also: it wakes a call that waits
			require.GreaterOrEqual(t, time.Since(begin), lasting, "the lease ended early")
			require.Equal(t, leased.GetMessage().GetMessageId(), message.GetMessageId())
			require.EqualValues(t, 2, message.GetReceiveCount())
		}
	})
	run("MessageComesBackToItsOldPlace", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueueAll(t, basic, "queue", "a", "b", "c")
		a, b, c := mustLease(t, visibility, "queue", time.Hour), mustLease(t, visibility, "queue", time.Hour), mustLease(t, visibility, "queue", time.Hour)
		enqueueAll(t, basic, "queue", "d", "e")
		release(t, visibility, "queue", c.GetReceipt())
		requireFirst(t, basic, "queue", "c")
		release(t, visibility, "queue", a.GetReceipt())
		requireFirst(t, basic, "queue", "a")
		_, err := visibility.ExtendVisibility(t.Context(), &queuev1.ExtendVisibilityRequest{Queue: "queue", Receipt: b.GetReceipt(), VisibilityTimeout: durationpb.New(shortestLease)})
		require.NoError(t, err)
		requireStaleSoon(t, visibility, "queue", b.GetReceipt())
		expect.Eventually(t, "the message whose time is over is back", func() bool {
			first, second := mustLease(t, visibility, "queue", time.Hour), mustLease(t, visibility, "queue", time.Hour)
			expect.EqualBytes(t, []byte("a"), first.GetMessage().GetPayload())
			release(t, visibility, "queue", first.GetReceipt())
			release(t, visibility, "queue", second.GetReceipt())
			return string(second.GetMessage().GetPayload()) == "b"
		})
		requireOrder(t, basic, "queue", "a", "b", "c", "d", "e")
	})
	run("ManyMessagesComeBackToTheirOldPlaces", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		const messages = 40
		var want, receipts []string
		for i := range messages {
			want = append(want, fmt.Sprint(i))
		}
		enqueueAll(t, basic, "queue", want[:messages/2]...)
		for range messages / 2 {
			receipts = append(receipts, mustLease(t, visibility, "queue", time.Hour).GetReceipt())
		}
		enqueueAll(t, basic, "queue", want[messages/2:]...)
		for i := range receipts {
			release(t, visibility, "queue", receipts[(i*7)%len(receipts)]) // 7 and 20 have no divisor in common
		}
		requireOrder(t, basic, "queue", want...)
	})
	run("AcknowledgeRemovesForGood", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		outlasted(t, basic, visibility, func(receipt string) error {
			_, err := visibility.Acknowledge(t.Context(), &queuev1.AcknowledgeRequest{Queue: "queue", Receipt: receipt})
			return err
		})
	})
	run("ReleaseBringsBackAtOnce", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		id := enqueue(t, basic, "queue", "payload")
		for range 3 {
			release(t, visibility, "queue", mustLease(t, visibility, "queue", time.Hour).GetReceipt())
			require.Equal(t, id, peek(t, basic, "queue").GetMessageId())
		}
	})
	run("ReleaseWakesACallThatWaits", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		id := enqueue(t, basic, "queue", "payload")
		leased := mustLease(t, visibility, "queue", time.Hour)
		answers := waitInDequeue(t.Context(), basic, "queue", 30*time.Second)
		expect.Pause(t, 20*time.Millisecond)
		release(t, visibility, "queue", leased.GetReceipt())
		got := receive(t, answers)
		require.NoError(t, got.err)
		require.Equal(t, id, got.message.GetMessageId())
	})
	run("ReleaseWithADelayBringsBackAfterIt", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "held back")
		leased := mustLease(t, visibility, "queue", time.Hour)
		begin := time.Now()
		releaseWith(t, visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Delay: durationpb.New(short)})
		enqueue(t, basic, "queue", "later")
		shown := peek(t, basic, "queue")
		if time.Since(begin) < short {
			expect.EqualBytes(t, []byte("later"), shown.GetPayload())
		}
		expect.Eventually(t, "the message is back, at its old place", func() bool {
			return string(peek(t, basic, "queue").GetPayload()) == "held back"
		})
		require.GreaterOrEqual(t, time.Since(begin), short, "the message is back before the delay is over")
		require.EqualValues(t, 1, peek(t, basic, "queue").GetReceiveCount(), "it has its receive_count")
		requireOrder(t, basic, "queue", "held back", "later")
	})
	run("HeldBackMessageIsWithNobody", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		leased := mustLease(t, visibility, "queue", time.Hour)
		releaseWith(t, visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Delay: durationpb.New(longestLease)})
		requireEmpty(t, basic, "queue")
		requireStale(t, visibility, "queue", leased.GetReceipt())
		requireEmpty(t, basic, "queue")
	})
	run("HeldBackMessageWakesACallThatWaits", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		leased := mustLease(t, visibility, "queue", time.Hour)
		begin := time.Now()
		releaseWith(t, visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: leased.GetReceipt(), Delay: durationpb.New(short)})
		require.NotNil(t, await(t, basic, "queue"))
		require.GreaterOrEqual(t, time.Since(begin), short)
	})
	if offered.QueueDelayed != nil {
		t.Run("LeasedAndHeldBackMessagesAreNotScheduled", func(t *testing.T) {
			t.Parallel()
			i := open(t)
			enqueueAll(t, i.QueueBasic, "queue", "leased", "held back")
			mustLease(t, i.QueueVisibility, "queue", time.Hour)
			held := mustLease(t, i.QueueVisibility, "queue", time.Hour)
			releaseWith(t, i.QueueVisibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: held.GetReceipt(), Delay: durationpb.New(time.Hour)})
			require.Zero(t, scheduledCount(t, i.QueueDelayed, "queue"))
		})
	}
	run("ExtendVisibilityProlongs", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		receipt := outlasted(t, basic, visibility, func(receipt string) error {
			_, err := visibility.ExtendVisibility(t.Context(), extension("queue", receipt, time.Hour))
			return err
		})
		acknowledge(t, visibility, "queue", receipt)
	})
	run("ExtendVisibilityShortens", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		id := enqueue(t, basic, "queue", "payload")
		leased := mustLease(t, visibility, "queue", time.Hour)
		begin := time.Now()
		extend(t, visibility, "queue", leased.GetReceipt(), short)
		require.Equal(t, id, await(t, basic, "queue").GetMessageId())
		require.GreaterOrEqual(t, time.Since(begin), short, "the lease ended early")
		requireStale(t, visibility, "queue", leased.GetReceipt())
	})
	run("ExtendVisibilityTellsTheEndAndKeepsTheReceipt", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		leased := mustLease(t, visibility, "queue", time.Minute)
		for i := range 20 {
			lasting := time.Duration(i+1) * 10 * time.Minute
			begin := time.Now()
			response := extend(t, visibility, "queue", leased.GetReceipt(), lasting)
			requireAbout(t, begin.Add(lasting), time.Now().Add(lasting), response.GetLeaseEndTime())
		}
		requireEmpty(t, basic, "queue")
		acknowledge(t, visibility, "queue", leased.GetReceipt())
	})
	run("UsedReceiptIsStale", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		released := mustLease(t, visibility, "queue", time.Hour).GetReceipt()
		release(t, visibility, "queue", released)
		requireStale(t, visibility, "queue", released)
		requireFirst(t, basic, "queue", "payload")
		acknowledged := mustLease(t, visibility, "queue", time.Hour).GetReceipt()
		acknowledge(t, visibility, "queue", acknowledged)
		requireStale(t, visibility, "queue", acknowledged)
		requireEmpty(t, basic, "queue")
	})
	run("ReceiptIsStaleFromTheMomentThatTheTimeIsOver", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		leased := mustLease(t, visibility, "queue", shortestLease)
		expect.Pause(t, shortestLease) // the lease began before the answer came
		requireStale(t, visibility, "queue", leased.GetReceipt())
		require.NotNil(t, await(t, basic, "queue"), "a stale receipt changes nothing")
	})
	run("LateConsumerNeverTouchesTheNextLease", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		var stale []string
		for range 3 {
			leased := mustLease(t, visibility, "queue", time.Hour)
			release(t, visibility, "queue", leased.GetReceipt())
			stale = append(stale, leased.GetReceipt())
		}
		late := mustLease(t, visibility, "queue", shortestLease)
		stale = append(stale, late.GetReceipt())
		next := awaitLease(t, visibility, "queue", time.Hour)
		require.NotContains(t, stale, next.GetReceipt(), "another receipt for every lease")
		for _, receipt := range stale {
			requireStale(t, visibility, "queue", receipt)
		}
		requireEmpty(t, basic, "queue")
		extend(t, visibility, "queue", next.GetReceipt(), time.Hour)
		acknowledge(t, visibility, "queue", next.GetReceipt())
		requireEmpty(t, basic, "queue")
	})
	run("ReceiptIsForItsQueueOnly", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "one", "payload")
		enqueue(t, basic, "other", "payload")
		one, other := mustLease(t, visibility, "one", time.Hour), mustLease(t, visibility, "other", time.Hour)
		requireStale(t, visibility, "other", one.GetReceipt())
		requireStale(t, visibility, "one", other.GetReceipt())
		requireStale(t, visibility, "never-used", one.GetReceipt())
		acknowledge(t, visibility, "one", one.GetReceipt())
		acknowledge(t, visibility, "other", other.GetReceipt())
	})
	run("WhatIsNoReceiptIsStale", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		id := enqueue(t, basic, "queue", "payload")
		receipt := mustLease(t, visibility, "queue", time.Hour).GetReceipt()
		for _, wrong := range []string{
			"?", "0", "receipt", "é", "\x00", "\n", " ", id, receipt + "A", receipt + "=", " " + receipt, receipt + "\n", receipt[1:], receipt[:len(receipt)-1],
			strings.Repeat("A", len(receipt)), strings.Repeat("A", 1024),
		} {
			requireStale(t, visibility, "queue", wrong)
		}
		requireEmpty(t, basic, "queue")
		acknowledge(t, visibility, "queue", receipt)
	})
	run("ReceiptIs1To1024Bytes", func(t *testing.T, _ queuev1.Basic, visibility queuev1.Visibility) {
		for _, wrong := range []string{"", strings.Repeat("A", 1025)} {
			for _, call := range receiptCalls(visibility) {
				expect.Invalid(t, "receipt", call(t.Context(), "queue", wrong))
			}
		}
	})
	run("LeaseBeginsWhenTheMessageIsTaken", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		answers := make(chan *queuev1.DequeueWithTimeoutResponse, 1)
		go func() {
			response, _ := visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{
				Queue: "queue", VisibilityTimeout: durationpb.New(short), WaitTime: durationpb.New(30 * time.Second),
			})
			answers <- response
		}()
		expect.Pause(t, short+20*time.Millisecond) // a lease that began with the call would be over
		begin := time.Now()
		id := enqueue(t, basic, "queue", "payload")
		require.Equal(t, id, (<-answers).GetMessage().GetMessageId())
		require.Equal(t, id, await(t, basic, "queue").GetMessageId())
		require.GreaterOrEqual(t, time.Since(begin), short, "the lease ended early")
	})
	run("DequeueWithTimeoutWaitsAsDequeueDoes", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		begin := time.Now()
		response, err := visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: "queue", WaitTime: durationpb.New(short)})
		require.NoError(t, err)
		require.False(t, response.GetFound())
		require.GreaterOrEqual(t, time.Since(begin), short)
		id := enqueue(t, basic, "queue", "payload")
		require.Equal(t, id, awaitLease(t, visibility, "queue", time.Hour).GetMessage().GetMessageId())
	})
	run("CallThatHasEndedLeasesNoMessage", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		requireTakesNothing(t, basic, func(ctx context.Context, queue string) <-chan answer {
			answers := make(chan answer, 1)
			go func() {
				response, err := visibility.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{Queue: queue, WaitTime: durationpb.New(30 * time.Second)})
				answers <- answer{response.GetMessage(), err}
			}()
			return answers
		})
	})
	run("ReceiveCountCountsEveryTaking", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		for i := range uint32(4) {
			require.Equal(t, i, peek(t, basic, "queue").GetReceiveCount())
			leased := mustLease(t, visibility, "queue", time.Hour)
			require.Equal(t, i+1, leased.GetMessage().GetReceiveCount())
			extend(t, visibility, "queue", leased.GetReceipt(), time.Minute)
			release(t, visibility, "queue", leased.GetReceipt())
		}
		require.EqualValues(t, 5, dequeue(t, basic, "queue").GetReceiveCount())
	})
	run("VisibilityTimeoutIs100MillisecondsTo12Hours", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		leased := mustLease(t, visibility, "queue", longestLease)
		enqueue(t, basic, "queue", "another")
		for _, wrong := range []*durationpb.Duration{
			{}, {Nanos: 1}, durationpb.New(shortestLease - 1), durationpb.New(-time.Hour), durationpb.New(longestLease + 1), durationpb.New(math.MaxInt64), {Seconds: 315_576_000_000},
		} {
			_, err := visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: "queue", VisibilityTimeout: wrong})
			expect.Invalid(t, "visibility_timeout", err)
			_, err = visibility.ExtendVisibility(t.Context(), &queuev1.ExtendVisibilityRequest{Queue: "queue", Receipt: leased.GetReceipt(), VisibilityTimeout: wrong})
			expect.Invalid(t, "visibility_timeout", err)
		}
		_, err := visibility.ExtendVisibility(t.Context(), &queuev1.ExtendVisibilityRequest{Queue: "queue", Receipt: leased.GetReceipt()})
		expect.Invalid(t, "visibility_timeout", err)
		extend(t, visibility, "queue", leased.GetReceipt(), longestLease)
		requireOrder(t, basic, "queue", "another")
	})
	run("WaitTimeIs0To30Seconds", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		for _, wrong := range []*durationpb.Duration{{Nanos: -1}, durationpb.New(30*time.Second + 1), durationpb.New(time.Hour)} {
			_, err := visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: "queue", WaitTime: wrong})
			expect.Invalid(t, "wait_time", err)
		}
		requireOrder(t, basic, "queue", "payload")
	})
	run("DelayIs0To12HoursAndReasonAtMost1024Bytes", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		receipt := mustLease(t, visibility, "queue", time.Hour).GetReceipt()
		for _, wrong := range []*durationpb.Duration{{Nanos: -1}, durationpb.New(longestLease + 1), durationpb.New(math.MaxInt64)} {
			_, err := visibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: receipt, Delay: wrong})
			expect.Invalid(t, "delay", err)
		}
		_, err := visibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: receipt, Reason: strings.Repeat("r", 1025)})
		expect.Invalid(t, "reason", err)
		requireEmpty(t, basic, "queue")
		releaseWith(t, visibility, &queuev1.ReleaseRequest{Queue: "queue", Receipt: receipt, Delay: &durationpb.Duration{}, Reason: strings.Repeat("r", 1024)})
		requireOrder(t, basic, "queue", "payload")
	})
	run("NamesAre1To200BytesOfLettersDigitsDotsDashes", func(t *testing.T, _ queuev1.Basic, visibility queuev1.Visibility) {
		requireNameRules(t, visibilityCalls(visibility))
	})
	run("RequestsAreNotChanged", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		leasing := &queuev1.DequeueWithTimeoutRequest{Queue: "queue", VisibilityTimeout: durationpb.New(time.Hour), WaitTime: durationpb.New(time.Second)}
		var receipt string
		expect.Unchanged(t, leasing, func() error {
			response, err := visibility.DequeueWithTimeout(t.Context(), leasing)
			receipt = response.GetReceipt()
			return err
		})
		extending := extension("queue", receipt, time.Hour+1)
		expect.Unchanged(t, extending, func() error { _, err := visibility.ExtendVisibility(t.Context(), extending); return err })
		releasing := &queuev1.ReleaseRequest{Queue: "queue", Receipt: receipt, Delay: durationpb.New(time.Hour), Reason: "reason"}
		expect.Unchanged(t, releasing, func() error { _, err := visibility.Release(t.Context(), releasing); return err })
		for _, request := range []proto.Message{leasing, extending, releasing} {
			expect.Unchanged(t, request, func() error { return nil })
		}
	})
	run("ResponsesAreNotChangedAfterwards", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		enqueue(t, basic, "queue", "payload")
		first := mustLease(t, visibility, "queue", time.Hour)
		before := proto.Clone(first)
		extend(t, visibility, "queue", first.GetReceipt(), time.Minute)
		release(t, visibility, "queue", first.GetReceipt())
		second := mustLease(t, visibility, "queue", time.Hour)
		acknowledge(t, visibility, "queue", second.GetReceipt())
		require.True(t, proto.Equal(before, first), "got %v, want %v", first, before)
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, _ queuev1.Basic, visibility queuev1.Visibility) {
		requireContextRules(t, visibilityCalls(visibility))
	})
	run("NoMessageIsLostNorTakenTwice", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		requireEachOnce(t, basic, func(ctx context.Context, queue string) (*queuev1.Message, error) {
			response, err := visibility.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{
				Queue: queue, VisibilityTimeout: durationpb.New(time.Hour), WaitTime: durationpb.New(5 * time.Millisecond),
			})
			if err == nil && response.GetFound() {
				_, err = visibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: queue, Receipt: response.GetReceipt()})
			}
			return response.GetMessage(), err
		})
	})
	run("OneOfSeveralEndsOfALeaseSucceeds", func(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility) {
		for round := range 20 {
			enqueue(t, basic, "queue", "payload")
			receipt := mustLease(t, visibility, "queue", time.Hour).GetReceipt()
			ends := make([]error, 4)
			expect.Concurrently(t, len(ends), func(i int) error {
				if i%2 == 0 {
					_, ends[i] = visibility.Acknowledge(t.Context(), &queuev1.AcknowledgeRequest{Queue: "queue", Receipt: receipt})
				} else {
					_, ends[i] = visibility.Release(t.Context(), &queuev1.ReleaseRequest{Queue: "queue", Receipt: receipt})
				}
				return nil
			})
			acknowledged, released := 0, 0
			for i, err := range ends {
				switch {
				case fault.CodeOf(err) == fault.FailedPrecondition:
				case err != nil:
					require.NoError(t, err)
				case i%2 == 0:
					acknowledged++
				default:
					released++
				}
			}
			require.Equal(t, 1, acknowledged+released, "round %d: one call ends the lease", round)
			require.Len(t, drain(t, basic, "queue"), released, "the message is there when it was released")
		}
	})
	t.Run("OneQueueIsLinearizable", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		expect.Linearizable(t, queueModel(), recordQueue(t, i.QueueBasic, i.QueueVisibility))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		for _, i := range []*prism.Interfaces{one, other} {
			enqueue(t, i.QueueBasic, "queue", "payload")
		}
		leased := mustLease(t, one.QueueVisibility, "queue", time.Hour)
		requireFirst(t, other.QueueBasic, "queue", "payload")
		mustLease(t, other.QueueVisibility, "queue", time.Hour)
		requireStale(t, other.QueueVisibility, "queue", leased.GetReceipt())
		acknowledge(t, one.QueueVisibility, "queue", leased.GetReceipt())
	})
}

// visibilityCalls are the calls of queue_visibility.
func visibilityCalls(visibility queuev1.Visibility) []call {
	calls := []call{{"DequeueWithTimeout", func(ctx context.Context, queue string) error {
		_, err := visibility.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{Queue: queue, VisibilityTimeout: durationpb.New(time.Minute)})
		return err
	}, "queue", fault.OK}}
	for name, with := range receiptCalls(visibility) {
		calls = append(calls, call{name, func(ctx context.Context, queue string) error { return with(ctx, queue, "no-receipt") }, "queue", fault.FailedPrecondition})
	}
	return calls
}

// receiptCalls are the calls that take a receipt.
func receiptCalls(visibility queuev1.Visibility) map[string]func(ctx context.Context, queue, receipt string) error {
	return map[string]func(ctx context.Context, queue, receipt string) error{
		"ExtendVisibility": func(ctx context.Context, queue, receipt string) error {
			_, err := visibility.ExtendVisibility(ctx, extension(queue, receipt, time.Minute))
			return err
		},
		"Release": func(ctx context.Context, queue, receipt string) error {
			_, err := visibility.Release(ctx, &queuev1.ReleaseRequest{Queue: queue, Receipt: receipt})
			return err
		},
		"Acknowledge": func(ctx context.Context, queue, receipt string) error {
			_, err := visibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: queue, Receipt: receipt})
			return err
		},
	}
}

func extension(queue, receipt string, lasting time.Duration) *queuev1.ExtendVisibilityRequest {
	return &queuev1.ExtendVisibilityRequest{Queue: queue, Receipt: receipt, VisibilityTimeout: durationpb.New(lasting)}
}

func lease(t *testing.T, visibility queuev1.Visibility, queue string, lasting time.Duration) *queuev1.DequeueWithTimeoutResponse {
	t.Helper()
	response, err := visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{Queue: queue, VisibilityTimeout: durationpb.New(lasting)})
	require.NoError(t, err, "DequeueWithTimeout")
	return response
}

// mustLease leases a message that is there.
func mustLease(t *testing.T, visibility queuev1.Visibility, queue string, lasting time.Duration) *queuev1.DequeueWithTimeoutResponse {
	t.Helper()
	response := lease(t, visibility, queue, lasting)
	require.True(t, response.GetFound(), "%.80q has a visible message", queue)
	return response
}

// awaitLease leases a message that comes sooner or later.
func awaitLease(t *testing.T, visibility queuev1.Visibility, queue string, lasting time.Duration) *queuev1.DequeueWithTimeoutResponse {
	t.Helper()
	response, err := visibility.DequeueWithTimeout(t.Context(), &queuev1.DequeueWithTimeoutRequest{
		Queue: queue, VisibilityTimeout: durationpb.New(lasting), WaitTime: durationpb.New(expect.Patience),
	})
	require.NoError(t, err, "DequeueWithTimeout")
	require.True(t, response.GetFound(), "there is no message within %s", expect.Patience)
	return response
}

func extend(t *testing.T, visibility queuev1.Visibility, queue, receipt string, lasting time.Duration) *queuev1.ExtendVisibilityResponse {
	t.Helper()
	response, err := visibility.ExtendVisibility(t.Context(), extension(queue, receipt, lasting))
	require.NoError(t, err, "ExtendVisibility")
	return response
}

func release(t *testing.T, visibility queuev1.Visibility, queue, receipt string) {
	t.Helper()
	releaseWith(t, visibility, &queuev1.ReleaseRequest{Queue: queue, Receipt: receipt})
}

func releaseWith(t *testing.T, visibility queuev1.Visibility, request *queuev1.ReleaseRequest) {
	t.Helper()
	_, err := visibility.Release(t.Context(), request)
	require.NoError(t, err, "Release")
}

func acknowledge(t *testing.T, visibility queuev1.Visibility, queue, receipt string) {
	t.Helper()
	_, err := visibility.Acknowledge(t.Context(), &queuev1.AcknowledgeRequest{Queue: queue, Receipt: receipt})
	require.NoError(t, err, "Acknowledge")
}

// requireReceipt fails unless a receipt has the form that is promised.
func requireReceipt(t *testing.T, receipt string) {
	t.Helper()
	require.NotEmpty(t, receipt)
	require.LessOrEqual(t, len(receipt), 1024)
	require.False(t, strings.ContainsFunc(receipt, func(r rune) bool { return r > 127 }), "a receipt is ASCII")
}

// requireStale fails unless every call refuses a receipt.
func requireStale(t *testing.T, visibility queuev1.Visibility, queue, receipt string) {
	t.Helper()
	for name, call := range receiptCalls(visibility) {
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(call(t.Context(), queue, receipt)), "%s with the receipt %.80q", name, receipt)
	}
}

// requireStaleSoon waits until a lease's time is over, which nothing but its receipt tells.
func requireStaleSoon(t *testing.T, visibility queuev1.Visibility, queue, receipt string) {
	t.Helper()
	expect.Pause(t, shortestLease)
	requireStale(t, visibility, queue, receipt)
}

// outlasted leases a message and acts on its receipt, and demands that the message is not visible when the lease would have ended, which a lease that began later tells. On a machine so slow
// that the lease has ended before the act, it begins again with a longer one. It returns the receipt.
func outlasted(t *testing.T, basic queuev1.Basic, visibility queuev1.Visibility, act func(receipt string) error) string {
	t.Helper()
	for lasting := shortestLease; ; lasting *= 2 {
		require.Less(t, lasting, expect.Patience, "the implementation is too slow to be tested")
		enqueueAll(t, basic, "queue", "acted on", "control")
		begin := time.Now()
		receipt := mustLease(t, visibility, "queue", lasting).GetReceipt()
		if err := act(receipt); err != nil {
			expect.Code(t, fault.FailedPrecondition, err)
			require.GreaterOrEqual(t, time.Since(begin), lasting, "the lease ended early")
			await(t, basic, "queue")
			await(t, basic, "queue")
			continue
		}
		mustLease(t, visibility, "queue", lasting)
		expect.EqualBytes(t, []byte("control"), await(t, basic, "queue").GetPayload())
		expect.Pause(t, 20*time.Millisecond)
		requireEmpty(t, basic, "queue")
		return receipt
	}
}
