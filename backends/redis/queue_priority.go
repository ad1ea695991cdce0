package redis

import (
	"context"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// EnqueueWithPriority adds a message that goes before those of a lower priority.
func (q *queue) EnqueueWithPriority(ctx context.Context, request *queuev1.EnqueueWithPriorityRequest) (*queuev1.EnqueueWithPriorityResponse, error) {
	added, err := q.enqueue(ctx, "redis.queue.EnqueueWithPriority", arrival{
		queue: request.GetQueue(), payload: request.GetPayload(), metadata: request.GetMetadata(), key: request.GetIdempotencyKey(), priority: request.GetPriority(),
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueWithPriorityResponse{MessageId: added.id, Duplicate: added.duplicate}, nil
}
