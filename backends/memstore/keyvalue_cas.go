package memstore

import (
	"bytes"
	"context"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// CompareAndSwap stores a value if the key is as expected.
func (k *keyValue) CompareAndSwap(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	response, enough := k.tryCompareAndSwap(request)
	if !enough {
		k.sweep() // what has expired does not count
		response, enough = k.tryCompareAndSwap(request)
	}
	if !enough {
		return nil, k.quota.exceeded("memstore.keyvalue.CompareAndSwap")
	}
	return response, nil
}

// tryCompareAndSwap tells also whether there was room for the value.
func (k *keyValue) tryCompareAndSwap(request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, bool) {
	shard := k.shardOf(request.GetKey())
	shard.mu.Lock()
	defer shard.mu.Unlock()
	found, ok := shard.get(request.GetKey(), k.clock)
	// Whether an expectation is there is told by nil, in the request as in the generated message.
	if ok != (request.Expected != nil) || !bytes.Equal(found.value, request.GetExpected()) {
		return &keyvaluev1.CompareAndSwapResponse{Current: current(found, ok)}, true
	}
	if !k.quota.reserve(shard.growth(request.GetKey(), request.GetValue())) {
		return nil, false
	}
	shard.put(request.GetKey(), request.GetValue(), 0)
	return &keyvaluev1.CompareAndSwapResponse{Swapped: true, Current: current(entry{value: request.GetValue()}, true)}, true
}

// CompareAndDelete removes a key if its value is as expected.
func (k *keyValue) CompareAndDelete(ctx context.Context, request *keyvaluev1.CompareAndDeleteRequest) (*keyvaluev1.CompareAndDeleteResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	shard := k.shardOf(request.GetKey())
	shard.mu.Lock()
	defer shard.mu.Unlock()
	found, ok := shard.get(request.GetKey(), k.clock)
	if !ok || !bytes.Equal(found.value, request.GetExpected()) {
		return &keyvaluev1.CompareAndDeleteResponse{Current: current(found, ok)}, nil
	}
	k.quota.reserve(-shard.remove(request.GetKey()))
	return &keyvaluev1.CompareAndDeleteResponse{Deleted: true}, nil
}

// current is an entry as an optional field has it: nil is absence, so that an empty value must not be nil.
func current(found entry, ok bool) []byte {
	if ok && found.value == nil {
		return []byte{}
	}
	return found.value
}
