package postgres

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

const (
	// defaultLease is how long a lease lasts when the request does not say it; the contract's.
	defaultLease = 30 * time.Second
	// leaseLength is that of rand.Text.
	leaseLength = 26
	// leaseEnded is the reason that is given with FAILED_PRECONDITION.
	leaseEnded = "LEASE_ENDED"
)

// DequeueWithTimeout leases the first visible message.
func (q *queue) DequeueWithTimeout(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
	lasting := defaultLease
	if request.GetVisibilityTimeout() != nil {
		lasting = request.GetVisibilityTimeout().AsDuration()
	}
	c, err := q.take(ctx, request.GetWaitTime().AsDuration(), func() *queueCall {
		return &queueCall{queue: request.GetQueue(), lease: rand.Text(), lasting: lasting}
	})
	if err != nil {
		return nil, err
	}
	if !c.ok {
		return &queuev1.DequeueWithTimeoutResponse{}, nil
	}
	return &queuev1.DequeueWithTimeoutResponse{
		Found: true, Message: c.message, Receipt: messageID(c.id) + "." + c.lease, LeaseEndTime: timestamppb.New(*c.due),
	}, nil
}

// ExtendVisibility moves the end of a lease.
func (q *queue) ExtendVisibility(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
	c := &queueCall{kind: extending, queue: request.GetQueue(), lasting: request.GetVisibilityTimeout().AsDuration()}
	if err := q.withLease(ctx, "postgres.queue.ExtendVisibility", c, request.GetReceipt()); err != nil {
		return nil, err
	}
	return &queuev1.ExtendVisibilityResponse{LeaseEndTime: timestamppb.New(*c.due)}, nil
}

// Release ends a lease and brings the message back. An empty reason leaves the last one.
func (q *queue) Release(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
	c := &queueCall{kind: releasing, queue: request.GetQueue(), lasting: request.GetDelay().AsDuration()}
	if request.GetReason() != "" {
		c.reason = []byte(request.GetReason())
	}
	if err := q.withLease(ctx, "postgres.queue.Release", c, request.GetReceipt()); err != nil {
		return nil, err
	}
	return &queuev1.ReleaseResponse{}, nil
}

// Acknowledge ends a lease and removes the message.
func (q *queue) Acknowledge(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
	c := &queueCall{kind: acknowledging, queue: request.GetQueue()}
	if err := q.withLease(ctx, "postgres.queue.Acknowledge", c, request.GetReceipt()); err != nil {
		return nil, err
	}
	return &queuev1.AcknowledgeResponse{}, nil
}

// withLease makes a call about the lease that a receipt stands for: the message's id, and what the lease was given as a name.
func (q *queue) withLease(ctx context.Context, op string, c *queueCall, receipt string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id, lease, _ := strings.Cut(receipt, ".")
	number, ok := parseMessageID(id)
	if ok = ok && len(lease) == leaseLength && !strings.ContainsRune(lease, 0); ok {
		c.ctx, c.id, c.lease, c.alone = ctx, number, lease, lease
		if err := q.do(ctx, c); err != nil {
			return err
		}
	}
	if !c.ok {
		return fault.New(fault.FailedPrecondition, "receipt: stands for no lease that lasts in this queue; it has ended, or its time is over, or the receipt was not issued here; take the message again").
			WithOp(op).WithReason(leaseEnded)
	}
	return nil
}
