package memstore

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

var _ backendsv1.MemStorePubSub = (*pubSub)(nil)

const (
	// defaultRetention is how long a topic keeps messages when the configuration does not say; the contract's least.
	defaultRetention = time.Hour
	// unknownSubscription is the reason that is given with FAILED_PRECONDITION.
	unknownSubscription = "SUBSCRIPTION_UNKNOWN"
)

// pubSub is the PubSub model of one namespace.
type pubSub struct {
	name      string
	clock     clock
	tokens    *backend.Tokens
	retention int64
	maxBytes  uint64 // of the kept messages of a topic

	topics   sync.Map // string to *topic; read without a lock
	patterns patterns
	sweeper  sweeper

	mu       sync.Mutex
	closed   bool
	last     uint64             // the last number given to a stream or a durable subscription
	streams  map[uint64]*stream // the open ones
	durables map[uint64]*durable
}

func newPubSub(store *Store, name string) *pubSub {
	p := &pubSub{
		name:      name,
		clock:     store.clock,
		tokens:    store.tokens,
		retention: int64(defaultRetention),
		maxBytes:  store.config.GetMaxTopicBytes(),
	}
	if configured := store.config.GetTopicRetention(); configured != nil {
		p.retention = int64(configured.AsDuration())
	}
	if p.maxBytes == 0 {
		p.maxBytes = math.MaxUint64
	}
	p.sweeper.init(p.clock, p.sweep)
	return p
}

func (p *pubSub) close() {
	p.mu.Lock()
	p.closed = true
	open := make([]uint64, 0, len(p.streams))
	for id := range p.streams {
		open = append(open, id)
	}
	p.mu.Unlock()
	for _, id := range open {
		p.end(id, errClosed())
	}
	p.sweeper.close()
}

func errClosed() error {
	return fault.New(fault.Unavailable, "the memstore was closed, and messages may be lost; subscribe again").WithOp("memstore.pubsub")
}

// Publish sends a message to the live subscriptions of a topic.
func (p *pubSub) Publish(ctx context.Context, request *pubsubv1.PublishRequest) (*pubsubv1.PublishResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.publish(request.GetTopic(), request.GetPayload(), request.GetMetadata())
	return &pubsubv1.PublishResponse{}, nil
}

// publish sends a message that is kept nowhere. It makes none when nobody listens.
func (p *pubSub) publish(topic string, payload []byte, metadata map[string]string) {
	t := p.find(topic)
	if t == nil && p.patterns.none() {
		return
	}
	p.offer(t, &pubsubv1.Message{Topic: topic, Payload: payload, Metadata: metadata}, false)
}

// offer gives a message to the live subscriptions of its topic. Those that read ordered messages where they are kept are told that there is one. t is nil when
// nobody listens to the topic by name.
func (p *pubSub) offer(t *topic, message *pubsubv1.Message, ordered bool) {
	if t != nil {
		t.mu.RLock()
		for _, s := range t.members {
			if ordered && s.reads {
				s.signal()
			} else {
				s.offer(message)
			}
		}
		t.mu.RUnlock()
	}
	p.patterns.offer(message)
}

// Subscribe streams the messages of a topic.
func (p *pubSub) Subscribe(ctx context.Context, request *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
	s := newSubscription(request.GetBufferSize(), nil)
	return p.listen(ctx, request.GetTopic(), s, func(e event) error {
		switch {
		case e.subscribed != nil:
			return send(&pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Subscribed{Subscribed: e.subscribed}})
		case e.missed != nil:
			return send(&pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Missed{Missed: e.missed}})
		}
		return send(&pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Message{Message: e.message}})
	})
}

// Unsubscribe ends a stream. What the id names besides the stream is a durable subscription, or nothing.
func (p *pubSub) Unsubscribe(ctx context.Context, request *pubsubv1.UnsubscribeRequest) (*pubsubv1.UnsubscribeResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	position, err := p.tokens.Open(request.GetSubscriptionId(), p.name, "subscription")
	if err != nil {
		return nil, fault.New(fault.FailedPrecondition,
			"subscription_id: was not issued in this namespace, or before the memstore was opened; pass the id of a Subscribed, unchanged").
			WithReason(unknownSubscription)
	}
	ended := p.end(binary.BigEndian.Uint64(position), nil)
	if request.GetForget() {
		p.forget(binary.BigEndian.Uint64(position[8:]))
	}
	return &pubsubv1.UnsubscribeResponse{Unsubscribed: ended}, nil
}

// register makes a stream known by an id, which its Subscribed carries. The stream must be active: the caller is told of the id next.
func (p *pubSub) register(s *stream) (*pubsubv1.Subscribed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed()
	}
	p.last++
	s.id = p.last
	if p.streams == nil {
		p.streams = make(map[uint64]*stream)
	}
	p.streams[s.id] = s
	position := binary.BigEndian.AppendUint64(nil, s.id)
	position = binary.BigEndian.AppendUint64(position, s.durable)
	return &pubsubv1.Subscribed{SubscriptionId: p.tokens.Seal(position, p.name, "subscription")}, nil
}

// end makes a stream inactive and tells it to return an error, or nil. It tells whether the stream was open.
func (p *pubSub) end(id uint64, err error) bool {
	p.mu.Lock()
	s, open := p.streams[id]
	delete(p.streams, id)
	if len(p.streams) == 0 {
		p.streams = nil // maps never shrink
	}
	p.mu.Unlock()
	if open {
		s.leave()
		s.finish(err)
	}
	return open
}
