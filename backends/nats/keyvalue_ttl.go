package nats

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// Expire gives a key a time to live. It writes the value again.
func (k *keyValue) Expire(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error) {
	found := false
	err := k.change(ctx, "nats.keyvalue.Expire", request.GetKey(), true, func(is *entry, there bool) *entry {
		if found = there; !there {
			return nil
		}
		return &entry{value: is.value, ttl: ceil(request.GetTtl())}
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.ExpireResponse{Found: found}, nil
}

// GetTTL tells how long a key has still to live.
func (k *keyValue) GetTTL(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error) {
	found, there, err := k.load(ctx, "nats.keyvalue.GetTTL", request.GetKey())
	if err != nil || !there {
		return &keyvaluev1.GetTTLResponse{}, err
	}
	if found.ttl == 0 {
		return &keyvaluev1.GetTTLResponse{Found: true}, nil
	}
	now, err := k.store.clock.now(ctx)
	if err != nil {
		return nil, err
	}
	left := ceil(durationpb.New(found.left(now)))
	if left <= 0 { // since load has looked
		return &keyvaluev1.GetTTLResponse{}, nil
	}
	return &keyvaluev1.GetTTLResponse{Found: true, Ttl: durationpb.New(left)}, nil
}

// Persist takes a key's time to live away. It writes the value again.
func (k *keyValue) Persist(ctx context.Context, request *keyvaluev1.PersistRequest) (*keyvaluev1.PersistResponse, error) {
	response := &keyvaluev1.PersistResponse{}
	err := k.change(ctx, "nats.keyvalue.Persist", request.GetKey(), false, func(found *entry, there bool) *entry {
		response = &keyvaluev1.PersistResponse{Found: there, Persisted: there && found.ttl > 0}
		if !response.GetPersisted() {
			return nil
		}
		return &entry{value: found.value}
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// SetWithTTL stores a value with a time to live.
func (k *keyValue) SetWithTTL(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
	if err := k.set(ctx, "nats.keyvalue.SetWithTTL", request.GetKey(), request.GetValue(), ceil(request.GetTtl())); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetWithTTLResponse{}, nil
}

// ceil rounds a duration up to whole milliseconds.
func ceil(d *durationpb.Duration) time.Duration {
	return (d.AsDuration() + time.Millisecond - 1).Truncate(time.Millisecond)
}
