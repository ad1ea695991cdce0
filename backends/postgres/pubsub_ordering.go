package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// SubscribeOrdered streams the messages of a topic. It reads the ordered ones where they are kept, at its subscriber's pace; the others wait in a buffer.
func (p *pubSub) SubscribeOrdered(ctx context.Context, request *pubsubv1.SubscribeOrderedRequest, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	reader := &orderedReader{pubSub: p, topic: request.GetTopic()}
	if id, ok := request.GetStart().(*pubsubv1.SubscribeOrderedRequest_StartAfterResumeId); ok {
		if reader.position, ok = p.position(request.GetTopic(), true, id.StartAfterResumeId); !ok {
			return fault.Invalid("start_after_resume_id", "was not issued for this topic; pass the resume_id of a message of this topic, unchanged")
		}
	} else {
		first, last, err := p.ends(ctx, request.GetTopic(), true)
		if err != nil {
			return err
		}
		reader.position = last
		if request.GetStartPoint() == pubsubv1.StartPoint_START_POINT_EARLIEST {
			reader.position = first
		}
	}
	asked := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize(), Read: reader.read}
	return p.hub.Serve(ctx, asked, fanout.ToOrdered(send))
}

// ends tells the positions before the first and of the last message that a topic keeps.
func (p *pubSub) ends(ctx context.Context, topic string, ordered bool) (first, last int64, err error) {
	err = p.store.do(ctx, "postgres.pubsub.ends", true, func(ctx context.Context) error {
		return p.store.pool.QueryRow(ctx, endsSQL, p.namespace, topic, ordered).Scan(&first, &last)
	})
	return first, last, err
}

// orderedReader is a place in a topic's order.
type orderedReader struct {
	pubSub   *pubSub
	topic    string
	position int64
	ahead    []keptMessage
}

// keptMessage is a message that a topic keeps, as statements return it.
type keptMessage struct {
	position  int64
	published time.Time
	content   []byte
}

func (m keptMessage) message(p *pubSub, topic string, ordered bool) (*pubsubv1.Message, error) {
	message := &pubsubv1.Message{}
	if err := proto.Unmarshal(m.content, message); err != nil {
		return nil, err
	}
	message.Topic, message.MessageId, message.PublishTime = topic, p.messageID(topic, ordered, m.position), timestamppb.New(m.published)
	return message, nil
}

// read returns the next message, or the Missed that stands for those that are not kept any more.
func (r *orderedReader) read(ctx context.Context) (fanout.Event, bool, error) {
	if len(r.ahead) == 0 {
		removed, err := r.fetch(ctx)
		if err != nil {
			return fanout.Event{}, false, err
		}
		if removed > r.position {
			r.position = removed
			return fanout.Event{Missed: &pubsubv1.Missed{}}, true, nil
		}
		if len(r.ahead) == 0 {
			return fanout.Event{}, false, nil
		}
	}
	next := r.ahead[0]
	r.ahead = r.ahead[1:]
	r.position = next.position
	message, err := next.message(r.pubSub, r.topic, true)
	return fanout.Event{Message: message, Resume: message.GetMessageId()}, err == nil, err
}

// fetch reads some messages ahead, and tells up to which position they are not kept any more.
func (r *orderedReader) fetch(ctx context.Context) (removed int64, err error) {
	p := r.pubSub
	err = p.store.do(ctx, "postgres.pubsub.SubscribeOrdered", true, func(ctx context.Context) error {
		r.ahead = nil
		rows, err := p.store.pool.Query(ctx, readSQL, p.namespace, r.topic, r.position)
		if err != nil {
			return err
		}
		var position *int64
		var published *time.Time
		var content []byte
		_, err = pgx.ForEachRow(rows, []any{&removed, &position, &published, &content}, func() error {
			if position != nil {
				r.ahead = append(r.ahead, keptMessage{*position, *published, content})
			}
			return nil
		})
		return err
	})
	if removed > r.position {
		r.ahead = nil
	}
	return removed, err
}
