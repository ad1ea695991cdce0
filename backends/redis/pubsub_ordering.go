package redis

import (
	"context"

	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// readMost and readBytes bound what a stream reads of the kept messages at once.
	readMost, readBytes = 100, 1 << 20
)

// PublishOrdered appends a message to its topic's order, which is one for all keys.
func (p *pubSub) PublishOrdered(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error) {
	id, err := p.keep(ctx, "redis.pubsub.PublishOrdered", ordered, request.GetTopic(), &pubsubv1.Message{
		Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey(),
	})
	if err != nil {
		return nil, err
	}
	return &pubsubv1.PublishOrderedResponse{MessageId: id}, nil
}

// keep has a topic keep a message, and sends it to the live subscriptions, in one step.
func (p *pubSub) keep(ctx context.Context, op string, kind byte, topic string, message *pubsubv1.Message) (string, error) {
	encoded, err := encodeMessage(nil, message)
	if err != nil {
		return "", err
	}
	if _, err := p.place.tokens(ctx); err != nil { // what is kept must have an id
		return "", err
	}
	id, err := p.run(ctx, op, false, pubsubKeep, string(kind), topic, encoded)
	if err != nil {
		return "", err
	}
	return p.messageID(kind, topic, asText(id)), nil
}

// SubscribeOrdered streams the messages of a topic. The ordered ones are read where they are kept, at the subscriber's pace.
func (p *pubSub) SubscribeOrdered(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
	reader := orderedReader{pubSub: p, topic: request.GetTopic()}
	start := "latest"
	if request.GetStartPoint() == pubsubv1.StartPoint_START_POINT_EARLIEST {
		start = "earliest"
	}
	if resume, ok := request.GetStart().(*pubsubv1.SubscribeOrderedRequest_StartAfterResumeId); ok {
		var err error
		if start, ok, err = p.serverID(ctx, ordered, request.GetTopic(), resume.StartAfterResumeId); err != nil {
			return err
		} else if !ok {
			return fault.Invalid("start_after_resume_id", "was not issued for this topic; pass the resume_id of a message of this topic, unchanged")
		}
	}
	place, err := p.run(ctx, "redis.pubsub.SubscribeOrdered", true, pubsubPlace, request.GetTopic(), start)
	if err != nil {
		return err
	}
	if reader.behind = asText(place); reader.behind == "" {
		reader.behind, reader.missed = start, true
	}
	subscription := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize(), Read: reader.read}
	return p.serve(ctx, subscription, fanout.ToOrdered(send))
}

// orderedReader is a place in a topic's order.
type orderedReader struct {
	pubSub *pubSub
	topic  string
	behind string // the id of the last message that was read
	missed bool   // messages behind it are not kept any more
	ahead  []any  // ids and messages that were read already
}

// read returns the next message, or the Missed that stands for those that are not kept any more.
func (r *orderedReader) read(ctx context.Context) (fanout.Event, bool, error) {
	const op = "redis.pubsub.SubscribeOrdered"
	if !r.missed && len(r.ahead) == 0 {
		answer, err := r.pubSub.run(ctx, op, true, pubsubRead, r.topic, r.behind, readMost, readBytes)
		if err != nil {
			return fanout.Event{}, false, err
		}
		found, _ := answer.([]any)
		if removed := asText(found[0]); removed != "" {
			r.behind, r.missed = removed, true
		}
		r.ahead = found[1:]
	}
	if r.missed {
		r.missed = false
		return fanout.Event{Missed: &pubsubv1.Missed{}}, true, nil
	}
	if len(r.ahead) == 0 {
		return fanout.Event{}, false, nil
	}
	r.behind = asText(r.ahead[0])
	message, ok := r.pubSub.decodeKept(ordered, r.topic, r.behind, asText(r.ahead[1]))
	if !ok {
		return fanout.Event{}, false, errForeignMessage(op)
	}
	r.ahead = r.ahead[2:]
	return fanout.Event{Message: message, Resume: message.GetMessageId()}, true, nil
}
