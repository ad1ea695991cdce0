package memstore

import (
	"context"
	"math"

	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// publishOrdered is what the ids of ordered messages are issued for. They are resume ids too.
const publishOrdered = "PublishOrdered"

// PublishOrdered appends a message to its topic's order, which is one for all keys.
func (p *pubSub) PublishOrdered(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey()}
	t := p.lock(request.GetTopic())
	if t.ordered == nil {
		t.ordered = newKeptLog(p.clock)
	}
	p.keep(t.ordered, publishOrdered, message)
	p.trimTopic(t, 0, math.MaxInt)
	p.unlock(t)
	p.offer(t, message, true)
	return &pubsubv1.PublishOrderedResponse{MessageId: message.GetMessageId()}, nil
}

// SubscribeOrdered streams the messages of a topic. It reads the ordered ones where they are kept, at its subscriber's pace; the others wait in a buffer.
func (p *pubSub) SubscribeOrdered(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := p.lock(request.GetTopic())
	if t.ordered == nil {
		t.ordered = newKeptLog(p.clock)
	}
	reader := orderedReader{topic: t, log: t.ordered}
	switch start := request.GetStart().(type) {
	case *pubsubv1.SubscribeOrderedRequest_StartAfterResumeId:
		offset, ok := p.offset(start.StartAfterResumeId, publishOrdered, t.name)
		if !ok {
			p.unlock(t)
			return fault.Invalid("start_after_resume_id",
				"was not issued for this topic, or before the memstore was opened; pass the resume_id of a message of this topic, unchanged")
		}
		reader.next = offset + 1
	default:
		reader.next = t.ordered.end()
		if request.GetStartPoint() == pubsubv1.StartPoint_START_POINT_EARLIEST {
			reader.next = t.ordered.first
		}
	}
	s := newSubscription(request.GetBufferSize(), nil)
	s.reads = true
	p.join(t, s)

	// The two sources take turns, so that neither waits for the other to be empty.
	first, second := s.take, reader.take
	next := func() (event, bool) {
		first, second = second, first
		if found, ok := first(); ok {
			return found, true
		}
		return second()
	}
	return p.serve(ctx, s, next, func(e event) error {
		switch {
		case e.subscribed != nil:
			return send(&pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Subscribed{Subscribed: e.subscribed}})
		case e.missed != nil:
			return send(&pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Missed{Missed: e.missed}})
		}
		message := &pubsubv1.OrderedMessage{Message: e.message, ResumeId: e.resume}
		return send(&pubsubv1.SubscribeOrderedResponse{Event: &pubsubv1.SubscribeOrderedResponse_Message{Message: message}})
	})
}

// orderedReader is a place in a topic's order.
type orderedReader struct {
	topic *topic
	log   *keptLog
	next  uint64
}

// take returns the next message, or the Missed that stands for those that are not kept any more.
func (r *orderedReader) take() (event, bool) {
	r.topic.mu.RLock()
	defer r.topic.mu.RUnlock()
	if r.next < r.log.first {
		r.next = r.log.first
		return event{missed: &pubsubv1.Missed{}}, true
	}
	if r.next == r.log.end() {
		return event{}, false
	}
	message := r.log.at(r.next).message
	r.next++
	return event{message: message, resume: message.GetMessageId()}, true
}
