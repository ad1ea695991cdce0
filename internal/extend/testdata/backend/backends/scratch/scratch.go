// Package scratch is the smallest backend: one map behind one lock.
package scratch

import (
	"context"
	"sync"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/backend"
)

// Scratch is an open instance.
type Scratch struct{}

// Open opens an instance.
func Open(context.Context, backend.Env, *backendsv1.Scratch) (*Scratch, error) {
	return &Scratch{}, nil
}

// Namespace returns a new map.
func (*Scratch) Namespace(context.Context, string) (backendsv1.ScratchInterfaces, error) {
	return backendsv1.NewScratchInterfaces(&keyValue{values: map[string][]byte{}}), nil
}

// Close ends nothing.
func (*Scratch) Close(context.Context) error { return nil }

type keyValue struct {
	mu     sync.Mutex
	values map[string][]byte
}

var _ backendsv1.ScratchKeyValue = (*keyValue)(nil)

// Set stores a value.
func (k *keyValue) Set(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.values[request.GetKey()] = request.GetValue()
	return &keyvaluev1.SetResponse{}, nil
}

// Get reads a value.
func (k *keyValue) Get(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	value, found := k.values[request.GetKey()]
	return &keyvaluev1.GetResponse{Found: found, Value: value}, ctx.Err()
}

// Delete removes a key.
func (k *keyValue) Delete(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, found := k.values[request.GetKey()]
	delete(k.values, request.GetKey())
	return &keyvaluev1.DeleteResponse{Deleted: found}, nil
}

// Exists tells whether a key is there.
func (k *keyValue) Exists(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, found := k.values[request.GetKey()]
	return &keyvaluev1.ExistsResponse{Exists: found}, ctx.Err()
}
