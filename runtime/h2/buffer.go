package h2

import "sync"

// classes are the sizes of pooled buffers. A request is mostly a key, a read takes up to two frames of the largest size, and a value may have 1 MiB.
var classes = [...]int{512, 4 << 10, 40 << 10, 160 << 10, 1<<20 + 4<<10, 4<<20 + 4<<10}

// readClass is the class that connections read into.
const readClass = 2

var pools [len(classes)]sync.Pool

// buffer is memory of one of the classes, or of any size above the largest.
type buffer struct {
	b     []byte
	class int
}

// getBuffer returns an empty buffer with room for n bytes.
func getBuffer(n int) *buffer {
	for class, size := range classes {
		if n <= size {
			return getClass(class)
		}
	}
	return &buffer{b: make([]byte, 0, n), class: -1}
}

func getClass(class int) *buffer {
	if pooled, ok := pools[class].Get().(*buffer); ok {
		return pooled
	}
	return &buffer{b: make([]byte, 0, classes[class]), class: class}
}

// put gives a buffer back, which must not be used afterwards. A nil buffer is fine.
func (b *buffer) put() {
	if b != nil && b.class >= 0 {
		b.b = b.b[:0]
		pools[b.class].Put(b)
	}
}

// grown returns the buffer, or a larger one in its place, with room for n bytes more. b may be nil.
func (b *buffer) grown(n int) *buffer {
	if b == nil {
		return getBuffer(n)
	}
	if cap(b.b)-len(b.b) >= n {
		return b
	}
	larger := getBuffer(max(len(b.b)+n, 2*cap(b.b)))
	larger.b = append(larger.b, b.b...)
	b.put()
	return larger
}

// size is how much memory a buffer takes.
func (b *buffer) size() int {
	if b == nil {
		return 0
	}
	return cap(b.b)
}
