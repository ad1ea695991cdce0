package provider

import (
	"runtime"
	"sync"
)

// outbox puts what many calls have to say into frames. It is sent by one goroutine, which is there as long as there is anything: what comes to be ready while a frame is
// on its way goes into the next one.
type outbox struct {
	sync.Mutex
	// send writes a frame, which may be used again when it returns. It may block.
	send func(frame []byte) error
	// chunk is the number of the item that carries a message's bytes.
	chunk number

	// control are items that go before all others.
	control []byte
	// head and tail are the parcels that have something to send, in the order of their turns.
	head, tail *parcel
	flushing   bool
	closed     bool
	idle       sync.Cond
}

// parcel is what one call has to say: items that go first, a message, and items that go last. Its memory is used until it was sent or withdrawn.
type parcel struct {
	call                uint64
	lead, message, last []byte
	// hasMessage tells of a message, which may be empty.
	hasMessage bool
	// sent is called, under the outbox's lock, when all was put into frames; nil is not.
	sent func()

	begun, queued bool
	next          *parcel
}

// mostControl bounds the control items that wait: a peer that asks and does not read is no peer.
const mostControl = 1 << 20

// quantum is how much of a message goes into a frame when other calls wait.
const quantum = 16 << 10

func (o *outbox) init(chunk number, send func([]byte) error) {
	o.chunk, o.send = chunk, send
	o.idle.L = &o.Mutex
}

// put gives a parcel its turn. It needs the lock.
func (o *outbox) put(p *parcel) {
	p.queued, p.next = true, nil
	if o.tail == nil {
		o.head = p
	} else {
		o.tail.next = p
	}
	o.tail = p
	o.kick()
}

// withdraw takes a parcel back, whose memory is then not used any more, and tells whether its call has begun for the peer. It needs the lock.
func (o *outbox) withdraw(p *parcel) (begun bool) {
	if p.queued {
		var before *parcel
		for at := o.head; at != p; at = at.next {
			before = at
		}
		o.remove(before, p)
	}
	return p.begun
}

// clear takes all parcels back. It needs the lock.
func (o *outbox) clear() {
	for p := o.head; p != nil; {
		next := p.next
		p.queued, p.next = false, nil
		p = next
	}
	o.head, o.tail = nil, nil
}

func (o *outbox) remove(before, p *parcel) {
	if before == nil {
		o.head = p.next
	} else {
		before.next = p.next
	}
	if o.tail == p {
		o.tail = before
	}
	p.queued, p.next = false, nil
}

// kick has what is ready sent. It needs the lock.
func (o *outbox) kick() {
	if !o.flushing && !o.closed {
		o.flushing = true
		go o.flush()
	}
}

// drain waits until all was sent, or the outbox was closed. It needs the lock.
func (o *outbox) drain() {
	for o.flushing {
		o.idle.Wait()
	}
}

// frames are buffers for frames.
var frames = sync.Pool{New: func() any { return &frame{make([]byte, 0, 4<<10)} }}

type frame struct{ b []byte }

func (o *outbox) flush() {
	f := frames.Get().(*frame)
	defer frames.Put(f)
	for {
		// Let those that are ready add what they have: one frame for all. A lone caller does not wait, for nobody is ready.
		runtime.Gosched()
		o.Lock()
		if !o.closed {
			f.b = o.build(f.b[:0])
		}
		if o.closed || len(f.b) == 0 {
			o.flushing = false
			o.idle.Broadcast()
			o.Unlock()
			return
		}
		o.Unlock()
		if o.send(f.b) != nil {
			o.Lock()
			o.closed = true // whoever reads the stream learns why
			o.Unlock()
		}
	}
}

// build fills a frame. It needs the lock.
func (o *outbox) build(b []byte) []byte {
	for len(o.control) > 0 {
		size := itemSize(o.control)
		if len(b)+size > maxFrame {
			return b
		}
		b = append(b, o.control[:size]...)
		o.control = o.control[size:]
	}
	o.control = nil
	for o.head != nil {
		p := o.head
		var done bool
		if b, done = o.add(b, p); !done {
			if p.hasMessage && p.begun && p.next != nil {
				o.remove(nil, p) // the others come first
				o.put(p)
			}
			if len(b)+chunkOverhead+quantum/4 > maxFrame {
				return b
			}
			if !p.begun || !p.hasMessage {
				return b // it needs a frame of its own
			}
			continue
		}
		o.remove(nil, p)
		if p.sent != nil {
			p.sent()
		}
	}
	return b
}

// add adds what fits of a parcel, and tells whether that was all. It needs the lock.
func (o *outbox) add(b []byte, p *parcel) ([]byte, bool) {
	if !p.begun {
		if len(b)+len(p.lead) > maxFrame {
			return b, false
		}
		b = append(b, p.lead...)
		p.begun = true
	}
	if p.hasMessage {
		room := maxFrame - len(b) - chunkOverhead
		if p.next != nil {
			room = min(room, quantum)
		}
		if room < len(p.message) && room < quantum/4 {
			return b, false
		}
		n := min(room, len(p.message))
		b = appendChunk(b, p.call, o.chunk, p.message[:n], n == len(p.message))
		p.message = p.message[n:]
		if len(p.message) > 0 {
			return b, false
		}
		p.hasMessage = false
	}
	if len(b)+len(p.last) > maxFrame {
		return b, false
	}
	return append(b, p.last...), true
}
