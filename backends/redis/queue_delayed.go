package redis

import (
	"context"
	"time"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// EnqueueDelayed adds a message that becomes visible later.
func (q *queue) EnqueueDelayed(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
	delay := (request.GetDelay().AsDuration() + time.Millisecond - 1).Truncate(time.Millisecond)
	added, err := q.enqueue(ctx, "redis.queue.EnqueueDelayed", arrival{
		queue: request.GetQueue(), payload: request.GetPayload(), metadata: request.GetMetadata(), key: request.GetIdempotencyKey(), delay: delay,
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueDelayedResponse{MessageId: added.id, Duplicate: added.duplicate, DueTime: added.due}, nil
}

// GetScheduledCount counts the messages that are not due yet.
func (q *queue) GetScheduledCount(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error) {
	answer, err := q.run(ctx, "redis.queue.GetScheduledCount", true, queueScheduled, request.GetQueue())
	if err != nil {
		return nil, err
	}
	return &queuev1.GetScheduledCountResponse{Count: uint64(asNumber(answer[0]))}, nil
}

// CancelScheduled removes a message that is not visible yet. It is not repeated: the answer would say that there is nothing to cancel.
func (q *queue) CancelScheduled(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
	answer, err := q.run(ctx, "redis.queue.CancelScheduled", false, queueScheduled, request.GetQueue(), request.GetMessageId())
	if err != nil {
		return nil, err
	}
	return &queuev1.CancelScheduledResponse{Cancelled: asNumber(answer[0]) == 1}, nil
}
