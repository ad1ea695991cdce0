package h2

import (
	"errors"
	"runtime"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

const (
	// quantum is how much a stream that waits may send before it is the next one's turn.
	quantum = 4 << 10
	// mostBacklog is how much of a response a stream keeps that cannot be sent yet, before its handler has to wait.
	mostBacklog = 8 << 10
	// mostDropped and patience bound what is still taken of a request that was answered before it was complete. Clients as common as curl take RST_STREAM for a failure of
	// the call, though the response came before it.
	mostDropped = 64 << 10
	patience    = time.Second
)

var (
	errTorn       = errors.New("h2: a message was sent in part")
	errTwice      = errors.New("h2: the response is over")
	errNotStarted = errors.New("h2: data before the header")
)

// Respond sends a whole response, and ends the stream: a header block, a body, and a block of trailers. The body or the trailers may be nil. What is given may be
// reused when it returns.
func (s *Stream) Respond(header, body, trailers []byte) error {
	return s.send(header, body, trailers, true)
}

// SendHeader sends the header of a response whose body follows. Blocks are made with [AppendStatus] and [AppendField].
func (s *Stream) SendHeader(header []byte) error { return s.send(header, nil, nil, false) }

// SendData sends some of the body. It returns when it was put into the connection's buffer, which waits for the peer's windows.
func (s *Stream) SendData(data []byte) error { return s.send(nil, data, nil, false) }

// SendTrailers ends the response, with a block of trailers that may be nil.
func (s *Stream) SendTrailers(trailers []byte) error { return s.send(nil, nil, trailers, true) }

// Reset ends the stream with an error, instead of a response or in the middle of it.
func (s *Stream) Reset(code frame.ErrorCode) {
	c := s.conn
	c.mu.Lock()
	if !s.gone {
		c.cut(s, code)
	}
	c.flushSoon()
}

// HeaderSent tells whether the header of the response was sent.
func (s *Stream) HeaderSent() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.headerSent
}

// respondStatus answers without a body.
func (s *Stream) respondStatus(status int) {
	var block [16]byte
	_ = s.Respond(AppendField(AppendStatus(block[:0], status), "content-length", "0"), nil, nil) // a peer that is gone does not read it
}

// sendInterim sends a response that comes before the response, such as 100.
func (s *Stream) sendInterim(block []byte) {
	c := s.conn
	c.mu.Lock()
	if s.err == nil && !s.gone && !s.headerSent {
		c.appendBlock(s.id, 0, block)
	}
	c.flushSoon()
}

func (s *Stream) send(header, data, trailers []byte, end bool) error {
	c := s.conn
	c.mu.Lock()
	if err := s.sendable(header); err != nil {
		c.flushSoon()
		return err
	}
	if header != nil {
		s.headerSent = true
		if end && len(data) == 0 && trailers == nil {
			c.appendBlock(s.id, frame.EndStream, header)
			s.ended(true)
			c.flushAfter(end)
			return nil
		}
		c.appendBlock(s.id, 0, header)
	}
	if len(data) == 0 && !end {
		c.flushAfter(end)
		return nil
	}
	// Streams that wait come first, but for a short response that is whole: it is over at once.
	room := c.out == nil || len(c.out.b) < highWater
	if s.backlog == nil && (len(data) == 0 || room && (c.ready.empty() || end && len(data) <= quantum)) {
		s.offer(data, trailers, end)
		if s.advance(highWater, true) {
			c.flushAfter(end)
			return nil
		}
		data = s.pending
	}
	if !end && s.keep(data) {
		c.flushSoon()
		return nil
	}
	s.offer(data, trailers, end)
	return s.await(end)
}

// offer makes something pending; it needs the lock.
func (s *Stream) offer(data, trailers []byte, end bool) {
	s.pending, s.lastBlock, s.sending, s.endAfter = data, trailers, true, end
}

// keep copies a short piece of a response that waits, so that its handler need not: a connection whose window is used up by many streams would else wake each of
// them for each message. It needs the lock.
func (s *Stream) keep(data []byte) bool {
	held := 0
	if s.backlog != nil {
		held = len(s.backlog.b) - s.backlogAt
	}
	if held+len(data) > mostBacklog {
		return false
	}
	before := s.backlog.size()
	if s.backlog != nil && s.backlogAt > 0 {
		s.backlog.b = append(s.backlog.b[:0], s.backlog.b[s.backlogAt:]...)
		s.backlogAt = 0
	}
	s.backlog = s.backlog.grown(len(data))
	s.backlog.b = append(s.backlog.b, data...)
	s.conn.memory.hold(s.backlog.size() - before)
	if !s.sending {
		s.stalledSince = s.conn.server.now()
	}
	s.pending, s.sending, s.torn = nil, true, false
	s.enqueue()
	return true
}

