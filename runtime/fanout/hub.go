package fanout

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// MaxDurable is how many bytes of its own a backend can put into the id of a durable subscription's stream.
	MaxDurable = 128
	// unknownSubscription is the reason that is given with FAILED_PRECONDITION.
	unknownSubscription = "SUBSCRIPTION_UNKNOWN"
	// idSize is what every subscription id holds: which hub issued it, and the stream's number there.
	idSize = 16
)

// Hub holds the open streams of one namespace on one gateway. One that nobody listens to takes a few hundred bytes.
type Hub struct {
	namespace string
	tokens    *backend.Tokens
	source    Source
	number    uint64 // which hub it is, among those of all gateways

	mu       sync.RWMutex
	closed   error // why it opens no streams any more
	last     uint64
	streams  map[uint64]*Stream
	subjects map[Subject]*subject
	patterns patterns
}

// New returns the hub of a namespace. The tokens' key is the same on every gateway.
func New(namespace string, tokens *backend.Tokens, source Source) *Hub {
	return &Hub{namespace: namespace, tokens: tokens, source: source, number: rand.Uint64()} //nolint:gosec // a name, no secret: ids are sealed
}

// Serve serves a live subscription until it ends. It returns what the stream is to end with.
func (h *Hub) Serve(ctx context.Context, asked Subscription, send func(Event) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if asked.Buffer == 0 {
		asked.Buffer = defaultBuffer
	}
	s := &subscription{Subscription: asked, index: idle}
	subject := h.use(asked.Subject)
	defer h.release(asked.Subject, subject)
	stream, err := h.open(nil, func(stream *Stream) {
		s.stream = stream
		stream.leave = func() { subject.part(s) }
	})
	if err != nil {
		return err
	}
	defer stream.End(nil)
	if err := h.join(ctx, subject, s); err != nil {
		return stream.failed(err)
	}
	if err := send(Event{Subscribed: &pubsubv1.Subscribed{SubscriptionId: stream.ID()}}); err != nil {
		return err
	}
	return Follow(ctx, stream, s.next(), send)
}

// Deliver gives a message to the live subscriptions of one subject. One that its pattern does not match is left out, so that a server may send more than what was asked for. What is
// ordered can also be read by those who read.
func (h *Hub) Deliver(to Subject, message *pubsubv1.Message, ordered bool) {
	if to.Pattern && !Match(to.Name, message.GetTopic()) {
		return
	}
	h.mu.RLock()
	found := h.subjects[to]
	h.mu.RUnlock()
	if found != nil {
		found.offer(message, ordered)
	}
}

// Publish gives a message to all live subscriptions of its topic, and to those whose pattern it matches.
func (h *Hub) Publish(message *pubsubv1.Message, ordered bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if found := h.subjects[Subject{Name: message.GetTopic()}]; found != nil {
		found.offer(message, ordered)
	}
	h.patterns.offer(message.GetTopic(), func(s *subject) { s.offer(message, ordered) })
}

// Open opens a stream that is not a live subscription's. Its id carries what the backend says of the durable subscription, at most MaxDurable bytes and at least one.
func (h *Hub) Open(durable []byte) (*Stream, error) { return h.open(durable, func(*Stream) {}) }

func (h *Hub) open(durable []byte, prepare func(*Stream)) (*Stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed != nil {
		return nil, h.closed
	}
	h.last++
	s := &Stream{hub: h, number: h.last, wake: make(chan struct{}, 1)}
	position := binary.BigEndian.AppendUint64(make([]byte, 0, idSize+len(durable)), h.number)
	position = binary.BigEndian.AppendUint64(position, s.number)
	s.id = h.tokens.Seal(append(position, durable...), h.namespace, "subscription")
	prepare(s)
	if h.streams == nil {
		h.streams = make(map[uint64]*Stream)
	}
	h.streams[s.number] = s
	return s, nil
}

// Unsubscribe ends the stream that an id names, with nil. It tells whether the stream was open here, and what Open was given, for a live subscription nothing. An id of a live
// subscription that another gateway serves or served, and what is no id of this namespace, are FAILED_PRECONDITION; of a durable one the backend can say more.
func (h *Hub) Unsubscribe(id string) (ended bool, durable []byte, err error) {
	position, err := h.tokens.Open(id, h.namespace, "subscription")
	if err != nil || len(position) < idSize {
		return false, nil, fault.New(fault.FailedPrecondition, "subscription_id: was not issued in this namespace; pass the id of a Subscribed, unchanged").
			WithReason(unknownSubscription)
	}
	durable = position[idSize:]
	if binary.BigEndian.Uint64(position) == h.number {
		return h.end(binary.BigEndian.Uint64(position[8:]), nil), durable, nil
	}
	if len(durable) == 0 {
		return false, nil, fault.New(fault.FailedPrecondition,
			"subscription_id: was issued by another gateway, or before this one was started; call Unsubscribe on the gateway that serves the stream, or cancel the stream").
			WithReason(unknownSubscription)
	}
	return false, durable, nil
}

// end makes a stream inactive and tells it to return.
func (h *Hub) end(number uint64, err error) bool {
	h.mu.Lock()
	s, open := h.streams[number]
	delete(h.streams, number)
	if len(h.streams) == 0 {
		h.streams = nil // maps never shrink
	}
	h.mu.Unlock()
	if open {
		if s.leave != nil {
			s.leave()
		}
		s.finish(err)
	}
	return open
}

// End ends every stream that is open with an error: the connection is lost.
func (h *Hub) End(err error) {
	h.mu.RLock()
	open := make([]uint64, 0, len(h.streams))
	for number := range h.streams {
		open = append(open, number)
	}
	h.mu.RUnlock()
	for _, number := range open {
		h.end(number, err)
	}
}

// Close ends every stream with an error, and opens no more.
func (h *Hub) Close(err error) {
	h.mu.Lock()
	h.closed = err
	h.mu.Unlock()
	h.End(err)
}

// Match tells whether a topic matches a pattern of the contract's grammar.
func Match(pattern, topic string) bool {
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		got, topicRest, topicMore := strings.Cut(topic, ".")
		switch {
		case want == ">" && !patternMore:
			return true
		case want != "*" && want != got, patternMore != topicMore:
			return false
		case !patternMore:
			return true
		}
		pattern, topic = patternRest, topicRest
	}
}
