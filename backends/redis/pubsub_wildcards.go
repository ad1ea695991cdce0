package redis

import (
	"context"

	"github.com/prismgate/prism/runtime/fanout"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// SubscribePattern streams the messages of all topics that match a pattern.
func (p *pubSub) SubscribePattern(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
	subscription := fanout.Subscription{Subject: fanout.Subject{Name: request.GetPattern(), Pattern: true}, Buffer: request.GetBufferSize()}
	return p.serve(ctx, subscription, fanout.ToPattern(send))
}