// freeBacklog needs the lock.
func (s *Stream) freeBacklog() {
	s.conn.release(s.backlog.size())
	s.backlog.put()
	s.backlog, s.backlogAt = nil, 0
}

// await lets the flusher send what is pending, and unlocks.
func (s *Stream) await(end bool) error {
	c := s.conn
	held := len(s.pending)
	c.memory.hold(held)
	if s.sent == nil {
		s.sent = make(chan struct{}, 1)
	}
	s.stalledSince = c.server.now()
	s.enqueue()
	c.flushSoonLocked()
	var late error
	for s.sending && s.err == nil && late == nil {
		c.mu.Unlock()
		select {
		case <-s.sent:
		case <-s.ctx.Done():
			late = s.ctx.Err()
		}
		c.mu.Lock()
	}
	c.release(held)
	err := s.err
	if s.sending {
		// Given up. When some of it was sent, what follows could not be told from the rest: the next call finds the stream torn.
		if s.pending, s.lastBlock, s.endAfter = nil, nil, false; s.backlog == nil {
			s.unqueue()
			s.sending = false
		}
		if err == nil {
			err = late
		}
	} else {
		err = nil
	}
	if end && err == nil && s.running {
		s.running = false
		if s.gone {
			c.zombies-- // the flusher has closed the stream while its handler ran
			c.checkOver()
		}
	}
	c.flushSoon()
	return err
}

// sendable tells whether anything can be sent; it needs the lock.
func (s *Stream) sendable(header []byte) error {
	switch {
	case s.err != nil:
		return s.err
	case s.gone, s.sendEnded:
		return errTwice
	case s.torn:
		s.conn.cut(s, frame.Cancel)
		return errTorn
	case header == nil && !s.headerSent:
		return errNotStarted
	case header != nil && s.headerSent:
		return errTwice
	}
	return nil
}

// advance puts as much of what is to be sent into the connection's buffer as windows and the limit allow, and tells whether that was all. It needs the lock.
func (s *Stream) advance(limit int, byHandler bool) bool {
	c := s.conn
	for {
		next := s.pending
		if s.backlog != nil {
			next = s.backlog.b[s.backlogAt:]
		}
		if len(next) == 0 {
			break
		}
		n := int(min(int64(len(next)), frame.DefaultMaxSize, s.sendWindow, c.sendWindow, int64(limit)))
		if n <= 0 {
			return false
		}
		var flags frame.Flags
		if s.backlog == nil && s.endAfter && s.lastBlock == nil && n == len(next) {
			flags = frame.EndStream
		}
		c.reserve(frame.HeaderSize + n)
		c.out.b = frame.AppendData(c.out.b, s.id, flags, next[:n])
		c.watch.sent++
		c.earn(2)
		s.sendWindow -= int64(n)
		c.sendWindow -= int64(n)
		limit -= n
		if s.backlog == nil {
			s.pending = next[n:]
			s.torn = len(s.pending) > 0
		} else if s.backlogAt += n; s.backlogAt == len(s.backlog.b) {
			s.freeBacklog()
		}
		if flags != 0 {
			s.ended(byHandler)
			return true
		}
	}
	s.sending = false
	if s.endAfter {
		if s.lastBlock != nil {
			c.appendBlock(s.id, frame.EndStream, s.lastBlock)
		} else {
			c.reserve(frame.HeaderSize)
			c.out.b = frame.AppendData(c.out.b, s.id, frame.EndStream, nil)
		}
		s.ended(byHandler)
	}
	return true
}

// ended closes the stream when its response was put into the buffer whole. A request that is not complete by then is of no interest any more (RFC 9113, section
// 8.1). byHandler tells that the handler itself has sent the end, after which it has nothing to do with the stream. It needs the lock.
func (s *Stream) ended(byHandler bool) {
	s.sendEnded, s.sending = true, false
	if byHandler {
		s.running = false
	}
	switch {
	case s.recvEnded:
		s.conn.closeStream(s, false)
	case s.patient:
		s.stalledSince = s.conn.server.now()
		s.freeBody()
	default:
		s.stop()
	}
}

// stop tells the peer that the rest of the request is of no interest. It needs the lock.
func (s *Stream) stop() {
	s.conn.appendReset(s.id, frame.NoError)
	s.conn.control -= resetSize // it is the end of a response, and not an answer to nothing
	s.conn.closeStream(s, true)
}

// afterResponse drops n bytes of a request that was answered before it was complete. It needs the lock.
func (s *Stream) afterResponse(n int) {
	s.dropped += n
	switch {
	case s.recvEnded:
		s.conn.closeStream(s, false)
	case s.dropped > mostDropped:
		s.stop()
	}
}

// enqueue lets the flusher send what is pending, if the stream's window allows; it needs the lock.
func (s *Stream) enqueue() {
	if s.queued || !s.sending {
		return
	}
	if s.hasData() && s.sendWindow <= 0 {
		return // WINDOW_UPDATE enqueues it
	}
	s.conn.ready.push(s)
}

