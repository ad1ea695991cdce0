package memstore

import (
	"context"
	"crypto/rand"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

var _ backendsv1.MemStoreQueue = (*queue)(nil)

// queueOverhead is what max_queue_bytes counts for each message, idempotency key and configuration beside its bytes: about the memory that one takes.
const queueOverhead = 256

// queue is the Queue model of one namespace. Its queues are lines, each with a lock of its own.
type queue struct {
	clock clock
	quota *quota
	lines sync.Map // string to *line
	// numbers counts the lines that were made, ids the messages. A message's id begins with idPrefix, so that one of another process's namespace is no id here.
	numbers, ids atomic.Uint64
	idPrefix     string
	closed       atomic.Bool
}

func newQueue(store *Store, _ string) *queue {
	return &queue{
		clock:    store.clock,
		quota:    newQuota(store.config.GetMaxQueueBytes()),
		idPrefix: rand.Text()[:10] + "-", // 50 bits
	}
}

// close drops all messages and ends the calls that wait.
func (q *queue) close() {
	q.closed.Store(true)
	for _, found := range q.lines.Range {
		found.(*line).close()
	}
	q.lines.Clear()
}

// Enqueue adds a message.
func (q *queue) Enqueue(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
	added, duplicate, err := q.enqueue(ctx, "memstore.queue.Enqueue", request.GetQueue(), request.GetIdempotencyKey(), 0, &item{
		payload:  request.GetPayload(),
		metadata: request.GetMetadata(),
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueResponse{MessageId: added.id, Duplicate: duplicate}, nil
}

// Dequeue takes the first visible message for good.
func (q *queue) Dequeue(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
	var response queuev1.DequeueResponse
	err := q.take(ctx, "memstore.queue.Dequeue", request.GetQueue(), request.GetWaitTime().AsDuration(), func(l *line, first *item) {
		first.receives++
		response.Found, response.Message = true, first.message()
		l.drop(first)
	})
	if err != nil {
		return nil, err
	}
	return &response, nil
}

// Peek shows the first visible message.
func (q *queue) Peek(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := q.find("memstore.queue.Peek", request.GetQueue())
	if l == nil {
		return &queuev1.PeekResponse{}, err
	}
	defer l.unlock()
	first := l.ready.first()
	if first == nil {
		return &queuev1.PeekResponse{}, nil
	}
	return &queuev1.PeekResponse{Found: true, Message: first.message()}, nil
}

// added is what an enqueueing call answers with.
type added struct {
	id string
	// due is when a scheduled message becomes visible; nil for another.
	due *timestamppb.Timestamp
}

// enqueue adds a message, visible after a delay that may be 0, unless its idempotency key tells that it was added before.
func (q *queue) enqueue(ctx context.Context, op, name, key string, delay time.Duration, i *item) (_ added, duplicate bool, _ error) {
	if err := ctx.Err(); err != nil {
		return added{}, false, err
	}
	l, err := q.findOrMake(op, name)
	if err != nil {
		return added{}, false, err
	}
	defer l.unlock()
	if key != "" {
		if before, ok := l.keys.recall(key, l.at); ok {
			return before, true, nil
		}
	}
	i.bytes = contentBytes(i) + queueOverhead
	if !q.quota.reserve(i.bytes + keyBytes(key)) {
		return added{}, false, q.exceeded(op)
	}
	i.id = q.idPrefix + strconv.FormatUint(q.ids.Add(1), 36)
	i.index = outside
	i.enqueueTime = timestamppb.New(l.now.Truncate(time.Millisecond))
	now := added{id: i.id}
	if delay > 0 {
		now.due = timestamppb.New(l.now.Add(delay))
		l.schedule(i, delay)
	} else {
		l.arrive(i)
	}
	if key != "" {
		l.keys.remember(key, now, l.at)
	}
	return now, false, nil
}

// find locks a queue, or returns nil when there is none.
func (q *queue) find(op, name string) (*line, error) {
	for !q.closed.Load() {
		found, ok := q.lines.Load(name)
		if !ok {
			return nil, nil
		}
		if l := found.(*line); l.lock() {
			return l, nil
		}
	}
	return nil, errQueueClosed(op)
}

// findOrMake locks a queue, which is made when there is none.
func (q *queue) findOrMake(op, name string) (*line, error) {
	for !q.closed.Load() {
		found, ok := q.lines.Load(name)
		if !ok {
			found, _ = q.lines.LoadOrStore(name, newLine(q, name))
		}
		if l := found.(*line); l.lock() {
			return l, nil
		}
	}
	return nil, errQueueClosed(op)
}

// exceeded is the answer to a call that there is no room for.
func (q *queue) exceeded(op string) *fault.Error {
	return fault.New(fault.ResourceExhausted, "max_queue_bytes: the queues of the namespace may hold %d bytes, and this call would exceed them; take messages or raise the limit", q.quota.limit).
		WithOp(op)
}

func errQueueClosed(op string) *fault.Error {
	return fault.New(fault.Unavailable, "the memstore is closed").WithOp(op)
}
