package memstore

import (
	"container/heap"
	"context"
	"time"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// EnqueueDelayed adds a message that becomes visible later.
func (q *queue) EnqueueDelayed(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
	delay := wholeMilliseconds(request.GetDelay().AsDuration())
	added, duplicate, err := q.enqueue(ctx, "memstore.queue.EnqueueDelayed", request.GetQueue(), request.GetIdempotencyKey(), delay, &item{
		payload:  request.GetPayload(),
		metadata: request.GetMetadata(),
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueDelayedResponse{MessageId: added.id, Duplicate: duplicate, DueTime: added.due}, nil
}

// GetScheduledCount counts the messages that are not due yet.
func (q *queue) GetScheduledCount(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := q.find("memstore.queue.GetScheduledCount", request.GetQueue())
	if l == nil {
		return &queuev1.GetScheduledCountResponse{}, err
	}
	defer l.unlock()
	return &queuev1.GetScheduledCountResponse{Count: uint64(l.scheduled.size())}, nil
}

// CancelScheduled removes a message that is not visible yet.
func (q *queue) CancelScheduled(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := q.find("memstore.queue.CancelScheduled", request.GetQueue())
	if l == nil {
		return &queuev1.CancelScheduledResponse{}, err
	}
	defer l.unlock()
	found, ok := l.scheduled.get(request.GetMessageId())
	if !ok {
		return &queuev1.CancelScheduledResponse{}, nil
	}
	heap.Remove(&l.agenda, found.index)
	l.scheduled.remove(found.id)
	l.drop(found)
	return &queuev1.CancelScheduledResponse{Cancelled: true}, nil
}

// schedule keeps a new message out of sight for a while.
func (l *line) schedule(i *item, delay time.Duration) {
	i.place = l.nextPlace() // among those that are due at the same moment
	l.scheduled.put(i.id, i)
	l.hide(i, scheduled, delay)
}
