package redis

import (
	"context"
	"sync/atomic"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

var _ backendsv1.RedisKeyValue = (*keyValue)(nil)

// aloneAfterLarge is how many Gets go alone after one has found a large value: where one is, others are.
const aloneAfterLarge = 64

// keyValue is the KeyValue model of one namespace. A value is a string of Redis, so that its time to live is Redis's own. The index is a sorted set with every key, all of the same score and so
// in the order of the bytes; it is written in one step with the value. It may have keys that have expired.
type keyValue struct {
	place *place
	name  string

	values string // what a value's key begins with; the caller's key follows as it is
	index  string
	open   string // the open transactions

	alone    atomic.Int32  // Gets that go alone
	expiring atomic.Uint32 // writes that gave a key a time to live
	sweeping atomic.Bool
}

func newKeyValue(p *place, name string) *keyValue {
	return &keyValue{place: p, name: name, values: p.key(name, "v") + ":", index: p.key(name, "i"), open: p.key(name, "o")}
}

// Set stores a value.
func (k *keyValue) Set(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	if _, err := k.write(ctx, &write{member: request.GetKey(), what: writeSet, value: request.GetValue()}); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetResponse{}, nil
}

// Get reads a value.
func (k *keyValue) Get(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	r, err := k.read(ctx, request.GetKey(), readValue)
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.GetResponse{Found: r.found, Value: []byte(r.value)}, nil
}

// Delete removes a key.
func (k *keyValue) Delete(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
	w, err := k.write(ctx, &write{member: request.GetKey(), what: writeDelete})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.DeleteResponse{Deleted: w.found}, nil
}

// Exists tells whether a key is there.
func (k *keyValue) Exists(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
	r, err := k.read(ctx, request.GetKey(), readExistence)
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.ExistsResponse{Exists: r.found}, nil
}

// read makes a call that reads, in company unless its value is likely to be large.
func (k *keyValue) read(ctx context.Context, key string, what readWhat) (*read, error) {
	r := &read{key: k.values + key, what: what}
	err := k.place.coalesced(ctx, true, func() error {
		if what == readValue && k.alone.Load() > 0 {
			k.alone.Add(-1)
			return outcome(k.place.read(ctx, []*read{r}), &r.err)
		}
		return outcome(k.place.lanes.reads.Do(ctx, r), &r.err)
	})
	if err != nil {
		return nil, err
	}
	if len(r.value) > maxShared {
		k.alone.Store(aloneAfterLarge)
	}
	return r, nil
}

// write makes a call that changes a key, in company unless its value is large.
func (k *keyValue) write(ctx context.Context, w *write) (*write, error) {
	w.key, w.index = k.values+w.member, k.index
	err := k.place.coalesced(ctx, false, func() error {
		if len(w.value) > maxShared {
			return outcome(k.place.write(ctx, []*write{w}), &w.err)
		}
		return outcome(k.place.lanes.writes.Do(ctx, w), &w.err)
	})
	if err != nil {
		return nil, err
	}
	if w.ttl > 0 {
		k.sweepSometimes()
	}
	return w, nil
}

// outcome is the error of a batch, or else the call's own, which is not looked at when the batch has failed: it may be under way.
func outcome(batch error, own *error) error {
	if batch != nil {
		return batch
	}
	return *own
}
