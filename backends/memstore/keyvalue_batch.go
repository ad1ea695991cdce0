package memstore

import (
	"context"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// maxAnswer is the message limit, which bounds what BatchGet answers.
	maxAnswer = 4 << 20
	// leftOut is the message of a result whose value did not fit.
	leftOut = "the values of the answer exceed the message limit of 4 MiB; ask for this key again"
	// resultOverhead is more than a result takes in the answer beside its key and value: tags and lengths, found, and the status of one that was left out.
	resultOverhead = len(leftOut) + 32
)

// BatchSet stores values, taking each shard's lock once.
func (k *keyValue) BatchSet(ctx context.Context, request *keyvaluev1.BatchSetRequest) (*keyvaluev1.BatchSetResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	items := request.GetItems()
	response := &keyvaluev1.BatchSetResponse{Statuses: statuses(len(items))}
	var refused []int
	k.eachShard(len(items), func(i int) string { return items[i].GetKey() }, func(shard *shard, positions []int) {
		shard.mu.Lock()
		defer shard.mu.Unlock()
		for n, i := range positions {
			key, value := items[i].GetKey(), items[i].GetValue()
			switch {
			case repeatedIn(positions[n+1:], func(i int) string { return items[i].GetKey() }, key) >= 0:
				// A later item has the same key and wins.
			case k.quota.reserve(shard.growth(key, value)):
				shard.put(key, value, 0)
			default:
				refused = append(refused, i)
			}
		}
	})
	for _, i := range refused { // once more, now that other shards may have given up what has expired
		if err := k.set("memstore.keyvalue.BatchSet", items[i].GetKey(), items[i].GetValue(), 0); err != nil {
			refuse(items, response.GetStatuses(), items[i].GetKey(), fault.Public(err))
		}
	}
	return response, nil
}

// refuse gives every item of a key the status of the one that counts.
func refuse(items []*keyvaluev1.BatchItem, statuses []*keyvaluev1.BatchStatus, key string, why *fault.Error) {
	for i, item := range items {
		if item.GetKey() == key {
			statuses[i].Code, statuses[i].Message = int32(why.Code), why.Message
		}
	}
}

// BatchGet reads values, taking each shard's lock once.
func (k *keyValue) BatchGet(ctx context.Context, request *keyvaluev1.BatchGetRequest) (*keyvaluev1.BatchGetResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	keys := request.GetKeys()
	slab := make([]keyvaluev1.BatchGetResult, len(keys))
	k.eachShard(len(keys), func(i int) string { return keys[i] }, func(shard *shard, positions []int) {
		shard.mu.RLock()
		defer shard.mu.RUnlock()
		for _, i := range positions {
			found, ok := shard.get(keys[i], k.clock)
			slab[i].Found, slab[i].Value = ok, found.value
		}
	})
	room := maxAnswer
	for _, key := range keys {
		room -= len(key) + resultOverhead
	}
	response := &keyvaluev1.BatchGetResponse{Results: make([]*keyvaluev1.BatchGetResult, len(keys))}
	for i, status := range statuses(len(keys)) {
		result := &slab[i]
		result.Key, result.Status = keys[i], status
		if len(result.GetValue()) > room {
			result.Value = nil
			status.Code, status.Message = int32(fault.ResourceExhausted), leftOut
		}
		room -= len(result.GetValue())
		response.Results[i] = result
	}
	return response, nil
}

// BatchDelete removes keys, taking each shard's lock once.
func (k *keyValue) BatchDelete(ctx context.Context, request *keyvaluev1.BatchDeleteRequest) (*keyvaluev1.BatchDeleteResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	keys := request.GetKeys()
	k.eachShard(len(keys), func(i int) string { return keys[i] }, func(shard *shard, positions []int) {
		shard.mu.Lock()
		defer shard.mu.Unlock()
		for _, i := range positions {
			k.quota.reserve(-shard.remove(keys[i]))
		}
	})
	return &keyvaluev1.BatchDeleteResponse{Statuses: statuses(len(keys))}, nil
}

// eachShard calls visit for each shard that some of n keys belong to, with the positions of those keys in rising order.
func (k *keyValue) eachShard(n int, key func(i int) string, visit func(shard *shard, positions []int)) {
	// A counting sort: where each shard's positions begin, then each position at its place.
	var next [shardCount]int
	indexes := make([]uint8, n)
	for i := range n {
		indexes[i] = uint8(k.index(key(i)))
		next[indexes[i]]++
	}
	sum := 0
	for i, size := range next {
		next[i] = sum
		sum += size
	}
	sorted := make([]int, n)
	for i, index := range indexes {
		sorted[next[index]] = i
		next[index]++
	}
	begin := 0
	for i, end := range next {
		if end > begin {
			visit(k.shard(i), sorted[begin:end])
		}
		begin = end
	}
}

// repeatedIn returns the first of the positions that has a key, or -1.
func repeatedIn(positions []int, keyAt func(i int) string, key string) int {
	for _, i := range positions {
		if keyAt(i) == key {
			return i
		}
	}
	return -1
}

// statuses returns n statuses of OK, in one allocation.
func statuses(n int) []*keyvaluev1.BatchStatus {
	slab := make([]keyvaluev1.BatchStatus, n)
	all := make([]*keyvaluev1.BatchStatus, n)
	for i := range slab {
		all[i] = &slab[i]
	}
	return all
}
