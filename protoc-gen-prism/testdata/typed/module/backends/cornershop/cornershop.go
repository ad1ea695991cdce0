// Package cornershop is a backend of two data models, as an author writes it.
package cornershop

import (
	"context"
	"sync"

	backendsv1 "example.org/shop/gen/shop/backends/v1"

	"github.com/prismgate/prism/runtime/backend"
)

// Shop is an open corner shop.
type Shop struct {
	mu     sync.Mutex
	rooms  map[string]*Room
	Closed bool
}

// Open opens the shop.
func Open(context.Context, backend.Env, *backendsv1.CornerShop) (*Shop, error) {
	return &Shop{rooms: map[string]*Room{}}, nil
}

// Namespace returns the room of that name.
func (s *Shop) Namespace(_ context.Context, name string) (backendsv1.CornerShopInterfaces, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room, ok := s.rooms[name]
	if !ok {
		room = &Room{}
		s.rooms[name] = room
	}
	return backendsv1.NewCornerShopInterfaces(&shelf{room}, &till{room}), nil
}

// Close closes the shop.
func (s *Shop) Close(context.Context) error {
	s.Closed = true
	return nil
}

// Room is what a namespace holds.
type Room struct {
	mu    sync.Mutex
	goods []string
}

// NewRoom returns an empty room and its interfaces.
func NewRoom() (*Room, backendsv1.CornerShopInterfaces) {
	room := &Room{}
	return room, backendsv1.NewCornerShopInterfaces(&shelf{room}, &till{room})
}

// Goods are the names that the implementation was called with.
func (r *Room) Goods() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.goods
}
