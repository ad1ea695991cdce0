package nats

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// leave takes the stream out: the server sends it nothing more, and gives to others what it had not acknowledged. It returns when that is so, or the connection is lost.
func (s *durableStream) leave() {
	s.leaving.Do(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.store.ctx), leaveTimeout)
		defer cancel()
		s.mu.Lock()
		s.left = true
		s.progress.Stop()
		if s.arrived != nil {
			s.returned = append(s.returned, s.arrived)
		}
		pulling := !s.pulling.IsZero()
		answered := s.settleQuestions()
		s.mu.Unlock()
		select {
		case <-answered:
		case <-s.store.link.current().Done():
		case <-ctx.Done():
		}
		if pulling && s.sub.Drain() == nil && s.store.flush(ctx) == nil {
			_ = s.store.receiver.mark(ctx, func() {}) // what was on its way has come
		}
		if open := s.open(); pulling && len(open) > 0 && !s.store.direct() {
			// The server that leads the consumer hears from the one of this connection that nobody listens, and of this in the same way. The question below may take another.
			_, _ = s.store.conn.RequestWithContext(ctx, open[0].reply, ackProgress)
		}
		if s.store.conn.IsConnected() {
			// The next stream should know up to which time nothing was missed. And when the server is asked about the consumer it drops questions that nobody waits for any more; else it
			// would take what is given back first for this one, and put it behind the rest.
			_ = s.watch.look(ctx, s.durable)
		}
		s.store.receiver.forget(s.sub)
		_ = s.sub.Unsubscribe() // fails when it is drained, or the connection closed
		s.store.mu.Lock()
		delete(s.store.durables, s.number)
		s.store.mu.Unlock()
		s.giveBack(ctx, s.open())
	})
}

// settleQuestions returns a channel that is closed when what the server gives to questions of before has come. With several replicas it looks whether somebody listens before the others have noted
// what it sends, and it takes a question up when it comes to it: the answer to one more tells that it has. The lock is held.
func (s *durableStream) settleQuestions() chan struct{} {
	answered := make(chan struct{})
	if s.store.direct() || s.pulling.IsZero() || s.arrived != nil {
		close(answered)
		return answered
	}
	s.answered, s.owed = answered, 1
	if !s.atOnce() {
		s.owed = 2
		s.asked++
		_ = s.store.conn.PublishRequest(s.nextSubject(), s.question(), pullAtOnce) // when it is lost, so is the connection
	}
	return answered
}

// settleQuestion notes an answer that came after the stream was left. A refusal is of the last question. The lock is held.
func (s *durableStream) settleQuestion(refused bool) {
	if s.owed--; s.answered != nil && (refused || s.owed == 0) {
		close(s.answered)
		s.answered = nil
	}
}

// open returns what is not settled, in the order of the stream.
func (s *durableStream) open() []*delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*delivery
	for _, waiting := range s.window {
		if time.Since(waiting.given) < s.timeout() { // else the server may have given it to another already
			found = append(found, waiting)
		}
	}
	for _, m := range s.returned {
		if kept, err := m.Metadata(); err == nil && m.Header.Get("Status") == "" && time.Since(m.at) < s.timeout() {
			found = append(found, &delivery{sequence: kept.Sequence.Stream, reply: m.Reply, given: m.at})
		}
	}
	slices.SortFunc(found, func(a, b *delivery) int { return cmp.Compare(a.sequence, b.sequence) })
	return found
}

// giveBack lets messages come again at once. It returns when the server has done so. Where the connection is lost they are given back when there is one again, but for one that the server
// may have heard of: it may be another stream's by then. When there is no time left to wait they are given back all the same.
func (s *durableStream) giveBack(ctx context.Context, deliveries []*delivery) {
	for i, d := range deliveries {
		var err error
		if i < len(deliveries)-1 || ctx.Err() != nil {
			err = s.store.conn.Publish(d.reply, ackNak)
		} else {
			_, err = s.store.conn.RequestWithContext(ctx, d.reply, ackNak)
		}
		if errors.Is(err, nats.ErrReconnectBufExceeded) { // it was not sent
			s.store.mu.Lock()
			for _, late := range deliveries[i:] {
				late.deadline = late.given.Add(s.timeout())
				s.store.unsettled = append(s.store.unsettled, *late)
			}
			s.store.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// giveBackLate gives back what could not be while the connection was lost.
func (s *Store) giveBackLate() {
	s.mu.Lock()
	late := s.unsettled
	s.unsettled = nil
	s.mu.Unlock()
	for _, d := range late {
		if time.Now().Before(d.deadline) {
			_ = s.conn.Publish(d.reply, ackNak) // else it comes when its time has passed
		}
	}
}

// streamID is what the subscription id of a durable subscription's stream carries.
type streamID struct {
	generation, number uint64
	hash, gateway      string
}

// hashSize is the length of what hash returns.
const hashSize = 43

func (id streamID) encode() []byte {
	encoded := binary.BigEndian.AppendUint64(nil, id.generation)
	encoded = binary.BigEndian.AppendUint64(encoded, id.number)
	return append(append(encoded, id.hash...), id.gateway...)
}

func decodeStreamID(encoded []byte) streamID {
	return streamID{binary.BigEndian.Uint64(encoded), binary.BigEndian.Uint64(encoded[8:]), string(encoded[16 : 16+hashSize]), string(encoded[16+hashSize:])}
}

// unsubscribeDurable completes what the hub has begun with the id of a durable subscription's stream.
func (p *pubSub) unsubscribeDurable(ctx context.Context, encoded []byte, ended, forget bool) (bool, error) {
	id := decodeStreamID(encoded)
	switch {
	case id.gateway != p.store.gateway:
		var err error
		if ended, err = p.store.ask(ctx, id.gateway, id.number); err != nil {
			return false, err
		}
	default:
		if stream := p.store.durable(id.number); stream != nil {
			stream.leave()
		}
	}
	if !forget {
		return ended, nil
	}
	d := &durable{pubSub: p, hash: id.hash}
	return ended, d.forget(ctx, id.generation)
}
