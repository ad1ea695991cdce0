package nats

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nats-io/nats.go"
)

// everyGateway is whom a note is for that is for all.
const everyGateway = "all"

// note is what one gateway tells others. One of the members is set.
type note struct {
	// Forgotten is the generation of a durable subscription that was forgotten: its streams end.
	Forgotten uint64 `json:"forgotten,omitempty"`
	// Settled is the number of a stream whose messages were acknowledged elsewhere: others may be sent.
	Settled uint64 `json:"settled,omitempty"`
	// Sequences are which.
	Sequences []uint64 `json:"sequences,omitempty"`
	// End is the number of a stream that shall end. It is answered.
	End uint64 `json:"end,omitempty"`
}

// ended is the answer to a note that asks for the end of a stream: whether it was open.
type ended struct {
	Ended bool `json:"ended"`
}

// hear begins to listen to the notes of other gateways, for as long as the instance is open.
func (s *Store) hear(ctx context.Context) error {
	for _, to := range []string{everyGateway, s.gateway} {
		if _, err := s.receiver.subscribe(s.subject(kindNote, to), s.heard); err != nil {
			return failed("nats.provision", err)
		}
	}
	return s.do(ctx, "nats.provision", true, s.flush)
}

// heard does what a note says. It must not wait.
func (s *Store) heard(m *nats.Msg) {
	var heard note
	if err := json.Unmarshal(m.Data, &heard); err != nil {
		return // no gateway writes such a note
	}
	switch {
	case heard.Forgotten != 0:
		s.endGeneration(heard.Forgotten)
	case heard.Settled != 0:
		if stream := s.durable(heard.Settled); stream != nil {
			stream.settle(heard.Sequences)
		}
	case heard.End != 0:
		go s.endFor(m, heard.End)
	}
}

// endFor ends a stream for another gateway.
func (s *Store) endFor(m *nats.Msg, number uint64) {
	var answer ended
	if stream := s.durable(number); stream != nil {
		answer.Ended = stream.stream.End(nil)
		stream.leave()
	}
	data, _ := json.Marshal(answer) // cannot fail
	_ = m.Respond(data)             // who asked is told by its timeout
}

// tell sends a note.
func (s *Store) tell(ctx context.Context, gateway string, told note) error {
	data, _ := json.Marshal(told) // cannot fail
	return s.do(ctx, "nats.pubsub", false, func(context.Context) error { return s.conn.Publish(s.subject(kindNote, gateway), data) })
}

// ask asks another gateway to end a stream. One that is not there any more has no streams.
func (s *Store) ask(ctx context.Context, gateway string, number uint64) (bool, error) {
	data, _ := json.Marshal(note{End: number}) // cannot fail
	var answer ended
	err := s.do(ctx, "nats.pubsub.Unsubscribe", true, func(ctx context.Context) error {
		reply, err := s.conn.RequestWithContext(ctx, s.subject(kindNote, gateway), data)
		if errors.Is(err, nats.ErrNoResponders) {
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(reply.Data, &answer)
	})
	return answer.Ended, err
}

// durable returns an open stream of a durable subscription, or nil.
func (s *Store) durable(number uint64) *durableStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durables[number]
}

// endGeneration ends all streams of a durable subscription with nil.
func (s *Store) endGeneration(generation uint64) {
	s.mu.Lock()
	var open []*durableStream
	for _, stream := range s.durables {
		if stream.record.Generation == generation {
			open = append(open, stream)
		}
	}
	s.mu.Unlock()
	for _, stream := range open {
		stream.stream.End(nil)
	}
}
