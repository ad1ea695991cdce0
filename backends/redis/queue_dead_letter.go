package redis

import (
	"context"

	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// defaultRedrive is how many messages a Redrive moves when the request does not say it; the contract's.
const defaultRedrive = 1000

// ConfigureDeadLetter gives a queue a dead letter queue, or takes it away.
func (q *queue) ConfigureDeadLetter(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
	switch wanted := request.GetDeadLetterQueue(); {
	case wanted == "":
	case wanted == request.GetQueue():
		return nil, fault.Invalid("dead_letter_queue", "is the queue itself; name another one")
	case request.GetMaxReceives() == 0:
		return nil, fault.Invalid("max_receives", "is 0; say how often a message is received before it moves, 1 to 1,000")
	}
	_, err := q.untilSettled(ctx, "redis.queue.ConfigureDeadLetter", false, queueConfigure, request.GetQueue(), request.GetDeadLetterQueue(), request.GetMaxReceives())
	if err != nil {
		return nil, err
	}
	return &queuev1.ConfigureDeadLetterResponse{}, nil
}

// GetDeadLetterQueue tells a queue's dead letter queue.
func (q *queue) GetDeadLetterQueue(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error) {
	answer, err := q.untilSettled(ctx, "redis.queue.GetDeadLetterQueue", true, queueLetters, request.GetQueue())
	if err != nil || len(answer) == 0 {
		return &queuev1.GetDeadLetterQueueResponse{}, err
	}
	return &queuev1.GetDeadLetterQueueResponse{
		Found: true, DeadLetterQueue: asText(answer[0]), MaxReceives: uint32(asNumber(answer[1])), MessageCount: uint64(asNumber(answer[2])),
	}, nil
}

// untilSettled runs a script until all that was due before it is done, in bites so that the server serves others meanwhile. The script answers 0 when it was not.
func (q *queue) untilSettled(ctx context.Context, op string, repeatable bool, script script, arguments ...any) ([]any, error) {
	for {
		answer, err := q.run(ctx, op, repeatable, script, arguments...)
		if err != nil || len(answer) != 1 || answer[0] != int64(0) {
			return answer, err
		}
	}
}

// Redrive moves dead letters back, in bites. What comes to the dead letter queue meanwhile stays.
func (q *queue) Redrive(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error) {
	left := int64(request.GetMaxMessages())
	if left == 0 {
		left = defaultRedrive
	}
	response := &queuev1.RedriveResponse{}
	behind, last := "0", ""
	for {
		answer, err := q.run(ctx, "redis.queue.Redrive", false, queueRedrive, request.GetDeadLetterQueue(), request.GetSourceQueue(), left, behind, last)
		if err != nil {
			return nil, err
		}
		moved := asNumber(answer[0])
		response.Moved += uint32(moved)
		left -= moved
		behind, last = asText(answer[1]), asText(answer[2])
		if asNumber(answer[3]) == 1 {
			return response, nil
		}
	}
}
