package redis

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prismgate/prism/runtime/fanout"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

const (
	// largestBatch is how many messages a stream takes from the server at once when its subscriber is quick, quickBatch how quick it is then.
	largestBatch, quickBatch = 64, 20 * time.Millisecond
	// holdAgain is how often a stream tells the server that it is still about to send what it has taken. Untold, the server gives it to others after 10 s.
	holdAgain = 3 * time.Second
)

// delivery is one sending of a message; without an id, of a Missed.
type delivery struct {
	id, serial, message string
	count               uint32
}

// durableStream is one stream of a durable subscription. It takes messages from the server a batch at a time. What it has sent, it tells when it takes the next: only then does the
// time of their acknowledgements begin, and are they counted as sent.
type durableStream struct {
	pubSub              *pubSub
	topic, name, number string // of the durable subscription
	key                 string // its own
	window              int    // how many messages may await acknowledgement
	stream              *fanout.Stream

	batch  int // how many to take next
	full   bool
	begun  time.Time
	ahead  []delivery // taken, not sent
	missed bool       // a Missed is being sent

	mu    sync.Mutex // held while the server is asked, and for what follows
	sent  []string   // ids and serials that the server does not know to be sent
	left  int        // how many are taken and not sent
	timer *time.Timer
	over  bool
}

// hear is told that there may be something to take.
func (s *durableStream) hear(string, string) { s.stream.Signal() }

// lost ends the stream.
func (s *durableStream) lost(err error) { s.stream.End(err) }

// next returns what is to be sent next.
func (s *durableStream) next(ctx context.Context) (delivery, bool, time.Duration, error) {
	if len(s.ahead) == 0 {
		again, err := s.take(ctx)
		if err != nil || len(s.ahead) == 0 {
			return delivery{}, false, again, err
		}
	}
	first := s.ahead[0]
	s.ahead = s.ahead[1:]
	return first, true, 0, nil
}

// take takes a batch from the server, or tells when to try again. A subscriber that reads slowly has one message taken for it and leaves the others to other streams.
func (s *durableStream) take(ctx context.Context) (time.Duration, error) {
	switch {
	case time.Since(s.begun) > quickBatch:
		s.batch = 1
	case s.full:
		s.batch = min(2*s.batch, largestBatch)
	}
	answer, err := s.ask(ctx, s.batch)
	if err != nil {
		return 0, err
	}
	s.begun, s.full = time.Now(), false
	switch asText(answer[0]) {
	case "gone":
		s.stream.End(nil)
	case "missed":
		s.ahead = []delivery{{}}
	case "some":
		for at := 1; at < len(answer); at += 4 {
			s.ahead = append(s.ahead, delivery{asText(answer[at]), asText(answer[at+2]), asText(answer[at+3]), uint32(asNumber(answer[at+1]))})
		}
		s.full = len(s.ahead) == s.batch
		s.hold(ctx)
	default:
		return askAgain(asNumber(answer[1])), nil
	}
	return 0, nil
}

// ask tells the server what was sent and takes so many messages.
func (s *durableStream) ask(ctx context.Context, most int) ([]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.askLocked(ctx, most)
}

func (s *durableStream) askLocked(ctx context.Context, most int) ([]any, error) {
	answer, err := s.pubSub.run(ctx, "redis.pubsub.SubscribeDurable", false, pubsubTake,
		s.topic, s.name, s.number, s.key, s.window, most, strings.Join(s.sent, " "))
	if err != nil {
		return nil, err
	}
	s.sent = nil
	list, _ := answer.([]any)
	return list, nil
}

// hold tells the server from time to time, until all is sent, that what was taken is still about to be.
func (s *durableStream) hold(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = len(s.ahead)
	if s.timer != nil {
		s.timer.Reset(holdAgain)
		return
	}
	ctx = context.WithoutCancel(ctx)
	s.timer = time.AfterFunc(holdAgain, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.over || s.left == 0 {
			return
		}
		_, _ = s.askLocked(ctx, 0) // should it fail, the next call on the server fails too, and ends the stream
		s.timer.Reset(holdAgain)
	})
}

// send sends a delivery.
func (s *durableStream) send(d delivery, send func(*pubsubv1.SubscribeDurableResponse) error) error {
	if d.id == "" {
		s.missed = true
		if err := send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Missed{Missed: &pubsubv1.Missed{}}}); err != nil {
			return err
		}
		s.missed = false
		return nil
	}
	message, ok := s.pubSub.decodeKept(persistent, s.topic, d.id, d.message)
	if !ok {
		return errForeignMessage("redis.pubsub.SubscribeDurable")
	}
	delivered := &pubsubv1.DurableMessage{Message: message, Receipt: s.pubSub.receipt(s, d), DeliveryCount: d.count}
	if err := send(&pubsubv1.SubscribeDurableResponse{Event: &pubsubv1.SubscribeDurableResponse_Message{Message: delivered}}); err != nil {
		return err
	}
	s.mu.Lock()
	s.sent = append(s.sent, d.id, d.serial)
	s.left--
	s.mu.Unlock()
	return nil
}

// close gives back what was not acknowledged. When the server does not answer, it comes to know by the time that passes.
func (s *durableStream) close(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
	missed := s.missed || len(s.ahead) > 0 && s.ahead[0].id == ""
	_, _ = s.pubSub.endDurable(context.WithoutCancel(ctx), "redis.pubsub.SubscribeDurable", s.number, s.key, false, missed, strings.Join(s.sent, " "))
}
