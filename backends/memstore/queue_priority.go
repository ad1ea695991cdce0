package memstore

import (
	"context"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// EnqueueWithPriority adds a message that goes before those of a lower priority.
func (q *queue) EnqueueWithPriority(ctx context.Context, request *queuev1.EnqueueWithPriorityRequest) (*queuev1.EnqueueWithPriorityResponse, error) {
	added, duplicate, err := q.enqueue(ctx, "memstore.queue.EnqueueWithPriority", request.GetQueue(), request.GetIdempotencyKey(), 0, &item{
		payload:  request.GetPayload(),
		metadata: request.GetMetadata(),
		priority: uint8(request.GetPriority()),
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueWithPriorityResponse{MessageId: added.id, Duplicate: duplicate}, nil
}
