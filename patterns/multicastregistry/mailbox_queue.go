package multicastregistry

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

const (
	// sendLease is how long a message is leased that the gateway itself acknowledges; while the message is being sent, the lease is extended.
	sendLease = 30 * time.Second
	// maxRedriven is how many dead letters one call brings back; the contract's.
	maxRedriven = 1000
)

// queueMailbox keeps messages in a queue of the slot durability. Its dead letters are in a queue of its own.
type queueMailbox struct {
	slot          *patternsv1.MulticastRegistryDurabilitySlot
	signals       signals
	calls         calls
	maxDeliveries uint32
	poll          time.Duration
}

func deadLetters(box string) string { return box + ".dead" }

func (q *queueMailbox) keeps() bool { return true }

func (q *queueMailbox) prepare(ctx context.Context, box string) error {
	_, err := q.slot.QueueDeadLetter.ConfigureDeadLetter(ctx, &queuev1.ConfigureDeadLetterRequest{
		Queue: box, DeadLetterQueue: deadLetters(box), MaxReceives: q.maxDeliveries,
	})
	return err
}

// put enqueues first and asks then whether there is a stream. A stream gives its sign first and looks into the queue then. So either sees the other.
func (q *queueMailbox) put(
	ctx context.Context, box string, request *patternsv1.MulticastRequest, online func() (bool, error),
) (patternsv1.MulticastOutcome, error) {
	_, err := q.slot.QueueBasic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: box, Payload: request.GetPayload(), Metadata: request.GetMetadata()})
	if err != nil {
		return patternsv1.MulticastOutcome_MULTICAST_OUTCOME_FAILED, err
	}
	isOnline, err := online()
	if isOnline || err != nil {
		q.signals.tellKept(ctx, box)
	}
	if isOnline {
		return patternsv1.MulticastOutcome_MULTICAST_OUTCOME_PUBLISHED, nil
	}
	return patternsv1.MulticastOutcome_MULTICAST_OUTCOME_QUEUED, nil
}

func (q *queueMailbox) take(ctx context.Context, box string, to *stream, ready func() error) error {
	if err := ready(); err != nil {
		return err
	}
	if to.acknowledge {
		defer func() {
			after, cancel := afterwards(ctx)
			defer cancel()
			q.giveBack(after, box, to, to.window.close())
		}()
	} else {
		defer tick(sendLease/2, func() { q.extend(ctx, box, to) }).stop()
	}
	lease := &queuev1.DequeueWithTimeoutRequest{Queue: box, VisibilityTimeout: durationpb.New(sendLease)}
	if to.acknowledge {
		lease.VisibilityTimeout = durationpb.New(to.timeout)
	}
	for {
		if to.window.full() {
			if err := to.wait(ctx, q.poll); err != nil {
				return err
			}
			continue
		}
		leased, err := q.slot.QueueVisibility.DequeueWithTimeout(ctx, lease)
		switch {
		case err != nil:
			return err
		case !leased.GetFound():
			err = to.wait(ctx, q.poll)
		case to.acknowledge:
			to.window.add(leased.GetReceipt(), time.Now().Add(to.timeout))
			err = to.message(queued(leased, leased.GetReceipt()))
		default:
			err = q.sendAndSettle(ctx, box, to, leased)
		}
		if err != nil {
			return err
		}
	}
}

// queued is a message of the queue as the client gets it.
func queued(leased *queuev1.DequeueWithTimeoutResponse, receipt string) *patternsv1.MulticastMessage {
	m := leased.GetMessage()
	return &patternsv1.MulticastMessage{
		Payload: m.GetPayload(), Metadata: m.GetMetadata(), MessageId: m.GetMessageId(), PublishTime: m.GetEnqueueTime(), Receipt: receipt,
		DeliveryCount: m.GetReceiveCount(),
	}
}

