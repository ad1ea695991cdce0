package nats

import "sync"

// maxSends is how many messages are remembered to have been sent. When there are more, one of them is forgotten, and its next delivery counts as the first.
const maxSends = 100_000

// sends counts how often this gateway has sent messages to durable subscriptions that are not settled. The server counts what it gave to a gateway, which may end before it sends it;
// this count is never more than what was sent, though it does not know what other gateways have sent.
type sends struct {
	mu     sync.Mutex
	counts map[sent]uint32
}

// sent names a message of a subscription.
type sent struct{ generation, sequence uint64 }

// of tells how often a message was sent.
func (s *sends) of(message sent) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[message]
}

// add counts one time more.
func (s *sends) add(message sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = make(map[sent]uint32)
	}
	if len(s.counts) >= maxSends && s.counts[message] == 0 {
		for other := range s.counts {
			delete(s.counts, other)
			break
		}
	}
	s.counts[message]++
}

// settled forgets a message.
func (s *sends) settled(message sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.counts, message); len(s.counts) == 0 {
		s.counts = nil // maps never shrink
	}
}
