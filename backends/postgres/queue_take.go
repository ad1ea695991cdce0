package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// pollAgain is how long calls that wait trust that they would have been told of a message.
const pollAgain = time.Second

// Dequeue takes the first visible message for good.
func (q *queue) Dequeue(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
	c, err := q.take(ctx, request.GetWaitTime().AsDuration(), func() *queueCall { return &queueCall{queue: request.GetQueue()} })
	if err != nil {
		return nil, err
	}
	return &queuev1.DequeueResponse{Found: c.ok, Message: c.message}, nil
}

// take takes the first visible message. When there is none it waits for one as long as it may. It holds no connection meanwhile: it is told when there may be one, and takes what is
// first by then.
func (q *queue) take(ctx context.Context, wait time.Duration, call func() *queueCall) (*queueCall, error) {
	if wait <= 0 {
		return q.takeFirst(ctx, call())
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for over := false; ; {
		c := call()
		w := q.waiting.join(c.queue)
		c, err := q.takeFirst(ctx, c)
		if err != nil || c.ok || over {
			w.leave()
			return c, err
		}
		again, err := q.nextDue(ctx)
		if err != nil {
			w.leave()
			return nil, err
		}
		q.store.listener.awaitWakes()
		q.waiting.wakeWithin(c.queue, again)
		select {
		case <-w.woken:
			continue
		case <-ctx.Done():
			w.leave()
			return nil, ctx.Err()
		case <-timer.C:
			over = true
			w.leave()
		}
	}
}

// takeFirst takes the first visible message, if there is one.
func (q *queue) takeFirst(ctx context.Context, c *queueCall) (*queueCall, error) {
	c.ctx, c.kind = ctx, taking
	if err := q.do(ctx, c); err != nil {
		return nil, err
	}
	if !c.ok {
		return c, ctx.Err() // also a call that the transaction left out
	}
	return c, nil
}

// nextDue tells how long it is until something is due, pollAgain at most.
func (q *queue) nextDue(ctx context.Context) (time.Duration, error) {
	again := pollAgain
	err := q.store.do(ctx, "postgres.queue", true, func(ctx context.Context) error {
		var seconds float64
		err := q.store.pool.QueryRow(ctx, nextDueSQL, q.namespace).Scan(&seconds)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if seconds < pollAgain.Seconds() {
			again = max(time.Duration(seconds*float64(time.Second)), 0) + time.Millisecond
		}
		return err
	})
	return again, err
}

// announce tells those who wait of what a batch has done: here at once, on other gateways by the server.
func (q *queue) announce(b *batch) {
	for name, count := range b.shown {
		q.waiting.wake(name, count)
		q.store.bell.ring(wake{queueWake, q.namespace, name})
	}
	soonest := pollAgain
	for _, c := range b.calls {
		if c.ok && c.kind != acknowledging && c.lasting > 0 {
			soonest = min(soonest, c.lasting+time.Millisecond)
		}
	}
	if b.more {
		soonest = 0
	}
	if soonest < pollAgain {
		q.waiting.wakeAllWithin(soonest)
	}
}
