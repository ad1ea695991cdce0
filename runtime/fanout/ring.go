package fanout

// ring is a first-in-first-out list that takes memory for what is in it: it grows by doubling and shrinks when three quarters are empty. The zero value is
// empty.
type ring[T any] struct {
	items []T // its length is 0 or a power of two
	head  int
	size  int
}

// smallRing is the size that a ring does not shrink below.
const smallRing = 4

func (r *ring[T]) len() int { return r.size }

// at returns the i-th item from the front. The pointer is good until the next push or pop.
func (r *ring[T]) at(i int) *T { return &r.items[(r.head+i)&(len(r.items)-1)] }

func (r *ring[T]) push(item T) {
	if r.size == len(r.items) {
		r.resize(max(smallRing, 2*len(r.items)))
	}
	r.size++
	*r.at(r.size - 1) = item
}

// pop removes the first item; there must be one.
func (r *ring[T]) pop() T {
	var none T
	first := r.at(0)
	item := *first
	*first = none
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.size--
	if len(r.items) > smallRing && r.size <= len(r.items)/4 {
		r.resize(len(r.items) / 2)
	}
	return item
}

func (r *ring[T]) resize(size int) {
	items := make([]T, size)
	for i := range r.size {
		items[i] = *r.at(i)
	}
	r.items, r.head = items, 0
}
