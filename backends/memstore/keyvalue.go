package memstore

import (
	"context"
	"hash/maphash"
	"sync/atomic"

	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

var _ backendsv1.MemStoreKeyValue = (*keyValue)(nil)

// keyValue is the KeyValue model of one namespace.
type keyValue struct {
	name   string
	seed   maphash.Seed
	clock  clock
	tokens *backend.Tokens
	quota  *quota

	// shards are made when they are first asked for, so that a thousand namespaces with little in them are little to hold and to collect garbage from.
	shards       [shardCount]atomic.Pointer[shard]
	sweeper      sweeper
	transactions transactions
}

func newKeyValue(store *Store, name string) *keyValue {
	k := &keyValue{
		name:   name,
		seed:   store.seed,
		clock:  store.clock,
		tokens: store.tokens,
		quota:  newQuota(store.config.GetMaxBytes()),
	}
	k.sweeper.init(k.clock, k.sweep)
	k.transactions.init(k.clock, store.config.GetMaxOpenTransactions())
	return k
}

func (k *keyValue) close() {
	k.transactions.close()
	k.sweeper.close()
}

// Set stores a value.
func (k *keyValue) Set(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.set("memstore.keyvalue.Set", request.GetKey(), request.GetValue(), 0); err != nil {
		return nil, err
	}
	return &keyvaluev1.SetResponse{}, nil
}

// Get reads a value. It hands out the stored slice, which nobody changes.
func (k *keyValue) Get(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	value, found := k.get(request.GetKey())
	return &keyvaluev1.GetResponse{Found: found, Value: value}, nil
}

// Delete removes a key.
func (k *keyValue) Delete(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	shard := k.shardOf(request.GetKey())
	shard.mu.Lock()
	defer shard.mu.Unlock()
	_, found := shard.get(request.GetKey(), k.clock)
	k.quota.reserve(-shard.remove(request.GetKey()))
	return &keyvaluev1.DeleteResponse{Deleted: found}, nil
}

// Exists looks for a key.
func (k *keyValue) Exists(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, found := k.get(request.GetKey())
	return &keyvaluev1.ExistsResponse{Exists: found}, nil
}

func (k *keyValue) index(key string) int {
	return int(maphash.String(k.seed, key) % shardCount)
}

func (k *keyValue) shardOf(key string) *shard { return k.shard(k.index(key)) }

func (k *keyValue) shard(i int) *shard {
	if s := k.shards[i].Load(); s != nil {
		return s
	}
	k.shards[i].CompareAndSwap(nil, new(shard))
	return k.shards[i].Load()
}

// made yields the shards that there are, with their numbers: the others are empty.
func (k *keyValue) made(yield func(int, *shard) bool) {
	for i := range k.shards {
		if s := k.shards[i].Load(); s != nil && !yield(i, s) {
			return
		}
	}
}

func (k *keyValue) get(key string) ([]byte, bool) {
	shard := k.shardOf(key)
	shard.mu.RLock()
	found, ok := shard.get(key, k.clock)
	shard.mu.RUnlock()
	return found.value, ok
}

// set stores a value; a ttl of 0 means that it does not expire. op is the operation, for errors.
func (k *keyValue) set(op, key string, value []byte, ttl int64) error {
	if k.trySet(key, value, ttl) {
		return nil
	}
	k.sweep() // what has expired does not count
	if k.trySet(key, value, ttl) {
		return nil
	}
	return k.quota.exceeded(op)
}

func (k *keyValue) trySet(key string, value []byte, ttl int64) bool {
	shard := k.shardOf(key)
	shard.mu.Lock()
	if !k.quota.reserve(shard.growth(key, value)) {
		shard.mu.Unlock()
		return false
	}
	var deadline int64
	if ttl > 0 {
		deadline = k.clock.now() + ttl
	}
	shard.put(key, value, deadline)
	shard.mu.Unlock()
	if deadline > 0 {
		k.sweeper.wake(deadline)
	}
	return true
}

// sweep removes every key that has expired and returns when the next one does.
func (k *keyValue) sweep() int64 {
	next := int64(never)
	for _, shard := range k.made {
		next = min(next, k.sweepShard(shard))
	}
	return next
}

// sweepShard removes a shard's expired keys, a bite at a time so that nobody waits long, and returns when the next one expires.
func (k *keyValue) sweepShard(shard *shard) int64 {
	for {
		shard.mu.Lock()
		if len(shard.timers) == 0 {
			shard.mu.Unlock()
			return never
		}
		removed, bytes := shard.removeExpired(k.clock.now(), sweepBite)
		k.quota.reserve(-bytes)
		next := int64(never)
		if len(shard.timers) > 0 {
			next = shard.timers[0].deadline
		}
		shard.mu.Unlock()
		if removed < sweepBite {
			return next
		}
	}
}
