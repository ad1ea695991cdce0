package postgres

import (
	"context"
	"encoding/binary"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fanout"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/filter"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

var _ backendsv1.PostgresPubSub = (*pubSub)(nil)

// defaultRetention is how long a topic keeps messages when the configuration does not say; the contract's least.
const defaultRetention = time.Hour

// pubSub is the PubSub model of one namespace. What is published goes to all gateways that listen to the namespace as a notification, and from there to their subscribers.
type pubSub struct {
	store     *Store
	namespace int32
	name      string // of the namespace, in tokens
	channel   string
	lock      int64 // of all its topics
	hub       *fanout.Hub
	live      *backend.Lane[publication]
	kept      *backend.Lane[publication]
	published atomic.Uint64 // how many messages were sent from here

	mu       sync.Mutex
	subjects map[fanout.Subject]struct{}            // that somebody listens to
	durables map[string]map[*durableStream]struct{} // by topic

	assembling assembly // of the listener's goroutine
}

func newPubSub(store *Store, namespace int32) *pubSub {
	number := strconv.Itoa(int(namespace))
	p := &pubSub{store: store, namespace: namespace, name: number, channel: store.channel(number), lock: store.lockKey(topicLocks, namespace)}
	p.hub = fanout.New(number, store.tokens, p)
	alone := func(*publication) string { return "" }
	p.live = backend.NewLane(store.ctx, store.env, "publish", store.config.GetCoalescing(), alone, p.sendAll)
	p.kept = backend.NewLane(store.ctx, store.env, "append", store.config.GetCoalescing(), alone, p.keepAll)
	store.listener.register(namespace, func(at *space) { at.pubSub = p })
	return p
}

// Join has the server send the namespace's messages, if it does not yet.
func (p *pubSub) Join(ctx context.Context, subject fanout.Subject, activate func()) error {
	p.mu.Lock()
	if p.subjects == nil {
		p.subjects = make(map[fanout.Subject]struct{})
	}
	p.subjects[subject] = struct{}{}
	p.mu.Unlock()
	return p.store.listener.join(ctx, p.channel, p, activate)
}

// Leave has the server not send the namespace's messages any more when nobody is left who listens.
func (p *pubSub) Leave(subject fanout.Subject) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.subjects, subject)
	if len(p.subjects) == 0 {
		p.subjects = nil // maps never shrink
		p.store.listener.leave(p.channel)
	}
}

// Publish sends a message to the live subscriptions of a topic.
func (p *pubSub) Publish(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetMetadata()}
	if err := p.publish(ctx, p.live, p.sendAll, &publication{message: message}); err != nil {
		return nil, err
	}
	return &pubsubv1.PublishResponse{}, nil
}

// PublishWithAttributes sends a message whose metadata are its attributes.
func (p *pubSub) PublishWithAttributes(ctx context.Context, request *pubsubv1.PublishWithAttributesRequest) (*pubsubv1.PublishWithAttributesResponse, error) {
	message := &pubsubv1.Message{Topic: request.GetTopic(), Payload: request.GetPayload(), Metadata: request.GetAttributes()}
	if err := p.publish(ctx, p.live, p.sendAll, &publication{message: message}); err != nil {
		return nil, err
	}
	return &pubsubv1.PublishWithAttributesResponse{}, nil
}

// Subscribe streams the messages of a topic.
func (p *pubSub) Subscribe(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
	asked := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize()}
	return p.hub.Serve(ctx, asked, fanout.ToSubscribe(send))
}

// SubscribePattern streams the messages of all topics that match a pattern.
func (p *pubSub) SubscribePattern(ctx context.Context, request *pubsubv1.SubscribePatternRequest, send func(*pubsubv1.SubscribePatternResponse) error) error {
	asked := fanout.Subscription{Subject: fanout.Subject{Name: request.GetPattern(), Pattern: true}, Buffer: request.GetBufferSize()}
	return p.hub.Serve(ctx, asked, fanout.ToPattern(send))
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

// Unsubscribe ends a stream that this gateway serves, and forgets the durable subscription that the id names if it shall.
func (p *pubSub) Unsubscribe(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ended, durable, err := p.hub.Unsubscribe(request.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	if len(durable) <= 8 {
		return &pubsubv1.UnsubscribeResponse{Unsubscribed: ended}, nil
	}
	id, gateway := int64(binary.BigEndian.Uint64(durable)), string(durable[8:]) //nolint:gosec // it was one
	switch {
	case request.GetForget():
		err = p.forget(ctx, id)
	case gateway != p.store.listener.instance:
		err = fault.New(fault.FailedPrecondition,
			"subscription_id: was issued by another gateway, or before this one was started; call Unsubscribe on the gateway that serves the stream, or cancel the stream").
			WithOp("postgres.pubsub.Unsubscribe").WithReason("SUBSCRIPTION_UNKNOWN")
	}
	if err != nil {
		return nil, err
	}
	return &pubsubv1.UnsubscribeResponse{Unsubscribed: ended}, nil
}

// forget removes a durable subscription, if it is there. Its streams end when they see that.
func (p *pubSub) forget(ctx context.Context, id int64) error {
	var topics []string
	err := p.store.do(ctx, "postgres.pubsub.Unsubscribe", true, func(ctx context.Context) error {
		rows, err := p.store.pool.Query(ctx, forgetSQL, p.namespace, id)
		if err != nil {
			return err
		}
		topics, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	for _, topic := range topics {
		p.announceTopic(topic)
	}
	return err
}

// announceTopic tells the streams of durable subscriptions that there may be something for them: here at once, on other gateways by the server.
func (p *pubSub) announceTopic(topic string) {
	p.wakeTopic(topic)
	p.store.bell.ring(wake{topicWake, p.namespace, topic})
}

func (p *pubSub) wakeTopic(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.durables[topic] {
		s.stream.Signal()
	}
}
