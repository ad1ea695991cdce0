// Package ring is a list that what waits goes through: the buffers of subscriptions, the kept messages of a topic.
package ring

// Ring is a first-in-first-out list that takes memory for what is in it: it grows by doubling and shrinks when three quarters are empty. The zero value is
// empty.
type Ring[T any] struct {
	items []T // its length is 0 or a power of two
	head  int
	size  int
}

// smallRing is the size that a ring does not shrink below.
const smallRing = 4

// Len tells how many items there are.
func (r *Ring[T]) Len() int { return r.size }

// At returns the i-th item from the front. The pointer is good until the next Push or Pop.
func (r *Ring[T]) At(i int) *T { return &r.items[(r.head+i)&(len(r.items)-1)] }

// Push adds an item at the end.
func (r *Ring[T]) Push(item T) {
	if r.size == len(r.items) {
		r.resize(max(smallRing, 2*len(r.items)))
	}
	r.size++
	*r.At(r.size - 1) = item
}

// Pop removes and returns the first item; there must be one.
func (r *Ring[T]) Pop() T {
	var none T
	first := r.At(0)
	item := *first
	*first = none
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.size--
	if len(r.items) > smallRing && r.size <= len(r.items)/4 {
		r.resize(len(r.items) / 2)
	}
	return item
}

func (r *Ring[T]) resize(size int) {
	items := make([]T, size)
	for i := range r.size {
		items[i] = *r.At(i)
	}
	r.items, r.head = items, 0
}
