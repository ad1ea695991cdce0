package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

const (
	// defaultRedrive is how many messages a Redrive moves when the request does not say it; the contract's.
	defaultRedrive = 1000
	// redriveBite is how many it moves while others wait.
	redriveBite = 250
)

// ConfigureDeadLetter gives a queue a dead letter queue, or takes it away.
func (q *queue) ConfigureDeadLetter(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
	const op = "postgres.queue.ConfigureDeadLetter"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name, dead, most := request.GetQueue(), request.GetDeadLetterQueue(), int32(request.GetMaxReceives()) //nolint:gosec // at most 1,000
	switch {
	case dead == name:
		return nil, fault.Invalid("dead_letter_queue", "is the queue itself; name another one")
	case dead != "" && most == 0:
		return nil, fault.Invalid("max_receives", "is 0; say how often a message is received before it moves, 1 to 1,000")
	}
	b := &batch{queue: q}
	// Leases that have ended are the old configuration's.
	err := q.exclusively(ctx, op, b, func(ctx context.Context, tx pgx.Tx) (err error) {
		if dead == "" {
			_, err = tx.Exec(ctx, unconfigureDeadLetterSQL, q.namespace, name)
		} else {
			_, err = tx.Exec(ctx, configureDeadLetterSQL, q.namespace, name, dead, most)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.ConfigureDeadLetterResponse{}, nil
}

// exclusively runs a transaction that has the queues of the namespace for itself, in which all that is due has happened. When more is due than one transaction looks after, others go
// before it, each with its share: what is done is done, however long the rest takes.
func (q *queue) exclusively(ctx context.Context, op string, b *batch, run func(ctx context.Context, tx pgx.Tx) error) error {
	for b.more = true; b.more; {
		err := q.store.do(ctx, op, false, func(ctx context.Context) error {
			b.shown = make(map[string]int)
			return pgx.BeginFunc(ctx, q.store.pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, lockWithDiskSQL, q.lock); err != nil {
					return err
				}
				rows, err := tx.Query(ctx, advanceSQL, q.namespace, advanceBite)
				if err != nil {
					return err
				}
				if err := b.advanced(rows); err != nil || b.more {
					return err
				}
				return run(ctx, tx)
			})
		})
		if err != nil {
			return err
		}
		q.announce(b)
	}
	return nil
}

// GetDeadLetterQueue tells a queue's dead letter queue.
func (q *queue) GetDeadLetterQueue(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error) {
	response := &queuev1.GetDeadLetterQueueResponse{}
	err := q.look(ctx, "postgres.queue.GetDeadLetterQueue", func(ctx context.Context) (due bool, err error) {
		err = q.store.pool.QueryRow(ctx, getDeadLetterSQL, q.namespace, request.GetQueue()).Scan(&due, &response.DeadLetterQueue, &response.MaxReceives, &response.MessageCount)
		response.Found = response.GetDeadLetterQueue() != ""
		return due, err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// Redrive moves dead letters back, a bite at a time.
func (q *queue) Redrive(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	left := int(request.GetMaxMessages())
	if left == 0 {
		left = defaultRedrive
	}
	response := &queuev1.RedriveResponse{}
	var end int64 // what comes to the dead letter queue from now on stays
	for left > 0 {
		bite, moved := min(left, redriveBite), 0
		b := &batch{queue: q}
		err := q.exclusively(ctx, "postgres.queue.Redrive", b, func(ctx context.Context, tx pgx.Tx) error {
			if end == 0 {
				if err := tx.QueryRow(ctx, lastPlaceSQL).Scan(&end); err != nil {
					return err
				}
			}
			rows, err := tx.Query(ctx, redriveSQL, q.namespace, request.GetDeadLetterQueue(), request.GetSourceQueue(), end, bite)
			if err != nil {
				return err
			}
			var name string
			_, err = pgx.ForEachRow(rows, []any{&name}, func() error {
				b.shown[name]++
				moved++
				return nil
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		response.Moved += uint32(moved) //nolint:gosec // at most 10,000
		left -= moved
		if moved < bite {
			break
		}
	}
	return response, nil
}
