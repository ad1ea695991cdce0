package memstore

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// SetWithTTL stores a value that expires.
func (k *keyValue) SetWithTTL(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.set("memstore.keyvalue.SetWithTTL", request.GetKey(), request.GetValue(), nanoseconds(request.GetTtl())); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetWithTTLResponse{}, nil
}

// Expire gives a key a time to live.
func (k *keyValue) Expire(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	key := request.GetKey()
	shard := k.shardOf(key)
	shard.mu.Lock()
	found, ok := shard.get(key, k.clock)
	if !ok {
		shard.mu.Unlock()
		return &keyvaluev1.ExpireResponse{}, nil
	}
	deadline := k.clock.now() + nanoseconds(request.GetTtl())
	shard.setDeadline(key, found, deadline)
	shard.mu.Unlock()
	k.sweeper.wake(deadline)
	return &keyvaluev1.ExpireResponse{Found: true}, nil
}

// GetTTL tells how long a key has still to live.
func (k *keyValue) GetTTL(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	deadline, found := k.deadline(request.GetKey())
	if deadline == 0 {
		return &keyvaluev1.GetTTLResponse{Found: found}, nil
	}
	left := deadline - k.clock.now()
	if left <= 0 { // it has expired since it was looked at
		return &keyvaluev1.GetTTLResponse{}, nil
	}
	return &keyvaluev1.GetTTLResponse{Found: true, Ttl: durationpb.New(wholeMilliseconds(time.Duration(left)))}, nil
}

// deadline returns when a key expires, 0 when it does not, and whether it is there.
func (k *keyValue) deadline(key string) (int64, bool) {
	shard := k.shardOf(key)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	found, ok := shard.get(key, k.clock)
	if !ok || found.timer == nil {
		return 0, ok
	}
	return found.timer.deadline, true
}

// Persist takes a key's time to live away.
func (k *keyValue) Persist(ctx context.Context, request *keyvaluev1.PersistRequest) (*keyvaluev1.PersistResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	shard := k.shardOf(request.GetKey())
	shard.mu.Lock()
	defer shard.mu.Unlock()
	found, ok := shard.get(request.GetKey(), k.clock)
	if !ok {
		return &keyvaluev1.PersistResponse{}, nil
	}
	shard.setDeadline(request.GetKey(), found, 0)
	return &keyvaluev1.PersistResponse{Found: true, Persisted: found.timer != nil}, nil
}

// nanoseconds returns a time to live, rounded up to whole milliseconds as the contract has it.
func nanoseconds(ttl *durationpb.Duration) int64 {
	return int64(wholeMilliseconds(ttl.AsDuration()))
}

// wholeMilliseconds rounds a positive duration up to whole milliseconds.
func wholeMilliseconds(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}
