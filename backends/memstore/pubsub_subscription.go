package memstore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/prismgate/prism/runtime/filter"
	"github.com/prismgate/prism/runtime/ring"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// defaultBuffer is how many messages may wait for a subscriber that does not say; the contract's.
	defaultBuffer = 1024
	// maxBufferedPayload is how many bytes of payload may wait for a subscriber; the contract's.
	maxBufferedPayload = 16 << 20
)

// stream is what every subscription's stream has, live or durable.
type stream struct {
	id      uint64
	durable uint64 // the number of the durable subscription that it serves; 0 when it is a live one
	// wake holds a token when there may be something to do.
	wake chan struct{}
	// leave makes it inactive: no message comes to it any more. It is called once, and waits for no client.
	leave func()
	over  atomic.Pointer[outcome]
}

// outcome is what a stream that was ended returns.
type outcome struct{ err error }

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// finish tells a stream to return. The first to say so says what.
func (s *stream) finish(err error) {
	s.over.CompareAndSwap(nil, &outcome{err})
	s.signal()
}

// follow sends what next finds, until the stream is ended, its context ends or send fails.
func follow[E any](ctx context.Context, s *stream, next func() (E, bool), send func(E) error) error {
	for {
		if over := s.over.Load(); over != nil {
			return over.err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if found, ok := next(); ok {
			if err := send(found); err != nil {
				return err
			}
			continue
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

// event is one message of a live subscription's stream, whichever method it is of. One of the first three is set.
type event struct {
	subscribed *pubsubv1.Subscribed
	message    *pubsubv1.Message
	missed     *pubsubv1.Missed
	// resume is where to resume behind a message of PublishOrdered.
	resume string
}

// subscription is a live subscription. What waits for its subscriber is bounded; what comes beyond is counted where it would stand.
type subscription struct {
	stream
	limit  int            // of messages that wait
	filter *filter.Filter // nil: every message
	reads  bool           // it reads ordered messages where they are kept
	index  int            // in members

	mu      sync.Mutex
	waiting ring.Ring[waiting]
	payload int    // the bytes that wait
	missed  uint64 // how many were missed since the last that waits
}

// waiting is a message that waits for the subscriber.
type waiting struct {
	missed  uint64 // how many were missed just before it
	message *pubsubv1.Message
}

// newSubscription returns a subscription to whatever is offered to it and satisfies a filter.
func newSubscription(bufferSize uint32, matches *filter.Filter) *subscription {
	s := &subscription{limit: int(bufferSize), filter: matches}
	if s.limit == 0 {
		s.limit = defaultBuffer
	}
	s.wake = make(chan struct{}, 1)
	return s
}

// offer lets a message wait for the subscriber, or counts it as missed. It waits for nobody.
func (s *subscription) offer(message *pubsubv1.Message) {
	if s.filter != nil && !s.filter.Matches(message.GetMetadata()) {
		return
	}
	s.mu.Lock()
	size := len(message.GetPayload())
	if s.waiting.Len() >= s.limit || s.payload+size > maxBufferedPayload {
		s.missed++
	} else {
		s.waiting.Push(waiting{s.missed, message})
		s.payload += size
		s.missed = 0
	}
	s.mu.Unlock()
	s.signal()
}

// take returns what is to be sent next, if anything.
func (s *subscription) take() (event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	missed := &s.missed
	if s.waiting.Len() > 0 {
		missed = &s.waiting.At(0).missed
	}
	if count := *missed; count > 0 {
		*missed = 0
		return event{missed: &pubsubv1.Missed{Count: count}}, true
	}
	if s.waiting.Len() == 0 {
		return event{}, false
	}
	message := s.waiting.Pop().message
	s.payload -= len(message.GetPayload())
	return event{message: message}, true
}

// listen serves a live subscription to one topic.
func (p *pubSub) listen(ctx context.Context, topic string, s *subscription, send func(event) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.join(p.lock(topic), s)
	return p.serve(ctx, s, s.take, send)
}

// join makes a subscription active in a topic whose lock is held, and gives the lock back.
func (p *pubSub) join(t *topic, s *subscription) {
	t.members.add(s)
	p.unlock(t)
	s.leave = func() {
		t.mu.Lock()
		t.members.remove(s)
		p.unlock(t)
	}
}

// serve tells the subscriber that its subscription is active, and then sends what next finds. The subscription is inactive when it returns.
func (p *pubSub) serve(ctx context.Context, s *subscription, next func() (event, bool), send func(event) error) error {
	subscribed, err := p.register(&s.stream)
	if err != nil {
		s.leave()
		return err
	}
	defer p.end(s.id, nil)
	if err := send(event{subscribed: subscribed}); err != nil {
		return err
	}
	return follow(ctx, &s.stream, next, send)
}
