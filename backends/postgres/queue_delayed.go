package postgres

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// EnqueueDelayed adds a message that becomes visible after a delay, rounded up to whole milliseconds.
func (q *queue) EnqueueDelayed(ctx context.Context, request *queuev1.EnqueueDelayedRequest) (*queuev1.EnqueueDelayedResponse, error) {
	delay := wholeMilliseconds(request.GetDelay().AsDuration())
	c, err := q.enqueue(ctx, request.GetQueue(), request.GetIdempotencyKey(), &queuev1.Message{Payload: request.GetPayload(), Metadata: request.GetMetadata()}, delay)
	if err != nil {
		return nil, err
	}
	response := &queuev1.EnqueueDelayedResponse{MessageId: messageID(c.id), Duplicate: c.duplicate}
	if c.due != nil {
		response.DueTime = timestamppb.New(*c.due)
	}
	return response, nil
}

// GetScheduledCount counts the messages that are scheduled.
func (q *queue) GetScheduledCount(ctx context.Context, request *queuev1.GetScheduledCountRequest) (*queuev1.GetScheduledCountResponse, error) {
	response := &queuev1.GetScheduledCountResponse{}
	err := q.look(ctx, "postgres.queue.GetScheduledCount", func(ctx context.Context) (due bool, err error) {
		err = q.store.pool.QueryRow(ctx, scheduledCountSQL, q.namespace, request.GetQueue()).Scan(&due, &response.Count)
		return due, err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// CancelScheduled removes a message that is scheduled. It needs no place in the order, and so no lock but the message's.
func (q *queue) CancelScheduled(ctx context.Context, request *queuev1.CancelScheduledRequest) (*queuev1.CancelScheduledResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	response := &queuev1.CancelScheduledResponse{}
	id, ok := parseMessageID(request.GetMessageId())
	if !ok {
		return response, nil
	}
	err := q.store.do(ctx, "postgres.queue.CancelScheduled", false, func(ctx context.Context) error {
		tag, err := q.store.pool.Exec(ctx, cancelScheduledSQL, q.namespace, request.GetQueue(), id)
		response.Cancelled = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}
