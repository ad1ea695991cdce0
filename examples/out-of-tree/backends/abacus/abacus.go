// Package abacus counts in memory: a backend outside Prism's repository.
package abacus

import (
	"context"
	"sync"

	backendsv1 "example.com/acme/gen/acme/backends/v1"
	counterv1 "example.com/acme/gen/acme/counter/v1"

	"github.com/prismgate/prism/runtime/backend"
)

// Abacus is an open instance.
type Abacus struct {
	start uint64

	mu         sync.Mutex
	namespaces map[string]*counter
}

// Open opens an abacus.
func Open(_ context.Context, _ backend.Env, config *backendsv1.Abacus) (*Abacus, error) {
	return &Abacus{start: config.GetStart(), namespaces: map[string]*counter{}}, nil
}

// Namespace returns the counters of a namespace.
func (a *Abacus) Namespace(_ context.Context, name string) (backendsv1.AbacusInterfaces, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.namespaces[name] == nil {
		a.namespaces[name] = &counter{start: a.start, values: map[string]uint64{}}
	}
	return backendsv1.NewAbacusInterfaces(a.namespaces[name]), nil
}

// Close ends the instance; there is nothing to end.
func (a *Abacus) Close(context.Context) error { return nil }

type counter struct {
	start  uint64
	mu     sync.Mutex
	values map[string]uint64
}

var _ backendsv1.AbacusCounter = (*counter)(nil)

func (c *counter) Increment(_ context.Context, request *counterv1.IncrementRequest) (*counterv1.IncrementResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.values[request.GetName()]
	if !ok {
		value = c.start
	}
	value += uint64(request.GetBy())
	c.values[request.GetName()] = value
	return &counterv1.IncrementResponse{Value: value}, nil
}
