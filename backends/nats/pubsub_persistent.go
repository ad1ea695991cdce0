package nats

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// defaultAcknowledgementTimeout is how long an acknowledgement is awaited when a subscription does not say; the contract's.
	defaultAcknowledgementTimeout = 30 * time.Second
	// defaultMaxUnacknowledged is how many messages of a stream may await acknowledgement when it does not say; the contract's.
	defaultMaxUnacknowledged = 1000
)

// PublishPersistent keeps a message, which the server sends to live subscriptions too.
func (p *pubSub) PublishPersistent(ctx context.Context, request *pubsubv1.PublishPersistentRequest) (*pubsubv1.PublishPersistentResponse, error) {
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata(), OrderingKey: request.GetOrderingKey()}
	id, err := p.keep(ctx, persistent, message)
	if err != nil {
		return nil, err
	}
	return &pubsubv1.PublishPersistentResponse{MessageId: id}, nil
}

// GetLastMessageID tells the newest kept message of a topic.
func (p *pubSub) GetLastMessageID(ctx context.Context, request *pubsubv1.GetLastMessageIDRequest) (*pubsubv1.GetLastMessageIDResponse, error) {
	last, err := p.store.last(ctx, "nats.pubsub.GetLastMessageID", p.store.topics, p.kept(persistent, request.GetTopic()))
	if err != nil || last == nil {
		return &pubsubv1.GetLastMessageIDResponse{}, err
	}
	return &pubsubv1.GetLastMessageIDResponse{
		Found: true, MessageId: p.id(persistent, request.GetTopic(), last.Sequence), PublishTime: timestamppb.New(last.Time.Truncate(time.Millisecond)),
	}, nil
}
