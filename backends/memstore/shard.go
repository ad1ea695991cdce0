package memstore

import (
	"container/heap"
	"sync"
)

const (
	// shardCount is how many parts a namespace's keys are spread over: enough that on a machine of 64 cores two calls seldom meet, and few enough that an
	// empty namespace is cheap.
	shardCount = 256
	// keptMapSize is the size up to which an emptied map is kept for the next key. Go's maps never shrink, so a larger one is dropped when it is empty.
	keptMapSize = 64
)

// shard is one part of a namespace's keys. It is 64 bytes, one cache line, so that locking one does not slow its neighbours down. Its methods need the
// lock: get the read lock, the others the write lock.
type shard struct {
	mu      sync.RWMutex
	entries map[string]entry // nil until the first key
	timers  timers           // one for each entry that has a time to live
	largest int              // the most entries that the map has held
}

// entry is what is stored under a key.
type entry struct {
	// value is never changed: a new value is a new slice.
	value []byte
	// timer is nil when the key does not expire.
	timer *timer
}

// timer is when a key expires.
type timer struct {
	key      string
	deadline int64 // on the store's clock
	index    int   // in timers
}

// get returns the entry of a key that is there and has not expired. The clock is asked only when the key has a time to live.
func (s *shard) get(key string, clock clock) (entry, bool) {
	found, ok := s.entries[key]
	if ok && found.timer != nil && found.timer.deadline <= clock.now() {
		return entry{}, false
	}
	return found, ok
}

// growth returns by how many bytes the shard grows when a value is stored under a key. An expired entry that is still there counts.
func (s *shard) growth(key string, value []byte) int {
	if old, ok := s.entries[key]; ok {
		return len(value) - len(old.value)
	}
	return len(key) + len(value)
}

// shrink returns the negative growth that removing a key would be.
func (s *shard) shrink(key string) int {
	if old, ok := s.entries[key]; ok {
		return -len(key) - len(old.value)
	}
	return 0
}

// put stores a value under a key; a deadline of 0 means that it does not expire.
func (s *shard) put(key string, value []byte, deadline int64) {
	if s.entries == nil {
		s.entries = make(map[string]entry)
	}
	s.entries[key] = entry{value: value, timer: s.retime(s.entries[key].timer, key, deadline)}
	s.largest = max(s.largest, len(s.entries))
}

// setDeadline changes when an entry expires; 0 means never.
func (s *shard) setDeadline(key string, found entry, deadline int64) {
	timer := s.retime(found.timer, key, deadline)
	if timer != found.timer {
		s.entries[key] = entry{value: found.value, timer: timer}
	}
}

// remove removes a key, expired or not, and returns the bytes that it held: 0 when it was not there.
func (s *shard) remove(key string) int {
	old, ok := s.entries[key]
	if !ok {
		return 0
	}
	s.retime(old.timer, key, 0)
	delete(s.entries, key)
	if len(s.entries) == 0 && s.largest > keptMapSize {
		s.entries, s.timers, s.largest = nil, nil, 0
	}
	return len(key) + len(old.value)
}

// removeExpired removes at most limit keys that have expired, and returns how many and the bytes that they held.
func (s *shard) removeExpired(now int64, limit int) (keys, bytes int) {
	for keys < limit && len(s.timers) > 0 && s.timers[0].deadline <= now {
		bytes += s.remove(s.timers[0].key)
		keys++
	}
	return keys, bytes
}

// retime gives a key's timer a deadline, which may be 0, and returns the timer that the key has then.
func (s *shard) retime(t *timer, key string, deadline int64) *timer {
	switch {
	case deadline == 0 && t == nil:
		return nil
	case deadline == 0:
		heap.Remove(&s.timers, t.index)
		return nil
	case t == nil:
		t = &timer{key: key, deadline: deadline}
		heap.Push(&s.timers, t)
		return t
	}
	t.deadline = deadline
	heap.Fix(&s.timers, t.index)
	return t
}

// timers is a heap for container/heap: the next to expire is first.
type timers []*timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].deadline < t[j].deadline }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push adds a *timer at the end.
func (t *timers) Push(x any) {
	added := x.(*timer)
	added.index = len(*t)
	*t = append(*t, added)
}

// Pop removes the last timer.
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	return last
}
