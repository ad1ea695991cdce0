package redis

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// SetWithTTL stores a value that expires.
func (k *keyValue) SetWithTTL(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
	w := &write{member: request.GetKey(), what: writeSet, value: request.GetValue(), ttl: milliseconds(request.GetTtl())}
	if _, err := k.write(ctx, w); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetWithTTLResponse{}, nil
}

// Expire gives a key a time to live.
func (k *keyValue) Expire(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error) {
	w, err := k.write(ctx, &write{member: request.GetKey(), what: writeExpire, ttl: milliseconds(request.GetTtl())})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.ExpireResponse{Found: w.found}, nil
}

// GetTTL tells how long a key has still to live. In its last millisecond the server says 0 of a key that is still there.
func (k *keyValue) GetTTL(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error) {
	r, err := k.read(ctx, request.GetKey(), readTTL)
	if err != nil {
		return nil, err
	}
	if !r.found || r.left < 0 {
		return &keyvaluev1.GetTTLResponse{Found: r.found}, nil
	}
	return &keyvaluev1.GetTTLResponse{Found: true, Ttl: durationpb.New(time.Duration(max(r.left, 1)) * time.Millisecond)}, nil
}

// Persist takes a key's time to live away.
func (k *keyValue) Persist(ctx context.Context, request *keyvaluev1.PersistRequest) (*keyvaluev1.PersistResponse, error) {
	w, err := k.write(ctx, &write{member: request.GetKey(), what: writePersist})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.PersistResponse{Found: w.found, Persisted: w.persisted}, nil
}

// milliseconds rounds a positive duration up.
func milliseconds(d *durationpb.Duration) int64 {
	return int64((d.AsDuration() + time.Millisecond - 1) / time.Millisecond)
}
