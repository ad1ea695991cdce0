package load

import "github.com/prismgate/prism/runtime/h2/frame"

// stream is a call on its way.
type stream struct {
	// id is 0 when nobody uses the slot.
	id   uint32
	call call
	// window is what the server takes of the request, sent how much of it was sent.
	window int64
	sent   int
	// credit is what was read of the response and not given back to the server's window.
	credit uint32
	// heard is when something of the response arrived, or when the call was made.
	heard  int64
	answer answer
}

// table holds the streams of a connection. A stream's slot follows from its id, and an id whose slot is taken is left out, which HTTP/2 allows: so nothing
// is hashed or allocated per call.
type table struct {
	slots []stream
	count int
}

// newTable returns a table with room enough that a free slot is never far.
func newTable(most int) table {
	size := 16
	for size < 4*most {
		size *= 2
	}
	return table{slots: make([]stream, size)}
}

func (t *table) at(id uint32) *stream { return &t.slots[id>>1&uint32(len(t.slots)-1)] }

func (t *table) get(id uint32) *stream {
	if s := t.at(id); s.id == id {
		return s
	}
	return nil
}

// add returns the slot of the first free id from next on.
func (t *table) add(next uint32) *stream {
	for t.at(next).id != 0 {
		next += 2
	}
	s := t.at(next)
	s.id, s.sent, s.credit = next, 0, 0
	s.answer.reset()
	t.count++
	return s
}

func (t *table) remove(s *stream) {
	s.id = 0
	t.count--
}

// each visits the streams; the visitor may remove the one that it is given.
func (t *table) each(visit func(*stream)) {
	for i := range t.slots {
		if t.count == 0 {
			return
		}
		if s := &t.slots[i]; s.id != 0 {
			visit(s)
		}
	}
}

// widen adds to the windows of all streams.
func (t *table) widen(by int64) bool {
	fits := true
	t.each(func(s *stream) {
		s.window += by
		fits = fits && s.window <= frame.MaxWindow
	})
	return fits
}

// sending is what the server takes.
type sending struct {
	// window is that of the connection, initial that of a new stream.
	window, initial int64
	maxFrame        int
	// queue are the streams that have more to send than was taken.
	queue []uint32
}

// enough is how much is made ready to be sent before the socket takes it.
const enough = 256 << 10

// open makes a call. There must be room.
func (h *http2) open(c *call) {
	p := c.procedure
	s := h.streams.add(h.next)
	h.next = s.id + 2
	s.call, s.heard, s.window = *c, c.sent, h.send.initial
	if len(p.body) == 0 {
		h.c.out = frame.AppendHeaders(h.c.out, s.id, frame.EndStream, h.blocks.block(p), h.send.maxFrame)
		return
	}
	h.c.out = frame.AppendHeaders(h.c.out, s.id, 0, h.blocks.block(p), h.send.maxFrame)
	size := int64(len(p.body))
	if len(p.body) <= h.send.maxFrame && size <= h.send.window && size <= s.window && len(h.send.queue) == 0 && h.c.waiting() <= enough {
		h.c.out = frame.AppendHeader(h.c.out, frame.Header{Length: uint32(size), Type: frame.Data, Flags: frame.EndStream, StreamID: s.id})
		h.c.out = appendPatched(h.c.out, p.body, p.patches, c.key, c.sequence)
		h.send.window -= size
		s.window -= size
		s.sent = len(p.body)
		return
	}
	h.send.queue = append(h.send.queue, s.id)
	h.pump()
}

// pump sends of the requests that wait what the server's windows and the socket take.
func (h *http2) pump() {
	kept := h.send.queue[:0]
	for i, id := range h.send.queue {
		s := h.streams.get(id)
		if s == nil {
			continue // it has ended meanwhile
		}
		if h.send.window <= 0 || h.c.waiting() > enough {
			kept = append(kept, h.send.queue[i:]...)
			break
		}
		if !h.sendBody(s) {
			kept = append(kept, id)
		}
	}
	h.send.queue = kept
}

// sendBody sends what can be sent of a request, and tells whether that was all.
func (h *http2) sendBody(s *stream) bool {
	p := s.call.procedure
	for s.sent < len(p.body) && h.c.waiting() <= enough {
		size := int(min(int64(len(p.body)-s.sent), int64(h.send.maxFrame), h.send.window, s.window))
		if size <= 0 {
			return false
		}
		flags := frame.Flags(0)
		if s.sent+size == len(p.body) {
			flags = frame.EndStream
		}
		h.c.out = frame.AppendHeader(h.c.out, frame.Header{Length: uint32(size), Type: frame.Data, Flags: flags, StreamID: s.id})
		h.c.out = appendPart(h.c.out, p.body, p.patches, s.call.key, s.call.sequence, s.sent, s.sent+size)
		s.sent += size
		h.send.window -= int64(size)
		s.window -= int64(size)
	}
	return s.sent == len(p.body)
}
