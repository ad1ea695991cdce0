package memstore

import (
	"container/heap"
	"context"
	"crypto/rand"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

const (
	// defaultLease is how long a lease lasts when the request does not say it; the contract's.
	defaultLease = 30 * time.Second
	// notLeased is the reason that is given with FAILED_PRECONDITION.
	notLeased = "LEASE_ENDED"
)

// DequeueWithTimeout leases the first visible message. A receipt is random, so that nobody can guess another's.
func (q *queue) DequeueWithTimeout(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
	lasting := defaultLease
	if request.GetVisibilityTimeout() != nil {
		lasting = request.GetVisibilityTimeout().AsDuration()
	}
	var response queuev1.DequeueWithTimeoutResponse
	err := q.take(ctx, "memstore.queue.DequeueWithTimeout", request.GetQueue(), request.GetWaitTime().AsDuration(), func(l *line, first *item) {
		first.receives++
		first.receipt = rand.Text()
		l.leases.put(first.receipt, first)
		l.hide(first, leased, lasting)
		response.Found, response.Message = true, first.message()
		response.Receipt, response.LeaseEndTime = first.receipt, timestamppb.New(l.now.Add(lasting))
	})
	if err != nil {
		return nil, err
	}
	return &response, nil
}

// ExtendVisibility moves the end of a lease.
func (q *queue) ExtendVisibility(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
	var response queuev1.ExtendVisibilityResponse
	err := q.withLease(ctx, "memstore.queue.ExtendVisibility", request.GetQueue(), request.GetReceipt(), func(l *line, i *item) {
		lasting := request.GetVisibilityTimeout().AsDuration()
		i.due = l.at + int64(lasting)
		heap.Fix(&l.agenda, i.index)
		response.LeaseEndTime = timestamppb.New(l.now.Add(lasting))
	})
	if err != nil {
		return nil, err
	}
	return &response, nil
}

// Release ends a lease and brings the message back. An empty reason leaves the last one.
func (q *queue) Release(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
	err := q.withLease(ctx, "memstore.queue.Release", request.GetQueue(), request.GetReceipt(), func(l *line, i *item) {
		if reason := request.GetReason(); reason != "" {
			q.recount(i, func() { i.reason = reason })
		}
		heap.Remove(&l.agenda, i.index)
		l.endLease(i, request.GetDelay().AsDuration())
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.ReleaseResponse{}, nil
}

// Acknowledge ends a lease and removes the message.
func (q *queue) Acknowledge(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
	err := q.withLease(ctx, "memstore.queue.Acknowledge", request.GetQueue(), request.GetReceipt(), func(l *line, i *item) {
		heap.Remove(&l.agenda, i.index)
		l.leases.remove(i.receipt)
		l.drop(i)
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.AcknowledgeResponse{}, nil
}

// withLease has use work on the message that a receipt stands for, under the lock, if its lease lasts.
func (q *queue) withLease(ctx context.Context, op, name, receipt string, use func(l *line, i *item)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := q.find(op, name)
	if err != nil {
		return err
	}
	if l != nil {
		defer l.unlock()
		if found, ok := l.leases.get(receipt); ok && l.at < found.due {
			use(l, found)
			return nil
		}
	}
	return fault.New(fault.FailedPrecondition, "receipt: stands for no lease that lasts in this queue; it has ended, or its time is over, or the receipt was not issued here; take the message again").
		WithOp(op).WithReason(notLeased)
}

// endLease brings a message whose lease has ended back, after a delay that may be 0, or has it moved to the dead letter queue. It is not in the agenda any more.
func (l *line) endLease(i *item, delay time.Duration) {
	l.leases.remove(i.receipt)
	i.receipt = ""
	switch {
	case l.deadLetters.queue != "" && i.receives >= l.deadLetters.maxReceives:
		l.bury(i)
	case delay > 0:
		l.hide(i, heldBack, delay)
	default:
		l.comeBack(i)
	}
}

// recount changes an item and what max_queue_bytes counts of it. It may come to exceed the limit, because nothing is refused for a reason's sake.
func (q *queue) recount(i *item, change func()) {
	before := i.counted()
	change()
	q.quota.add(i.counted() - before)
}
