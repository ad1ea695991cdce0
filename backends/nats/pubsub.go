package nats

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/filter"
)

var _ backendsv1.NatsPubSub = (*pubSub)(nil)

// pubSub is the PubSub model of one namespace.
type pubSub struct {
	store *Store
	name  string
	token string
	hub   *fanout.Hub

	mu   sync.Mutex
	live map[fanout.Subject]*heard
}

func newPubSub(store *Store, name string) *pubSub {
	p := &pubSub{store: store, name: name, token: token(name)}
	p.hub = fanout.New(name, store.tokens, p)
	return p
}

// kept is the subject under which a topic keeps messages.
func (p *pubSub) kept(method, topic string) string {
	return p.store.subject(kindKept, method, p.token, topicTokens(topic))
}

// publication is a message on its way to live subscribers.
type publication struct {
	subject string
	data    []byte
}

// send sends messages, and returns when the server has taken them all.
func (s *Store) send(ctx context.Context, batch []*publication) error {
	return s.once(ctx, "nats.pubsub.Publish", func(ctx context.Context) error {
		return s.confirmed(ctx, func() error {
			for _, one := range batch {
				if err := s.conn.Publish(one.subject, one.data); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// confirmed returns when the server has taken what publish sends. An answer on another connection says nothing of what was sent on this one.
func (s *Store) confirmed(ctx context.Context, publish func() error) error {
	before := s.conn.Stats().Reconnects
	if err := publish(); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if s.conn.Stats().Reconnects != before {
		return nats.ErrDisconnected
	}
	return nil
}

// encode makes the payload of a message. Headers would not carry all metadata.
func encode(message *pubsubv1.Message) ([]byte, error) {
	data, err := proto.Marshal(message)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "nats.pubsub", "the message cannot be encoded")
	}
	return data, nil
}

// publish sends a message that is kept nowhere.
func (p *pubSub) publish(ctx context.Context, message *pubsubv1.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := encode(message)
	if err != nil {
		return err
	}
	one := &publication{subject: p.store.subject(kindLive, passing, p.token, topicTokens(message.GetTopic())), data: data}
	return p.store.breaker.Do(ctx, false, func(ctx context.Context) error { return p.store.publisher.Do(ctx, one) })
}

// keep keeps a message, which the server then sends to the live subscribers, and returns its id.
func (p *pubSub) keep(ctx context.Context, method string, message *pubsubv1.Message) (string, error) {
	data, err := encode(message)
	if err != nil {
		return "", err
	}
	sequence, err := p.store.keep(ctx, "nats.pubsub.Publish", false, p.kept(method, message.GetTopic()), data, 0, wherever)
	if err != nil {
		return "", err
	}
	return p.id(method, message.GetTopic(), sequence), nil
}

// id makes the id of a kept message.
func (p *pubSub) id(method, topic string, sequence uint64) string {
	return p.store.tokens.Seal(binary.BigEndian.AppendUint64(nil, sequence), p.name, "message", method, topic)
}

// decode makes a message of a kept one.
func (p *pubSub) decode(method string, data []byte, sequence uint64, at time.Time) (*pubsubv1.Message, error) {
	message := new(pubsubv1.Message)
	if err := proto.Unmarshal(data, message); err != nil {
		return nil, fault.Wrap(err, fault.DataLoss, "nats.pubsub", "a kept message cannot be read")
	}
	message.MessageId = p.id(method, message.GetTopic(), sequence)
	message.PublishTime = timestamppb.New(at.Truncate(time.Millisecond))
	return message, nil
}

// Publish sends a message to the live subscriptions of a topic.
func (p *pubSub) Publish(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
	err := p.publish(ctx, &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata()})
	if err != nil {
		return nil, err
	}
	return &pubsubv1.PublishResponse{}, nil
}

// PublishWithAttributes sends a message whose metadata are its attributes.
func (p *pubSub) PublishWithAttributes(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error) {
	err := p.publish(ctx, &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetAttributes()})
	if err != nil {
		return nil, err
	}
	return &pubsubv1.PublishWithAttributesResponse{}, nil
}

// Subscribe streams the messages of a topic.
func (p *pubSub) Subscribe(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
	asked := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize()}
	return p.hub.Serve(ctx, asked, fanout.ToSubscribe(send))
}

// SubscribeFiltered streams the messages of a topic that satisfy a filter.
func (p *pubSub) SubscribeFiltered(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
	matches, err := filter.Compile(request.GetFilter())
	if err != nil {
		return err
	}
	asked := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize(), Filter: matches}
	return p.hub.Serve(ctx, asked, fanout.ToFiltered(send))
}

// SubscribePattern streams the messages of all topics that match a pattern.
func (p *pubSub) SubscribePattern(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
	asked := fanout.Subscription{Subject: fanout.Subject{Name: request.GetPattern(), Pattern: true}, Buffer: request.GetBufferSize()}
	return p.hub.Serve(ctx, asked, fanout.ToPattern(send))
}

// Unsubscribe ends a stream. That of a durable subscription may be served by another gateway, which is asked then.
func (p *pubSub) Unsubscribe(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ended, durable, err := p.hub.Unsubscribe(request.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	if len(durable) > 0 {
		if ended, err = p.unsubscribeDurable(ctx, durable, ended, request.GetForget()); err != nil {
			return nil, err
		}
	}
	return &pubsubv1.UnsubscribeResponse{Unsubscribed: ended}, nil
}
