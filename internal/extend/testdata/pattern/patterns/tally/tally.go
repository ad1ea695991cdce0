// Package tally is a pattern that decorates a slot and has a service of its own.
package tally

import (
	"context"
	"sync/atomic"

	"github.com/prismgate/prism/gen/go/prism/patterns/v1/patternsrpc"
	"github.com/prismgate/prism/runtime/pattern"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

// Tally is open.
type Tally struct {
	patternsrpc.TallyOffers
}

// Open opens it.
func Open(_ context.Context, _ pattern.Env, config *patternsv1.Tally, slots patternsv1.TallySlots) (*Tally, error) {
	counted := &keyValue{Basic: slots.Target.KeyValueBasic}
	counted.count.Store(config.GetFirst())
	offered := *slots.Target.Interfaces
	offered.KeyValueBasic = counted
	return &Tally{patternsrpc.NewTallyOffers(&offered, service{counted})}, nil
}

// Close ends nothing.
func (*Tally) Close(context.Context) error { return nil }

// keyValue counts.
type keyValue struct {
	keyvaluev1.Basic
	count atomic.Uint32
}

// Set counts and stores.
func (k *keyValue) Set(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	k.count.Add(1)
	return k.Basic.Set(ctx, request)
}

type service struct{ counted *keyValue }

// Tell tells how often Set was called.
func (s service) Tell(_ context.Context, request *patternsv1.TellRequest) (*patternsv1.TellResponse, error) {
	return &patternsv1.TellResponse{Count: s.counted.count.Load() * request.GetTimes()}, nil
}
