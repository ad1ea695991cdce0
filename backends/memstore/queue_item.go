package memstore

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// state is where a message is in its queue. One that is gone is in none.
type state uint8

const (
	visible state = iota
	scheduled
	leased
	heldBack
)

// outside is the index of an item that is in no heap.
const outside = -1

// item is a message in a queue. What consumers are given of it is never changed afterwards; all else belongs to the line that it is in.
type item struct {
	id          string
	payload     []byte
	metadata    map[string]string
	enqueueTime *timestamppb.Timestamp
	deadLetter  *queuev1.DeadLetterInfo // nil unless it is in a dead letter queue to which it was moved
	reason      string                  // the last that a Release gave in this queue
	receipt     string                  // while it is leased
	place       uint64                  // in the order of its priority; a scheduled message gets its final one when it becomes visible
	due         int64                   // when its state ends, unless it is visible
	bytes       int                     // what max_queue_bytes counts, without reasons
	receives    uint32
	priority    uint8
	state       state

	index      int   // in the heap that it is in, or outside
	prev, next *item // in the list that it is in
}

// message is the item as consumers get it.
func (i *item) message() *queuev1.Message {
	return &queuev1.Message{
		MessageId:    i.id,
		Payload:      i.payload,
		Metadata:     i.metadata,
		EnqueueTime:  i.enqueueTime,
		Priority:     uint32(i.priority),
		ReceiveCount: i.receives,
		DeadLetter:   i.deadLetter,
	}
}

// counted is what max_queue_bytes counts of the item.
func (i *item) counted() int {
	return i.bytes + len(i.reason) + len(i.deadLetter.GetLastReleaseReason())
}

// contentBytes is the size of an item's payload and metadata.
func contentBytes(i *item) int {
	bytes := len(i.payload)
	for key, value := range i.metadata {
		bytes += len(key) + len(value)
	}
	return bytes
}

// itemList is a doubly linked list.
type itemList struct{ first, last *item }

func (l *itemList) push(i *item) {
	i.prev, i.next = l.last, nil
	if l.last == nil {
		l.first = i
	} else {
		l.last.next = i
	}
	l.last = i
}

func (l *itemList) remove(i *item) {
	if i.prev == nil {
		l.first = i.next
	} else {
		i.prev.next = i.next
	}
	if i.next == nil {
		l.last = i.prev
	} else {
		i.next.prev = i.prev
	}
	i.prev, i.next = nil, nil
}

// itemHeap is a heap for container/heap. An item is in one at most.
type itemHeap struct {
	items  []*item
	before func(a, b *item) bool
}

// first returns the item that comes first, or nil.
func (h *itemHeap) first() *item {
	if len(h.items) == 0 {
		return nil
	}
	return h.items[0]
}

// Len is for container/heap, as the others are.
func (h *itemHeap) Len() int { return len(h.items) }

// Less tells which of two comes first.
func (h *itemHeap) Less(i, j int) bool { return h.before(h.items[i], h.items[j]) }

// Swap swaps two.
func (h *itemHeap) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].index, h.items[j].index = i, j
}

// Push adds an *item at the end.
func (h *itemHeap) Push(x any) {
	added := x.(*item)
	added.index = len(h.items)
	h.items = append(h.items, added)
}

// Pop removes the last item. A large heap gives its memory back when it is empty.
func (h *itemHeap) Pop() any {
	end := len(h.items) - 1
	last := h.items[end]
	last.index = outside
	h.items[end] = nil
	h.items = h.items[:end]
	if end == 0 && cap(h.items) > keptMapSize {
		h.items = nil
	}
	return last
}
