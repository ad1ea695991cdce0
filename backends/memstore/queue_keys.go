package memstore

import (
	"container/list"
	"time"
)

// keyLife is how long an idempotency key counts: the contract's 5 minutes from when a call with it was answered, and a minute for the answer's way.
const keyLife = 6 * time.Minute

// keys are the idempotency keys of a queue that still count. The zero value has none.
type keys struct {
	byName lookup[string, *list.Element]
	order  list.List // of keptKey: the one that was used longest ago is first
}

// keptKey is an idempotency key and what the call with it was answered.
type keptKey struct {
	name    string
	answer  added
	expires int64
}

// keyBytes is what max_queue_bytes counts for a key; none is the empty one.
func keyBytes(name string) int {
	if name == "" {
		return 0
	}
	return len(name) + queueOverhead
}

// recall returns what the call that was first with a key was answered. The key counts from now on again.
func (k *keys) recall(name string, now int64) (added, bool) {
	found, ok := k.byName.get(name)
	if !ok {
		return added{}, false
	}
	kept := found.Value.(*keptKey)
	kept.expires = now + int64(keyLife)
	k.order.MoveToBack(found)
	return kept.answer, true
}

// remember keeps what the first call with a key was answered.
func (k *keys) remember(name string, answer added, now int64) {
	k.byName.put(name, k.order.PushBack(&keptKey{name: name, answer: answer, expires: now + int64(keyLife)}))
}

// expire forgets at most limit keys that do not count any more, and returns what max_queue_bytes counted for them.
func (k *keys) expire(now int64, limit int) (bytes int) {
	for range limit {
		if k.next() > now {
			break
		}
		kept := k.order.Remove(k.order.Front()).(*keptKey)
		k.byName.remove(kept.name)
		bytes += keyBytes(kept.name)
	}
	return bytes
}

// next returns when the next key expires, or never.
func (k *keys) next() int64 {
	if first := k.order.Front(); first != nil {
		return first.Value.(*keptKey).expires
	}
	return never
}

func (k *keys) empty() bool { return k.order.Len() == 0 }
