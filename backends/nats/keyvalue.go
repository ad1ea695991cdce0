package nats

import (
	"context"
	"math/rand/v2"
	"time"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/fault"
)

var _ backendsv1.NatsKeyValue = (*keyValue)(nil)

const (
	// removedTTL is how long the server keeps the mark of a removed key at least: longer than it takes by default to write to the disk that what was there before is gone.
	removedTTL = 5 * time.Minute
	// conflictPause is the longest pause after the first of several conflicts.
	conflictPause = time.Millisecond
	// conflictPauses bounds how often that doubles.
	conflictPauses = 5
)

// keyValue is the KeyValue model of one namespace. Concurrent calls share the connection, whose writes and reads carry many of them at once.
type keyValue struct {
	store *Store
	name  string
	token string
}

func newKeyValue(store *Store, name string) *keyValue {
	return &keyValue{store: store, name: name, token: token(name)}
}

func (k *keyValue) subject(key string) string { return k.store.subject(kindKeys, k.token, token(key)) }

// load reads what is there under a key, and tells whether it is there for callers: removed and expired entries are not. Their sequence counts all the same.
func (k *keyValue) load(ctx context.Context, op, key string) (entry, bool, error) {
	message, err := k.store.last(ctx, op, k.store.keys, k.subject(key))
	if err != nil || message == nil {
		return entry{}, false, err
	}
	found, err := decodeEntry(message)
	if err != nil {
		return entry{}, false, failed(op, err)
	}
	if found.key != key {
		return entry{}, false, fault.New(fault.DataLoss, "what is kept under the key is another key's").WithOp(op)
	}
	there, err := k.alive(ctx, &found)
	return found, there, err
}

// alive tells whether an entry is there for callers.
func (k *keyValue) alive(ctx context.Context, e *entry) (bool, error) {
	if e.removed || e.ttl == 0 {
		return !e.removed, nil
	}
	now, err := k.store.clock.now(ctx)
	return err == nil && e.left(now) > 0, err
}

// set keeps a value, whatever is there. It is not repeated: what was sent on a connection that was lost since may come to the server after the repetition, and after what others write then.
func (k *keyValue) set(ctx context.Context, op, key string, value []byte, ttl time.Duration) error {
	made := entry{key: key, value: value, ttl: ttl}
	_, err := k.store.keep(ctx, op, false, k.subject(key), made.encode(), ttl, wherever)
	return err
}

// change reads an entry and replaces it by what decide makes of it, in one step: when somebody else was faster it begins again. Decide returns nil to change nothing.
func (k *keyValue) change(ctx context.Context, op, key string, repeatable bool, decide func(found *entry, there bool) *entry) error {
	for conflicts := 0; ; conflicts++ {
		found, there, err := k.load(ctx, op, key)
		if err != nil {
			return err
		}
		made := decide(&found, there)
		if made == nil {
			return nil
		}
		made.key = key
		ttl := made.ttl
		if made.removed {
			ttl = removedTTL
		}
		_, err = k.store.keep(ctx, op, repeatable, k.subject(key), made.encode(), ttl, found.sequence)
		if !isConflict(err) {
			return err
		}
		if err := pause(ctx, rand.N(conflictPause<<min(conflicts, conflictPauses))); err != nil { //nolint:gosec // jitter
			return err
		}
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Set stores a value.
func (k *keyValue) Set(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	if err := k.set(ctx, "nats.keyvalue.Set", request.GetKey(), request.GetValue(), 0); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetResponse{}, nil
}

// Get reads a value.
func (k *keyValue) Get(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	found, there, err := k.load(ctx, "nats.keyvalue.Get", request.GetKey())
	if err != nil || !there {
		return &keyvaluev1.GetResponse{}, err
	}
	return &keyvaluev1.GetResponse{Found: true, Value: found.value}, nil
}

// Delete removes a key. It leaves a mark for a while, which is a message as durable as the value was.
func (k *keyValue) Delete(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
	deleted := false
	err := k.change(ctx, "nats.keyvalue.Delete", request.GetKey(), false, func(_ *entry, there bool) *entry {
		if deleted = there; !there {
			return nil
		}
		return &entry{removed: true}
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.DeleteResponse{Deleted: deleted}, nil
}

// Exists tells whether a key is there.
func (k *keyValue) Exists(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
	_, there, err := k.load(ctx, "nats.keyvalue.Exists", request.GetKey())
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.ExistsResponse{Exists: there}, nil
}
