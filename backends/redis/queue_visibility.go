package redis

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

const (
	// defaultLease is how long a lease lasts when the request does not say it; the contract's.
	defaultLease = 30 * time.Second
	// notLeased is the reason that is given with FAILED_PRECONDITION.
	notLeased = "LEASE_ENDED"
)

// DequeueWithTimeout leases the first visible message. A receipt is the message's id and a secret of the lease.
func (q *queue) DequeueWithTimeout(ctx context.Context, request *queuev1.DequeueWithTimeoutRequest) (*queuev1.DequeueWithTimeoutResponse, error) {
	t := taking{
		op: "redis.queue.DequeueWithTimeout", queue: request.GetQueue(), wait: request.GetWaitTime().AsDuration(), lease: defaultLease, secret: rand.Text(),
	}
	if request.GetVisibilityTimeout() != nil {
		t.lease = request.GetVisibilityTimeout().AsDuration()
	}
	found, err := q.take(ctx, t)
	if err != nil || found == nil {
		return &queuev1.DequeueWithTimeoutResponse{}, err
	}
	message, err := found.message()
	if err != nil {
		return nil, err
	}
	return &queuev1.DequeueWithTimeoutResponse{
		Found: true, Message: message, Receipt: message.GetMessageId() + "." + t.secret, LeaseEndTime: asTime(found[takenLeaseEnd]),
	}, nil
}

// ExtendVisibility moves the end of a lease.
func (q *queue) ExtendVisibility(ctx context.Context, request *queuev1.ExtendVisibilityRequest) (*queuev1.ExtendVisibilityResponse, error) {
	end, err := q.withLease(ctx, "redis.queue.ExtendVisibility", request.GetQueue(), request.GetReceipt(), "extend", request.GetVisibilityTimeout().AsDuration(), "")
	if err != nil {
		return nil, err
	}
	return &queuev1.ExtendVisibilityResponse{LeaseEndTime: asTime(end)}, nil
}

// Release ends a lease and brings the message back. An empty reason leaves the last one.
func (q *queue) Release(ctx context.Context, request *queuev1.ReleaseRequest) (*queuev1.ReleaseResponse, error) {
	_, err := q.withLease(ctx, "redis.queue.Release", request.GetQueue(), request.GetReceipt(), "release", request.GetDelay().AsDuration(), request.GetReason())
	if err != nil {
		return nil, err
	}
	return &queuev1.ReleaseResponse{}, nil
}

// Acknowledge ends a lease and removes the message.
func (q *queue) Acknowledge(ctx context.Context, request *queuev1.AcknowledgeRequest) (*queuev1.AcknowledgeResponse, error) {
	if _, err := q.withLease(ctx, "redis.queue.Acknowledge", request.GetQueue(), request.GetReceipt(), "acknowledge", 0, ""); err != nil {
		return nil, err
	}
	return &queuev1.AcknowledgeResponse{}, nil
}

// withLease works on the lease that a receipt stands for, if it lasts. Only extending may be repeated.
func (q *queue) withLease(ctx context.Context, op, name, receipt, how string, lasting time.Duration, reason string) (any, error) {
	id, secret, _ := strings.Cut(receipt, ".")
	answer, err := q.run(ctx, op, how == "extend", queueLease, name, id, secret, how, microseconds(lasting), reason)
	if err != nil {
		return nil, err
	}
	if len(answer) == 0 {
		return nil, fault.New(fault.FailedPrecondition,
			"receipt: stands for no lease that lasts in this queue; it has ended, or its time is over, or the receipt was not issued here; take the message again").
			WithOp(op).WithReason(notLeased)
	}
	return answer[0], nil
}
