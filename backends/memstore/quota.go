package memstore

import (
	"math"
	"sync/atomic"

	"github.com/prismgate/prism/runtime/fault"
)

// quota counts the bytes of keys and values that a namespace holds. Whoever changes the data holds the lock of its shard while it changes the count, so the
// count is always that of the data.
type quota struct {
	// limit is the most bytes; 0 means no bound, and then nothing is counted: a counter that every write changes would be the one thing all shards share.
	limit int64
	used  atomic.Int64
}

func newQuota(maxBytes uint64) *quota {
	return &quota{limit: int64(min(maxBytes, math.MaxInt64))}
}

// reserve counts a change of the data, or tells that there is no room for it. A change that frees bytes is never refused.
func (q *quota) reserve(change int) bool {
	if q.limit == 0 {
		return true
	}
	if change <= 0 {
		q.used.Add(int64(change))
		return true
	}
	for {
		used := q.used.Load()
		if int64(change) > q.limit-used {
			return false
		}
		if q.used.CompareAndSwap(used, used+int64(change)) {
			return true
		}
	}
}

// add counts a change that is not refused, and may come to exceed the limit.
func (q *quota) add(change int) {
	if q.limit > 0 {
		q.used.Add(int64(change))
	}
}

// exceeded is the answer to a write that there is no room for.
func (q *quota) exceeded(op string) *fault.Error {
	return fault.New(fault.ResourceExhausted, "max_bytes: the namespace may hold %d bytes of keys and values, and this write would exceed them; delete keys or raise the limit", q.limit).
		WithOp(op)
}
