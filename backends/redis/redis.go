// Package redis is not written yet.
package redis

import (
	"context"
	"errors"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	"github.com/prismgate/prism/runtime/backend"
)

// Store is an open instance.
type Store struct{}

// Open connects to the server.
func Open(_ context.Context, _ backend.Env, _ *backendsv1.Redis) (*Store, error) {
	return nil, errors.New("not written yet")
}

// Namespace returns the interfaces of a namespace.
func (s *Store) Namespace(_ context.Context, _ string) (backendsv1.RedisInterfaces, error) {
	return backendsv1.RedisInterfaces{}, errors.New("not written yet")
}

// Close ends the instance.
func (s *Store) Close(context.Context) error { return nil }
