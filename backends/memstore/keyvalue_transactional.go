package memstore

import (
	"bytes"
	"context"
	"time"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// defaultTimeout is how long a transaction lives when the caller does not say; the contract's.
const defaultTimeout = 30 * time.Second

// BeginTransaction opens a transaction.
func (k *keyValue) BeginTransaction(ctx context.Context, request *keyvaluev1.BeginTransactionRequest) (*keyvaluev1.BeginTransactionResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	timeout := defaultTimeout
	if request.GetTimeout() != nil {
		timeout = request.GetTimeout().AsDuration()
	}
	handle, err := k.transactions.begin(timeout)
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.BeginTransactionResponse{Transaction: handle}, nil
}

// SetInTransaction notes a value to write.
func (k *keyValue) SetInTransaction(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := k.transactions.within(request.GetTransaction(), func(t *transaction) error {
		done, err := t.access(request.GetKey())
		if err != nil {
			return err
		}
		if err := k.transactions.buffer(t, len(request.GetValue()), len(done.value)); err != nil {
			return err
		}
		done.write, done.value = writeValue, request.GetValue()
		t.note(request.GetKey(), done)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.SetInTransactionResponse{}, nil
}

// GetInTransaction reads what the transaction sees.
func (k *keyValue) GetInTransaction(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	response := &keyvaluev1.GetInTransactionResponse{}
	err := k.transactions.within(request.GetTransaction(), func(t *transaction) error {
		done, err := t.access(request.GetKey())
		if err != nil {
			return err
		}
		if done.write == writeNothing && !done.read {
			done.read = true
			done.seen, done.found = k.get(request.GetKey())
			t.note(request.GetKey(), done)
		}
		switch done.write {
		case writeNothing:
			response.Found, response.Value = done.found, done.seen
		case writeValue:
			response.Found, response.Value = true, done.value
		case writeDelete:
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// DeleteInTransaction notes a key to remove.
func (k *keyValue) DeleteInTransaction(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := k.transactions.within(request.GetTransaction(), func(t *transaction) error {
		done, err := t.access(request.GetKey())
		if err != nil {
			return err
		}
		if err := k.transactions.buffer(t, 0, len(done.value)); err != nil {
			return err
		}
		done.write, done.value = writeDelete, nil
		t.note(request.GetKey(), done)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.DeleteInTransactionResponse{}, nil
}

// Commit ends a transaction and applies it if what it has read still holds.
func (k *keyValue) Commit(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := k.transactions.within(request.GetTransaction(), func(t *transaction) error {
		keys := t.keys
		k.transactions.forget(request.GetTransaction(), t)
		enough, err := k.tryApply(keys)
		if enough || err != nil {
			return err
		}
		k.sweep() // what has expired does not count
		enough, err = k.tryApply(keys)
		if enough || err != nil {
			return err
		}
		return k.quota.exceeded("memstore.keyvalue.Commit")
	})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.CommitResponse{}, nil
}

// Rollback ends a transaction.
func (k *keyValue) Rollback(ctx context.Context, request *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.transactions.end(request.GetTransaction())
	return &keyvaluev1.RollbackResponse{}, nil
}

// tryApply validates and applies a transaction in one step: it holds the locks of all shards that the transaction touches, taken in the order of the shards,
// so that two commits never wait for each other. It tells also whether there was room for the values; if not, nothing is applied.
func (k *keyValue) tryApply(keys map[string]access) (enough bool, err error) {
	type use struct{ reads, writes bool }
	var uses [shardCount]use
	for key, done := range keys {
		used := &uses[k.index(key)]
		used.reads = used.reads || done.read
		used.writes = used.writes || done.write != writeNothing
	}
	for i, used := range uses {
		switch {
		case used.writes:
			mu := &k.shard(i).mu
			mu.Lock()
			defer mu.Unlock()
		case used.reads:
			mu := &k.shard(i).mu
			mu.RLock()
			defer mu.RUnlock()
		}
	}

	growth := 0
	for key, done := range keys {
		shard := k.shardOf(key)
		if done.read {
			found, ok := shard.get(key, k.clock)
			if ok != done.found || !bytes.Equal(found.value, done.seen) {
				return false, fault.New(fault.Aborted, "transaction: a key that it has read was changed meanwhile; begin again")
			}
		}
		switch done.write {
		case writeValue:
			growth += shard.growth(key, done.value)
		case writeDelete:
			growth += shard.shrink(key)
		case writeNothing:
		}
	}
	if !k.quota.reserve(growth) {
		return false, nil
	}
	for key, done := range keys {
		switch done.write {
		case writeValue:
			k.shardOf(key).put(key, done.value, 0)
		case writeDelete:
			k.shardOf(key).remove(key)
		case writeNothing:
		}
	}
	return true, nil
}
