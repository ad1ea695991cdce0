package memstore

import "container/heap"

// priorities is how many priorities there are.
const priorities = 10

// ready are the visible messages of a queue in the order in which they are taken: by priority, then by place. Adding a message and taking the first is
// O(1), and O(log n) for one that came back.
type ready struct {
	// fresh are the messages that became visible for the first time, a list for each priority. Each got its place when it joined, so the lists are in order.
	fresh [priorities]itemList
	// returned are those that came back to their old places.
	returned itemHeap
}

func newReady() ready {
	return ready{returned: itemHeap{before: func(a, b *item) bool {
		if a.priority != b.priority {
			return a.priority > b.priority
		}
		return a.place < b.place
	}}}
}

// join adds a message whose place is the last.
func (r *ready) join(i *item) { r.fresh[i.priority].push(i) }

// rejoin adds a message at its old place.
func (r *ready) rejoin(i *item) { heap.Push(&r.returned, i) }

// first returns the message that is taken next, or nil.
func (r *ready) first() *item {
	returned := r.returned.first()
	for priority := priorities - 1; priority >= 0; priority-- {
		if fresh := r.fresh[priority].first; fresh != nil {
			if returned != nil && r.returned.before(returned, fresh) {
				return returned
			}
			return fresh
		}
	}
	return returned
}

func (r *ready) remove(i *item) {
	if i.index == outside {
		r.fresh[i.priority].remove(i)
	} else {
		heap.Remove(&r.returned, i.index)
	}
}
