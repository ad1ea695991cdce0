package memstore

import (
	"context"

	"github.com/prismgate/prism/runtime/filter"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// PublishWithAttributes sends a message whose metadata are its attributes.
func (p *pubSub) PublishWithAttributes(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.publish(request.GetTopic(), request.GetPayload(), request.GetAttributes())
	return &pubsubv1.PublishWithAttributesResponse{}, nil
}

// SubscribeFiltered streams the messages of a topic that satisfy a filter. Publishers evaluate it: what is left out takes no place in the buffer.
func (p *pubSub) SubscribeFiltered(ctx context.Context, request *pubsubv1.SubscribeFilteredRequest, send func(*pubsubv1.SubscribeFilteredResponse) error) error {
	matches, err := filter.Compile(request.GetFilter())
	if err != nil {
		return err
	}
	s := newSubscription(request.GetBufferSize(), matches)
	return p.listen(ctx, request.GetTopic(), s, func(e event) error {
		switch {
		case e.subscribed != nil:
			return send(&pubsubv1.SubscribeFilteredResponse{Event: &pubsubv1.SubscribeFilteredResponse_Subscribed{Subscribed: e.subscribed}})
		case e.missed != nil:
			return send(&pubsubv1.SubscribeFilteredResponse{Event: &pubsubv1.SubscribeFilteredResponse_Missed{Missed: e.missed}})
		}
		return send(&pubsubv1.SubscribeFilteredResponse{Event: &pubsubv1.SubscribeFilteredResponse_Message{Message: e.message}})
	})
}
