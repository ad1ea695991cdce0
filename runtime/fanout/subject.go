package fanout

import (
	"context"
	"sync"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// subject is a topic or pattern that somebody listens to.
type subject struct {
	// turn is taken by who joins or leaves on the server.
	turn chan struct{}
	// users is how many streams have come to it and not gone. The hub's lock guards it.
	users int

	mu      sync.RWMutex
	members members
}

func (s *subject) offer(message *pubsubv1.Message, ordered bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, member := range s.members {
		member.offer(message, ordered)
	}
}

// use returns a subject, made if it is not there, with one user more.
func (h *Hub) use(key Subject) *subject {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.subjects[key]
	if !ok {
		found = &subject{turn: make(chan struct{}, 1)}
		if h.subjects == nil {
			h.subjects = make(map[Subject]*subject)
		}
		h.subjects[key] = found
		if key.Pattern {
			h.patterns.add(key.Name, found)
		}
	}
	found.users++
	return found
}

// release undoes use. The last to go leaves on the server; who comes meanwhile waits for that and then joins.
func (h *Hub) release(key Subject, s *subject) {
	h.mu.Lock()
	if s.users > 1 {
		s.users--
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()

	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	h.mu.Lock()
	s.users--
	last := s.users == 0
	h.mu.Unlock()
	if !last {
		return
	}
	h.source.Leave(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.users > 0 || h.subjects[key] != s {
		return
	}
	delete(h.subjects, key)
	if len(h.subjects) == 0 {
		h.subjects = nil // maps never shrink
	}
	if key.Pattern {
		h.patterns.remove(key.Name)
	}
}

// join makes a subscription active, on the server too.
func (h *Hub) join(ctx context.Context, s *subject, joining *subscription) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return h.source.Join(ctx, joining.Subject, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if joining.index == idle { // else it has been ended, or was activated before
			s.members.add(joining)
		}
	})
}

// The places of a subscription that is not among the members.
const (
	idle = -1 - iota
	gone
)

// part takes a subscription out of its subject's members, for good.
func (s *subject) part(leaving *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if leaving.index >= 0 {
		s.members.remove(leaving)
	}
	leaving.index = gone
}
