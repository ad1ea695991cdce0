package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

var _ backendsv1.PostgresQueue = (*queue)(nil)

// smallCall is how many bytes a call may carry to share a batch with others.
const smallCall = 64 << 10

// queue is the Queue model of one namespace. Whoever changes its messages holds one advisory lock of the namespace until the transaction ends, so that all gateways see one order;
// calls that are made at once share a transaction, and so the wait for the lock and the disk.
type queue struct {
	store     *Store
	namespace int32
	lock      int64 // of all its queues
	lane      *backend.Lane[queueCall]
	waiting   waitingRoom
}

func newQueue(store *Store, namespace int32) *queue {
	q := &queue{store: store, namespace: namespace, lock: store.lockKey(queueLocks, namespace)}
	store.listener.register(namespace, func(at *space) { at.queue = q })
	q.lane = backend.NewLane(store.ctx, store.env, "queue", store.config.GetCoalescing(), func(c *queueCall) string { return c.alone }, q.run)
	return q
}

// Enqueue adds a message.
func (q *queue) Enqueue(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
	c, err := q.enqueue(ctx, request.GetQueue(), request.GetIdempotencyKey(), &queuev1.Message{Payload: request.GetPayload(), Metadata: request.GetMetadata()}, 0)
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueResponse{MessageId: messageID(c.id), Duplicate: c.duplicate}, nil
}

// EnqueueWithPriority adds a message that goes before those of a lower priority.
func (q *queue) EnqueueWithPriority(ctx context.Context, request *queuev1.EnqueueWithPriorityRequest) (*queuev1.EnqueueWithPriorityResponse, error) {
	message := &queuev1.Message{Payload: request.GetPayload(), Metadata: request.GetMetadata(), Priority: request.GetPriority()}
	c, err := q.enqueue(ctx, request.GetQueue(), request.GetIdempotencyKey(), message, 0)
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueWithPriorityResponse{MessageId: messageID(c.id), Duplicate: c.duplicate}, nil
}

// enqueue adds a message, visible after a delay that may be 0, unless its idempotency key tells that it was added before.
func (q *queue) enqueue(ctx context.Context, name, key string, message *queuev1.Message, delay time.Duration) (*queueCall, error) {
	c := &queueCall{ctx: ctx, kind: enqueueing, queue: name, priority: int16(message.GetPriority()), lasting: delay} //nolint:gosec // 0 to 9
	message.Priority = 0
	var err error
	if c.content, err = proto.Marshal(message); err != nil {
		return nil, err
	}
	if key != "" {
		c.key = q.keyDigest(name, key)
		c.alone = string(c.key)
	}
	return c, q.do(ctx, c)
}

// keyDigest is what an idempotency key is kept as.
func (q *queue) keyDigest(name, key string) []byte {
	text := binary.BigEndian.AppendUint32(nil, uint32(q.namespace)) //nolint:gosec // a number for a number
	text = append(text, name...)
	text = append(text, 0) // no queue's name has one
	digest := sha256.Sum256(append(text, key...))
	return digest[:]
}

// do makes a call, with others when it is small. When it returns, what the call has changed is durable.
func (q *queue) do(ctx context.Context, c *queueCall) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(c.content) > smallCall {
		err = q.run(ctx, []*queueCall{c})
	} else {
		err = q.lane.Do(ctx, c)
	}
	if err != nil || !c.ok {
		return err
	}
	return q.store.disk.await(ctx, c.life)
}

// Peek shows the first visible message.
func (q *queue) Peek(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error) {
	response := &queuev1.PeekResponse{}
	err := q.look(ctx, "postgres.queue.Peek", func(ctx context.Context) (due bool, err error) {
		response.Reset()
		rows, err := q.store.pool.Query(ctx, peekSQL, q.namespace, request.GetQueue())
		if err != nil {
			return false, err
		}
		var m storedMessage
		_, err = pgx.ForEachRow(rows, append([]any{&due, &response.Found}, m.fields()...), func() error {
			if response.Found {
				response.Message, err = m.message()
			}
			return err
		})
		return due, err
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// look reads, in one statement that also tells whether something is due. If so, that is let happen first, and it reads again.
func (q *queue) look(ctx context.Context, op string, read func(context.Context) (due bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var due bool
	reading := func(ctx context.Context) (err error) { due, err = read(ctx); return err }
	if err := q.store.do(ctx, op, true, reading); err != nil || !due {
		return err
	}
	if err := q.do(ctx, &queueCall{ctx: ctx, kind: advancing}); err != nil {
		return err
	}
	return q.store.do(ctx, op, true, reading)
}

// storedMessage is a message as a statement of messageColumns returns it.
type storedMessage struct {
	id             *int64
	priority       *int16
	receives       *int32
	enqueued       *time.Time
	content        []byte
	source         *string
	sourceReason   []byte
	sourceReceives *int32
	moved          *time.Time
}

// fields are the fields to scan into; all may be null.
func (m *storedMessage) fields() []any {
	return []any{&m.id, &m.priority, &m.receives, &m.enqueued, &m.content, &m.source, &m.sourceReason, &m.sourceReceives, &m.moved}
}

// message is the message as consumers get it.
func (m *storedMessage) message() (*queuev1.Message, error) {
	message := &queuev1.Message{}
	if err := proto.Unmarshal(m.content, message); err != nil {
		return nil, err
	}
	message.MessageId = messageID(*m.id)
	message.EnqueueTime = timestamppb.New(*m.enqueued)
	message.Priority = uint32(*m.priority)     //nolint:gosec // 0 to 9
	message.ReceiveCount = uint32(*m.receives) //nolint:gosec // it is never negative
	if m.source != nil {
		message.DeadLetter = &queuev1.DeadLetterInfo{
			SourceQueue:       *m.source,
			Reason:            queuev1.DeadLetterReason_DEAD_LETTER_REASON_MAX_RECEIVES,
			LastReleaseReason: string(m.sourceReason),
			ReceiveCount:      uint32(*m.sourceReceives), //nolint:gosec // it is never negative
			MoveTime:          timestamppb.New(*m.moved),
		}
	}
	return message, nil
}

func messageID(id int64) string { return strconv.FormatInt(id, 36) }

// parseMessageID returns the number of a message id in the one spelling that it has.
func parseMessageID(text string) (int64, bool) {
	id, err := strconv.ParseInt(text, 36, 64)
	return id, err == nil && id > 0 && messageID(id) == text
}
