package redis

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prismgate/prism/runtime/fanout"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

var _ backendsv1.RedisPubSub = (*pubSub)(nil)

// defaultRetention is how long a topic keeps messages when the configuration does not say; the contract's least.
const defaultRetention = time.Hour

// pubSub is the PubSub model of one namespace. Messages travel on channels of the server; each is listened to once, whoever listens here. What is kept is on the server,
// lua/pubsub.lua says how.
type pubSub struct {
	place     *place
	name      string
	prefix    string                     // of all keys and channels of the namespace's topics
	keys      []string                   // what each script names that uses what is kept
	retention int64                      // in ms
	hub       atomic.Pointer[fanout.Hub] // nil until the key of tokens is known
}

func newPubSub(at *place, name string) *pubSub {
	p := &pubSub{place: at, name: name, prefix: at.key(name, "pubsub") + ":", retention: defaultRetention.Milliseconds()}
	if configured := at.config.GetTopicRetention(); configured != nil {
		p.retention = configured.AsDuration().Milliseconds()
	}
	p.keys = at.together(p.prefix)
	return p
}

// streams returns the hub of the streams. Its ids, like all others, are sealed under a key on the server: who has the hub, or a stream, can seal.
func (p *pubSub) streams(ctx context.Context) (*fanout.Hub, error) {
	if known := p.hub.Load(); known != nil {
		return known, nil
	}
	tokens, err := p.place.tokens(ctx)
	if err != nil {
		return nil, err
	}
	p.hub.CompareAndSwap(nil, fanout.New(p.name, tokens, p))
	return p.hub.Load(), nil
}

// serve serves a live subscription.
func (p *pubSub) serve(ctx context.Context, subscription fanout.Subscription, send func(fanout.Event) error) error {
	hub, err := p.streams(ctx)
	if err != nil {
		return err
	}
	return hub.Serve(ctx, subscription, send)
}

// run runs a script, whose answer may be nil.
func (p *pubSub) run(ctx context.Context, op string, repeatable bool, script script, arguments ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var answer any
	err := p.place.do(ctx, op, repeatable, func(ctx context.Context) error {
		value, err := p.place.eval(ctx, script, p.keys, append([]any{p.retention}, arguments...)...).Result()
		if isNil(err) {
			return nil
		}
		answer = value
		return err
	})
	return answer, err
}

// Publish sends a message to the live subscriptions of a topic.
func (p *pubSub) Publish(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
	if err := p.publish(ctx, "redis.pubsub.Publish", request.GetTopic(), request.GetPayload(), request.GetMetadata()); err != nil {
		return nil, err
	}
	return &pubsubv1.PublishResponse{}, nil
}

// publish sends a message that is kept nowhere.
func (p *pubSub) publish(ctx context.Context, op, topic string, payload []byte, metadata map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	head := append(append(make([]byte, 0, 2+len(topic)+len(payload)), passing), topic...)
	encoded, err := encodeMessage(append(head, ' '), &pubsubv1.Message{Payload: payload, Metadata: metadata})
	if err != nil {
		return err
	}
	return p.place.do(ctx, op, false, func(ctx context.Context) error {
		err := p.place.eval(ctx, pubsubPublish, []string{p.prefix}, topic, encoded).Err()
		if isNil(err) {
			return nil
		}
		return err
	})
}

// Subscribe streams the messages of a topic.
func (p *pubSub) Subscribe(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
	subscription := fanout.Subscription{Subject: fanout.Subject{Name: request.GetTopic()}, Buffer: request.GetBufferSize()}
	return p.serve(ctx, subscription, fanout.ToSubscribe(send))
}

// Unsubscribe ends a stream. One of a durable subscription is ended on the server, on whichever gateway it is.
func (p *pubSub) Unsubscribe(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ended, durable, err := p.identify(ctx, request.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	if len(durable) > 0 {
		number, stream, _ := strings.Cut(string(durable), " ")
		was, err := p.endDurable(ctx, "redis.pubsub.Unsubscribe", number, stream, request.GetForget(), false, "")
		if err != nil {
			return nil, err
		}
		ended = ended || was // the stream may have told the server first
	}
	return &pubsubv1.UnsubscribeResponse{Unsubscribed: ended}, nil
}

// identify ends the stream that an id names, if it is here, and returns what of the id is about a durable subscription. An id may be sealed under a key that is newer than the hub's, as place.open says.
func (p *pubSub) identify(ctx context.Context, id string) (ended bool, durable []byte, err error) {
	hub, err := p.streams(ctx)
	if err != nil {
		return false, nil, err
	}
	ended, durable, refusal := hub.Unsubscribe(id)
	if refusal == nil {
		return ended, durable, nil
	}
	now, err := p.place.readTokens(ctx)
	if err != nil {
		return false, nil, err
	}
	return fanout.New(p.name, now, p).Unsubscribe(id)
}

// hearing is the server's side of one subject for all who listen to it here.
type hearing struct {
	pubSub  *pubSub
	subject fanout.Subject
}

// Join has the server send the messages of a subject.
func (p *pubSub) Join(ctx context.Context, subject fanout.Subject, activate func()) error {
	return p.place.do(ctx, "redis.pubsub.subscribe", true, func(ctx context.Context) error {
		return p.place.listener.listen(ctx, p.channel(subject), hearing{p, subject}, activate)
	})
}

// Leave has the server send them no more.
func (p *pubSub) Leave(subject fanout.Subject) {
	p.place.listener.leave(p.channel(subject), hearing{p, subject})
}

// channel carries the messages of a subject. Those who listen by pattern hear all topics of the namespace and sort them out here: of a pattern of the server, a user with limited rights
// could not be given a part, its "*" is not a token, and all that is published on the server would be compared with it.
func (p *pubSub) channel(subject fanout.Subject) string {
	if subject.Pattern {
		return p.prefix + "a"
	}
	return p.prefix + "t:" + subject.Name
}

// hear gives what was published to the subscriptions.
func (h hearing) hear(_, payload string) {
	if h.subject.Pattern && !fanout.Match(h.subject.Name, publishedTopic(payload)) {
		return // it need not be decoded
	}
	message, ordered, ok := h.pubSub.decodePublished(payload)
	if ok { // else somebody else has published there
		h.pubSub.hub.Load().Deliver(h.subject, message, ordered)
	}
}

// lost ends the streams.
func (h hearing) lost(err error) { h.pubSub.hub.Load().End(err) }
