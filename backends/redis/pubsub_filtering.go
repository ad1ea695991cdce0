package redis

import (
	"context"

	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/filter"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// PublishWithAttributes sends a message whose metadata are its attributes.
func (p *pubSub) PublishWithAttributes(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error) {
	if err := p.publish(ctx, "redis.pubsub.PublishWithAttributes", request.GetTopic(), request.GetPayload(), request.GetAttributes()); err != nil {
		return nil, err
	}
	return &pubsubv1.PublishWithAttributesResponse{}, nil
}

// SubscribeFiltered streams the messages of a topic that satisfy a filter. The gateway evaluates it: the server sends it all messages of the topic.
func (p *pubSub) SubscribeFiltered(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
	matches, err := filter.Compile(request.GetFilter())
	if err != nil {
		return err
	}
	subscription := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize(), Filter: matches}
	return p.serve(ctx, subscription, fanout.ToFiltered(send))
}
