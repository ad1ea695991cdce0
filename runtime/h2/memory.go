package h2

import "sync/atomic"

// memory is what all connections of a server may hold together.
type memory struct {
	limit int64
	taken atomic.Int64
}

// take takes n bytes, if they are to be had.
func (m *memory) take(n int64) bool {
	if m.taken.Add(n) <= m.limit {
		return true
	}
	m.taken.Add(-n)
	return false
}

// force takes n bytes in any case: what is there must be accounted for.
func (m *memory) force(n int64) { m.taken.Add(n) }

func (m *memory) give(n int64) { m.taken.Add(-n) }

// scarce tells that nothing is to be had, so that new work is refused before what is under way comes to a halt.
func (m *memory) scarce() bool { return m.taken.Load() > m.limit-m.limit/16 }

// holding is what one connection holds. The connection's lock guards it.
type holding struct {
	server *memory
	// held is how many bytes of bodies there are; reserved is what was taken for them from the server. The first step is not reserved.
	held, reserved int64
	// window is what was taken for a wide receive window.
	window int64
	// short tells that what is held could not be reserved.
	short bool
	// closed is when the connection is over: handlers that are on their way out are not counted any more.
	closed bool
}

func (h *holding) hold(n int) {
	if h.closed {
		return
	}
	h.held += int64(n)
	if h.held-memoryStep > h.reserved {
		h.reserve()
	}
}

// reserve takes what is held from the server's memory.
func (h *holding) reserve() {
	need := (h.held - memoryStep - h.reserved + memoryStep - 1) / memoryStep * memoryStep
	if need <= 0 {
		h.short = false
		return
	}
	if h.server.take(need) {
		h.short = false
	} else {
		h.server.force(need)
		h.short = true
	}
	h.reserved += need
}

func (h *holding) release(n int) {
	if h.closed {
		return
	}
	h.held -= int64(n)
	// A step of slack keeps a connection from taking and giving in turns.
	if free := h.reserved - max(h.held-memoryStep, 0); free > 2*memoryStep || free > 0 && h.held == 0 {
		free = free / memoryStep * memoryStep
		h.reserved -= free
		h.server.give(free)
	}
	if h.short && !h.server.scarce() {
		h.short = false
	}
}

// widen takes memory for a wider receive window, of which all connections may take half of the server's.
func (h *holding) widen(n int64) bool {
	if h.closed || h.server.taken.Load() > h.server.limit/2 || !h.server.take(n) {
		return false
	}
	h.window += n
	return true
}

func (h *holding) narrow() {
	h.server.give(h.window)
	h.window = 0
}

func (h *holding) close() {
	h.server.give(h.reserved + h.window)
	h.held, h.reserved, h.window, h.closed = 0, 0, 0, true
}
