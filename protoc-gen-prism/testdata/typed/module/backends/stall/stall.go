// Package stall is a backend of one interface.
package stall

import (
	"context"

	backendsv1 "example.org/shop/gen/shop/backends/v1"
	shelfv1 "example.org/shop/gen/shop/shelf/v1"

	"github.com/prismgate/prism/runtime/backend"
)

// Stall is an open stall.
type Stall struct{}

// Open opens the stall.
func Open(context.Context, backend.Env, *backendsv1.Stall) (Stall, error) { return Stall{}, nil }

// Namespace returns the stall, which keeps nothing.
func (Stall) Namespace(context.Context, string) (backendsv1.StallInterfaces, error) {
	return backendsv1.NewStallInterfaces(shelf{}), nil
}

// Close closes the stall.
func (Stall) Close(context.Context) error { return nil }

type shelf struct{}

func (shelf) Put(context.Context, *shelfv1.PutRequest) (*shelfv1.PutResponse, error) {
	return &shelfv1.PutResponse{}, nil
}
