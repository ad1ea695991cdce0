package nats

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"
)

// PublishOrdered appends a message to its topic's order, which is one for all keys.
func (p *pubSub) PublishOrdered(ctx context.Context, request *pubsubv1.PublishOrderedRequest) (*pubsubv1.PublishOrderedResponse, error) {
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey()}
	id, err := p.keep(ctx, ordered, message)
	if err != nil {
		return nil, err
	}
	return &pubsubv1.PublishOrderedResponse{MessageId: id}, nil
}

// SubscribeOrdered streams the messages of a topic. It reads the ordered ones where they are kept, at its subscriber's pace; the others wait in a buffer.
func (p *pubSub) SubscribeOrdered(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &orderedReader{pubSub: p, topic: request.GetTopic(), subject: p.kept(ordered, request.GetTopic())}
	switch start := request.GetStart().(type) {
	case *pubsubv1.SubscribeOrderedRequest_StartAfterResumeId:
		if err := r.resume(start.StartAfterResumeId); err != nil {
			return err
		}
	default:
		r.latest = request.GetStartPoint() != pubsubv1.StartPoint_START_POINT_EARLIEST
		r.next = 1
	}
	asked := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize(), Read: r.read}
	defer r.exit()
	// The end of the order is looked up when the subscription is active and before its caller is told so: what is published then comes.
	return p.hub.Serve(ctx, asked, fanout.ToOrdered(func(response *pubsubv1.SubscribeOrderedResponse) error {
		if response.GetSubscribed() != nil {
			if err := r.begin(ctx); err != nil {
				return err
			}
		}
		return send(response)
	}))
}

// orderedReader is a place in a topic's order.
type orderedReader struct {
	*pubSub
	topic, subject string
	latest         bool // it begins behind the last message
	resumes        bool // it has read nothing yet, and begins where another stream was
	next           uint64
	// known is a time, by the server's clock, up to which nothing was missed. Only what was kept before the retention's begin can be gone; zero is before all.
	known time.Time
	ahead []*jetstream.RawStreamMsg
	// drained tells that it has read everything there was.
	drained bool
	// came is the sequence of the first message that came since the reader asked; the lock of pubSub guards it.
	came uint64
}

// resume puts the reader behind the message of a resume id, which says when it was kept too.
func (r *orderedReader) resume(id string) error {
	position, err := r.store.tokens.Open(id, r.name, "resume", r.topic)
	if err != nil {
		return fault.Invalid("start_after_resume_id", "was not issued for this topic; pass the resume_id of a message of this topic, unchanged")
	}
	r.next, r.resumes = binary.BigEndian.Uint64(position)+1, true
	r.known = time.UnixMilli(int64(binary.BigEndian.Uint64(position[8:]))) //nolint:gosec // it was one
	return nil
}

// begin looks up where the reader begins.
func (r *orderedReader) begin(ctx context.Context) error {
	r.enter()
	now, err := r.store.clock.now(ctx)
	if err != nil {
		return err
	}
	if r.resumes {
		return nil
	}
	r.known = now
	if !r.latest {
		return nil
	}
	last, err := r.store.last(ctx, "nats.pubsub.SubscribeOrdered", r.store.topics, r.subject)
	if err == nil && last != nil {
		r.next = last.Sequence + 1
	}
	return err
}

// read returns the next message, or the Missed that stands for those that are not kept any more.
func (r *orderedReader) read(ctx context.Context) (fanout.Event, bool, error) {
	if len(r.ahead) == 0 {
		missed, err := r.fill(ctx)
		if missed || err != nil {
			return fanout.Event{Missed: &pubsubv1.Missed{}}, missed && err == nil, err
		}
		if len(r.ahead) == 0 {
			return fanout.Event{}, false, nil
		}
	}
	kept := r.ahead[0]
	r.ahead[0], r.ahead = nil, r.ahead[1:]
	r.next, r.known = kept.Sequence+1, kept.Time
	message, err := r.decode(ordered, kept.Data, kept.Sequence, kept.Time)
	if err != nil {
		return fanout.Event{}, false, err
	}
	position := binary.BigEndian.AppendUint64(nil, kept.Sequence)
	position = binary.BigEndian.AppendUint64(position, uint64(kept.Time.UnixMilli())) //nolint:gosec // it is after 1970
	return fanout.Event{Message: message, Resume: r.store.tokens.Seal(position, r.name, "resume", r.topic)}, true, nil
}

// fill reads ahead. It tells whether messages may be gone that should have come before.
func (r *orderedReader) fill(ctx context.Context) (missed bool, err error) {
	now, err := r.store.clock.now(ctx)
	if err != nil {
		return false, err
	}
	// Who has read everything knows which message is next: the first that has come since, if one has. It is not read from there on, because the news of one before it may be lost.
	came, next := r.arrived(), r.next
	if r.drained {
		if came == 0 {
			r.known = now
		}
		next = max(next, came)
	}
	if now.Sub(r.known) >= r.store.retention {
		r.known = now.Add(-r.store.retention) // what is gone now is told now
		first, err := r.store.firstKept(ctx)
		if err != nil {
			return false, err
		}
		if first > next {
			r.next, r.drained = first, false
			return true, nil
		}
	}
	r.ahead, _, err = r.store.read(ctx, "nats.pubsub.SubscribeOrdered", r.store.topics, r.subject, r.next)
	if r.drained = err == nil && len(r.ahead) == 0; r.drained && now.After(r.known) {
		r.known = now
	}
	return false, err
}

// firstKept returns the sequence that everything kept in topics has or is behind of.
func (s *Store) firstKept(ctx context.Context) (uint64, error) {
	var first uint64
	err := s.do(ctx, "nats.pubsub", true, func(ctx context.Context) error {
		info, err := s.topics.Info(ctx)
		if err == nil {
			first = info.State.FirstSeq
		}
		return err
	})
	return first, err
}
