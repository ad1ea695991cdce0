package postgres

import (
	"context"
	"encoding/binary"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

var _ backendsv1.PostgresKeyValue = (*keyValue)(nil)

// maxShared is the largest value that travels with those of other calls: a larger one would hold them up.
const maxShared = 64 << 10

// keyValue is the KeyValue model of one namespace.
type keyValue struct {
	store     *Store
	namespace int32
}

func newKeyValue(store *Store, namespace int32) *keyValue {
	return &keyValue{store: store, namespace: namespace}
}

// Set stores a value.
func (k *keyValue) Set(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	if err := k.set(ctx, "postgres.keyvalue.Set", request.GetKey(), request.GetValue(), 0); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetResponse{}, nil
}

// Get reads a value.
func (k *keyValue) Get(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	call, err := k.read(ctx, "postgres.keyvalue.Get", request.GetKey(), true)
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.GetResponse{Found: call.found, Value: call.value}, nil
}

// Exists looks for a key.
func (k *keyValue) Exists(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
	call, err := k.read(ctx, "postgres.keyvalue.Exists", request.GetKey(), false)
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.ExistsResponse{Exists: call.found}, nil
}

// Delete removes a key.
func (k *keyValue) Delete(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
	call := &deleteCall{row: k.row(request.GetKey())}
	err := k.store.together(ctx, "postgres.keyvalue.Delete", false, func(ctx context.Context) error {
		return outcome(k.store.lanes.deletes.Do(ctx, call), &call.err)
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.DeleteResponse{Deleted: call.deleted}, nil
}

// set stores a value; a ttl of 0 means that it does not expire. op is for the log.
func (k *keyValue) set(ctx context.Context, op, key string, value []byte, ttl int64) error {
	call := &setCall{row: k.row(key), value: present(value), ttl: ttl}
	return k.store.together(ctx, op, false, func(ctx context.Context) error {
		if len(value) > maxShared {
			return k.store.setRows(ctx, []*setCall{call})
		}
		return outcome(k.store.lanes.sets.Do(ctx, call), &call.err)
	})
}

// read looks a key up, alone or with others. A large value is left out in company, and then asked for again.
func (k *keyValue) read(ctx context.Context, op, key string, wanted bool) (*readCall, error) {
	call := &readCall{row: k.row(key), wanted: wanted}
	err := k.store.together(ctx, op, true, func(ctx context.Context) error {
		if err := k.store.lanes.reads.Do(ctx, call); err != nil || !call.left {
			return err
		}
		return k.store.readRows(ctx, []*readCall{call})
	})
	return call, err
}

func (k *keyValue) row(key string) row {
	return row{namespace: k.namespace, key: []byte(key)}
}

// row names a row of the table kv.
type row struct {
	namespace int32
	key       octets
}

// id is the row's name as one string, in the order of the rows.
func (r row) id() string {
	id := make([]byte, 4, 4+len(r.key))
	binary.BigEndian.PutUint32(id, uint32(r.namespace)) //nolint:gosec // identities are positive
	return string(append(id, r.key...))
}

// outcome is the error of a call in a batch: the batch's, or its own.
func outcome(batch error, own *error) error {
	if batch != nil {
		return batch // the call may be under way still, and must not be looked at
	}
	return *own
}

// present is a value as a column has it that is never null.
func present(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