// hasData tells that there is more to send than an end.
func (s *Stream) hasData() bool { return s.backlog != nil || len(s.pending) > 0 }

func (s *Stream) unqueue() {
	if s.queued {
		s.conn.ready.remove(s)
	}
}

// widen changes the window of what the peer takes; it needs the lock.
func (s *Stream) widen(delta int64) {
	s.sendWindow += delta
	s.enqueue()
}

// appendBlock appends a header block; it needs the lock.
func (c *conn) appendBlock(id uint32, flags frame.Flags, block []byte) {
	c.reserve(len(block) + 1 + frame.HeaderSize*(2+len(block)/frame.DefaultMaxSize))
	c.watch.sent++
	c.earn(2)
	if c.tableUpdate && !c.tableUpdated {
		// No table is used here, so that its size can be 0 from now on, which is no larger than any that the peer may ask for.
		c.tableUpdated = true
		block = append([]byte{0x20}, block...)
	}
	c.out.b = frame.AppendHeaders(c.out.b, id, flags, block, frame.DefaultMaxSize)
}

// reserve makes room for n bytes in the connection's buffer; it needs the lock.
func (c *conn) reserve(n int) {
	before := c.out.size()
	c.out = c.out.grown(n)
	if after := c.out.size(); after != before {
		c.memory.hold(after - before)
	}
}

// flushAfter unlocks, and has the buffer written: by this goroutine when its stream has ended and it has nothing else to do, by another when more may follow.
func (c *conn) flushAfter(end bool) {
	if !end {
		c.flushSoon()
		return
	}
	begin := c.begin()
	c.mu.Unlock()
	if begin {
		c.flush()
	}
}

// flushSoon unlocks, and has the buffer written by another goroutine.
func (c *conn) flushSoon() {
	c.flushSoonLocked()
	c.mu.Unlock()
}

func (c *conn) flushSoonLocked() {
	if c.begin() {
		go c.flush()
	}
}

// begin tells whether there is something to write and nobody who does; it needs the lock.
func (c *conn) begin() bool {
	if c.flushing || c.dead || !c.pendingOutput() {
		return false
	}
	c.flushing = true
	return true
}

func (c *conn) pendingOutput() bool {
	return c.out != nil && len(c.out.b) > 0 || !c.ready.empty() && c.sendWindow > 0
}

// flush writes until there is nothing to write. Who calls it has set flushing.
func (c *conn) flush() {
	for {
		// Let those that are ready add what they have: one system call for all. A lone caller does not wait, for nobody is ready.
		runtime.Gosched()
		c.mu.Lock()
		c.pump()
		b := c.out
		if b == nil || len(b.b) == 0 || c.dead {
			c.flushing = false
			if b != nil && len(b.b) == 0 {
				c.memory.release(b.size())
				b.put()
				c.out = nil
			}
			c.flushed.Broadcast()
			c.mu.Unlock()
			return
		}
		c.out, c.control, c.unwritten = nil, 0, 0
		c.watch.writing = true
		c.mu.Unlock()
		size := b.size()
		_, err := c.netConn.Write(b.b)
		b.put()
		c.mu.Lock()
		c.release(size)
		c.watch.writing = false
		c.writes++
		if err != nil {
			c.dead = true
			_ = c.netConn.Close() // which ends the reading goroutine
		}
		done := err == nil && !c.pendingOutput()
		if done {
			c.flushing = false
			c.flushed.Broadcast()
		}
		c.mu.Unlock()
		if done {
			return
		}
	}
}

// pump lets the streams that wait send, in turns, until the buffer is full; it needs the lock.
func (c *conn) pump() {
	for !c.ready.empty() && (c.out == nil || len(c.out.b) < highWater) {
		s := c.ready.head
		if s.hasData() && c.sendWindow <= 0 {
			return
		}
		c.ready.remove(s)
		share := quantum
		if c.ready.empty() {
			share = highWater // nobody else waits
		}
		if s.advance(share, false) {
			signal(s.sent)
			continue
		}
		s.stalledSince = c.server.now()
		s.enqueue()
	}
}

// streamQueue is the streams that have something to send, in the order of their turns.
type streamQueue struct{ head, tail *Stream }

func (q *streamQueue) empty() bool { return q.head == nil }

func (q *streamQueue) push(s *Stream) {
	s.queued, s.next = true, nil
	if q.tail == nil {
		q.head = s
	} else {
		q.tail.next = s
	}
	q.tail = s
}

func (q *streamQueue) remove(s *Stream) {
	var before *Stream
	for at := q.head; at != nil; before, at = at, at.next {
		if at != s {
			continue
		}
		if before == nil {
			q.head = s.next
		} else {
			before.next = s.next
		}
		if q.tail == s {
			q.tail = before
		}
		s.queued, s.next = false, nil
		return
	}
}
