package fanout

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/ring"
)

// subscription is a live subscription. What waits for its subscriber is bounded; what comes beyond is counted where it would stand.
type subscription struct {
	Subscription
	stream *Stream
	index  int // in members

	// unread tells that there may be messages to be read.
	unread atomic.Bool

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

// offer lets a message wait for the subscriber, or counts it as missed. It waits for nobody.
func (s *subscription) offer(message *pubsubv1.Message, ordered bool) {
	if ordered && s.Read != nil {
		s.unread.Store(true)
		s.stream.Signal()
		return
	}
	if s.Filter != nil && !s.Filter.Matches(message.GetMetadata()) {
		return
	}
	s.mu.Lock()
	size := len(message.GetPayload())
	if s.waiting.Len() >= int(s.Buffer) || s.payload+size > maxBufferedPayload {
		s.missed++
	} else {
		s.waiting.Push(waiting{s.missed, message})
		s.payload += size
		s.missed = 0
	}
	s.mu.Unlock()
	s.stream.Signal()
}

// take returns what is to be sent next of what waits, if anything.
func (s *subscription) take() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	missed := &s.missed
	if s.waiting.Len() > 0 {
		missed = &s.waiting.At(0).missed
	}
	if count := *missed; count > 0 {
		*missed = 0
		return Event{Missed: &pubsubv1.Missed{Count: count}}, true
	}
	if s.waiting.Len() == 0 {
		return Event{}, false
	}
	message := s.waiting.Pop().message
	s.payload -= len(message.GetPayload())
	return Event{Message: message}, true
}

// next returns what is to be sent next. What waits and what is read take turns, so that neither waits for the other to be empty.
func (s *subscription) next() func(context.Context) (Event, bool, time.Duration, error) {
	if s.Read == nil {
		return func(context.Context) (Event, bool, time.Duration, error) {
			found, ok := s.take()
			return found, ok, 0, nil
		}
	}
	s.unread.Store(true)
	reads := true
	var asked time.Time
	return func(ctx context.Context) (Event, bool, time.Duration, error) {
		if reads = !reads; !reads {
			if found, ok := s.take(); ok {
				return found, true, 0, nil
			}
		}
		if s.unread.Swap(false) || time.Since(asked) >= readAgain {
			asked = time.Now()
			found, ok, err := s.Read(ctx)
			if ok || err != nil {
				s.unread.Store(true)
				return found, ok, 0, err
			}
		}
		found, ok := s.take()
		return found, ok, readAgain, nil
	}
}

// members are live subscriptions that hear of the same messages. Each knows its place, so that it leaves without a search.
type members []*subscription

func (m *members) add(s *subscription) {
	s.index = len(*m)
	*m = append(*m, s)
}

func (m *members) remove(s *subscription) {
	last := len(*m) - 1
	(*m)[s.index] = (*m)[last]
	(*m)[s.index].index = s.index
	(*m)[last] = nil
	*m = (*m)[:last]
	if last == 0 {
		*m = nil
	}
}