// sendAndSettle sends a message to a client that does not acknowledge, and settles it; or brings it back when it cannot be sent. Once it is with the connection it
// is settled even though the call ends.
func (q *queueMailbox) sendAndSettle(ctx context.Context, box string, to *stream, leased *queuev1.DequeueWithTimeoutResponse) error {
	to.sending.Store(leased)
	err := to.message(queued(leased, ""))
	to.sending.Store(nil)
	if err != nil {
		after, cancel := afterwards(ctx)
		defer cancel()
		q.giveBack(after, box, to, []string{leased.GetReceipt()})
		return err
	}
	settle := &queuev1.AcknowledgeRequest{Queue: box, Receipt: leased.GetReceipt()}
	_, err = q.slot.QueueVisibility.Acknowledge(ctx, settle)
	if ctx.Err() != nil {
		after, cancel := afterwards(ctx)
		defer cancel()
		_, err = q.slot.QueueVisibility.Acknowledge(after, settle)
	}
	if fault.CodeOf(err) == fault.FailedPrecondition {
		return nil // It is settled, or its lease is over and it comes again.
	}
	return err
}

// extend extends the lease of the message that is being sent, if there is one: its client may take long.
func (q *queueMailbox) extend(ctx context.Context, box string, to *stream) {
	if sending := to.sending.Load(); sending != nil {
		_, _ = q.slot.QueueVisibility.ExtendVisibility(ctx, &queuev1.ExtendVisibilityRequest{
			Queue: box, Receipt: sending.GetReceipt(), VisibilityTimeout: durationpb.New(sendLease),
		})
	}
}

// giveBack ends leases of a stream that is over: the messages come again, and whoever has the next stream is told; or, when the registration has ended, they are
// dropped. Where that fails, a lease ends by itself.
func (q *queueMailbox) giveBack(ctx context.Context, box string, to *stream, receipts []string) {
	_ = q.calls.each(ctx, len(receipts), func(ctx context.Context, i int) error {
		if to.ended() {
			_, _ = q.slot.QueueVisibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: box, Receipt: receipts[i]})
		} else {
			_, _ = q.slot.QueueVisibility.Release(ctx, &queuev1.ReleaseRequest{Queue: box, Receipt: receipts[i], Reason: "its stream has ended"})
		}
		return nil
	})
	if len(receipts) > 0 && !to.ended() {
		q.signals.tellKept(ctx, box)
	}
}

func (q *queueMailbox) acknowledge(ctx context.Context, box string, receipts []string) ([]string, error) {
	stale := make([]atomic.Bool, len(receipts))
	err := q.calls.each(ctx, len(receipts), func(ctx context.Context, i int) error {
		_, err := q.slot.QueueVisibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: box, Receipt: receipts[i]})
		if fault.CodeOf(err) == fault.FailedPrecondition {
			stale[i].Store(true)
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var unsettled, settled []string
	for i, receipt := range receipts {
		if stale[i].Load() {
			unsettled = append(unsettled, receipt)
		} else {
			settled = append(settled, receipt)
		}
	}
	if len(settled) > 0 {
		q.signals.tell(ctx, box, &patternsv1.MulticastRegistrySignal{Signal: &patternsv1.MulticastRegistrySignal_Settled{
			Settled: &patternsv1.MulticastRegistryReceipts{Receipts: settled},
		}})
	}
	return unsettled, nil
}

func (q *queueMailbox) redrive(ctx context.Context, box string) (uint32, error) {
	answer, err := q.slot.QueueDeadLetter.Redrive(ctx, &queuev1.RedriveRequest{DeadLetterQueue: deadLetters(box), SourceQueue: box, MaxMessages: maxRedriven})
	if err != nil {
		return 0, err
	}
	if answer.GetMoved() > 0 {
		q.signals.tellKept(ctx, box)
	}
	return answer.GetMoved(), nil
}

// drop takes all messages out of both queues, and the configuration away. What is leased at the moment is dropped by the stream that has it.
func (q *queueMailbox) drop(ctx context.Context, box string) error {
	for _, queue := range []string{box, deadLetters(box)} {
		for {
			answer, err := q.slot.QueueBasic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: queue})
			if err != nil {
				return err
			}
			if !answer.GetFound() {
				break
			}
		}
	}
	_, err := q.slot.QueueDeadLetter.ConfigureDeadLetter(ctx, &queuev1.ConfigureDeadLetterRequest{Queue: box})
	return err
}
