package redis

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

var _ backendsv1.RedisQueue = (*queue)(nil)

// keyLife is how long an idempotency key counts: the contract's 5 minutes from when a call with it was answered, and a minute for the answer's way.
const keyLife = 6 * time.Minute

// queue is the Queue model of one namespace. What it holds is on the server; each method is one script there, lua/queue.lua says how it is kept.
type queue struct {
	place *place
	// prefix is what all keys and channels of the namespace's queues begin with, and keys what each script names.
	prefix string
	keys   []string
	lines  lines
}

func newQueue(at *place, name string) *queue {
	prefix := at.key(name, "queue") + ":"
	return &queue{place: at, prefix: prefix, keys: at.together(prefix)}
}

// run runs a script. What it answers is a list, or an integer in it.
func (q *queue) run(ctx context.Context, op string, repeatable bool, script script, arguments ...any) ([]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var answer []any
	err := q.place.do(ctx, op, repeatable, func(ctx context.Context) error {
		value, err := q.place.eval(ctx, script, q.keys, arguments...).Result()
		if isNil(err) {
			return nil
		}
		if list, ok := value.([]any); ok {
			answer = list
		} else {
			answer = []any{value}
		}
		return err
	})
	return answer, err
}

// Enqueue adds a message.
func (q *queue) Enqueue(ctx context.Context, request *queuev1.EnqueueRequest) (*queuev1.EnqueueResponse, error) {
	added, err := q.enqueue(ctx, "redis.queue.Enqueue", arrival{
		queue: request.GetQueue(), payload: request.GetPayload(), metadata: request.GetMetadata(), key: request.GetIdempotencyKey(),
	})
	if err != nil {
		return nil, err
	}
	return &queuev1.EnqueueResponse{MessageId: added.id, Duplicate: added.duplicate}, nil
}

// Dequeue takes the first visible message for good.
func (q *queue) Dequeue(ctx context.Context, request *queuev1.DequeueRequest) (*queuev1.DequeueResponse, error) {
	found, err := q.take(ctx, taking{op: "redis.queue.Dequeue", queue: request.GetQueue(), wait: request.GetWaitTime().AsDuration()})
	if err != nil || found == nil {
		return &queuev1.DequeueResponse{}, err
	}
	message, err := found.message()
	if err != nil {
		return nil, err
	}
	return &queuev1.DequeueResponse{Found: true, Message: message}, nil
}

// Peek shows the first visible message.
func (q *queue) Peek(ctx context.Context, request *queuev1.PeekRequest) (*queuev1.PeekResponse, error) {
	answer, err := q.run(ctx, "redis.queue.Peek", true, queueTake, request.GetQueue(), "peek")
	if err != nil || len(answer) == 1 {
		return &queuev1.PeekResponse{}, err
	}
	message, err := taken(answer).message()
	if err != nil {
		return nil, err
	}
	return &queuev1.PeekResponse{Found: true, Message: message}, nil
}

// arrival is a message that is to be enqueued.
type arrival struct {
	queue    string
	payload  []byte
	metadata map[string]string
	priority uint32
	delay    time.Duration
	key      string
}

// added is what an enqueueing call answers with.
type added struct {
	id        string
	duplicate bool
	due       *timestamppb.Timestamp // nil for a message that was not scheduled
}

// enqueue adds a message, unless its idempotency key tells that it was added before. It is not repeated, also not with a key: the answer would say that a former call was first.
func (q *queue) enqueue(ctx context.Context, op string, a arrival) (added, error) {
	body, err := proto.Marshal(&queuev1.Message{Payload: a.payload, Metadata: a.metadata})
	if err != nil {
		return added{}, fault.Wrap(err, fault.Internal, op, "the message cannot be encoded")
	}
	answer, err := q.run(ctx, op, false, queueEnqueue,
		a.queue, "-"+rand.Text()[:10], body, a.priority, a.delay.Microseconds(), a.key, keyLife.Milliseconds())
	if err != nil {
		return added{}, err
	}
	result := added{id: asText(answer[0]), duplicate: answer[1] == int64(1)}
	if due := asText(answer[2]); due != "" {
		result.due = asTime(due)
	}
	return result, nil
}

// The places of a taken message's fields in what queue_take answers.
const (
	takenID = iota
	takenLeaseEnd
	takenBody
	takenEnqueueTime
	takenPriority
	takenReceives
	takenScore
	takenReason
	takenSource
	takenLastReason
	takenLastReceives
	takenMoveTime
)

// taken is what queue_take answers with when there is a message.
type taken []any

// message is the message as consumers get it.
func (t taken) message() (*queuev1.Message, error) {
	message := &queuev1.Message{}
	if err := proto.Unmarshal([]byte(asText(t[takenBody])), message); err != nil {
		return nil, fault.Wrap(err, fault.DataLoss, "redis.queue", "a message on the server is not one that Prism has written; nobody else may change the keys of a namespace")
	}
	message.MessageId = asText(t[takenID])
	message.EnqueueTime = timestamppb.New(time.UnixMilli(asNumber(t[takenEnqueueTime])))
	message.Priority = uint32(asNumber(t[takenPriority]))
	message.ReceiveCount = uint32(asNumber(t[takenReceives]))
	if source := asText(t[takenSource]); source != "" {
		message.DeadLetter = &queuev1.DeadLetterInfo{
			SourceQueue:       source,
			Reason:            queuev1.DeadLetterReason_DEAD_LETTER_REASON_MAX_RECEIVES,
			LastReleaseReason: asText(t[takenLastReason]),
			ReceiveCount:      uint32(asNumber(t[takenLastReceives])),
			MoveTime:          timestamppb.New(time.UnixMilli(asNumber(t[takenMoveTime]))),
		}
	}
	return message, nil
}

// asText returns a text that a script has answered.
func asText(value any) string {
	text, _ := value.(string)
	return text
}

// asNumber returns a number that a script has answered, as such or as text.
func asNumber(value any) int64 {
	if number, ok := value.(int64); ok {
		return number
	}
	number, _ := strconv.ParseInt(asText(value), 10, 64)
	return number
}

// asTime returns a time that a script has answered in microseconds since 1970.
func asTime(value any) *timestamppb.Timestamp {
	return timestamppb.New(time.UnixMicro(asNumber(value)))
}
