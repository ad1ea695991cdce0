package h2

import (
	"errors"
	"net/http"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// pendingBlock is a header block of which not all frames have come.
type pendingBlock struct {
	open          bool
	streamID      uint32
	flags         frame.Flags
	selfDependent bool
	frames        int
	bytes         []byte
}

func (c *conn) onHeaders(h frame.Header, payload []byte) error {
	if h.StreamID%2 == 0 {
		return protocolError(frame.ProtocolError, "HEADERS on a stream that clients do not open")
	}
	fragment, dependency, err := frame.HeaderBlock(h.Flags, payload)
	switch {
	case errors.Is(err, frame.ErrPadding):
		return protocolError(frame.ProtocolError, "padding longer than the frame")
	case err != nil:
		return protocolError(frame.FrameSizeError, "HEADERS without the fields that its flags promise")
	}
	selfDependent := h.Flags.Has(frame.HasPriority) && dependency.StreamID == h.StreamID
	if h.Flags.Has(frame.EndHeaders) {
		return c.onBlock(h.StreamID, h.Flags, fragment, selfDependent)
	}
	c.block = pendingBlock{
		open: true, streamID: h.StreamID, flags: h.Flags, selfDependent: selfDependent,
		bytes: append([]byte(nil), fragment...), // a block of several frames is rare: its memory is not kept
	}
	return nil
}

func (c *conn) onContinuation(h frame.Header, payload []byte) error {
	if !c.block.open {
		return protocolError(frame.ProtocolError, "CONTINUATION without HEADERS")
	}
	c.block.frames++
	if c.block.frames > blockFrames || len(c.block.bytes)+len(payload) > blockFactor*c.server.limits.MaxHeaderBytes {
		return &connError{frame.EnhanceYourCalm, EndedHeader, "a header block that is too large"}
	}
	c.block.bytes = append(c.block.bytes, payload...)
	if !h.Flags.Has(frame.EndHeaders) {
		return nil
	}
	block := c.block
	c.block = pendingBlock{}
	return c.onBlock(block.streamID, block.flags, block.bytes, block.selfDependent)
}

// onBlock handles a header block that is complete: the trailers of a stream, or a new one.
func (c *conn) onBlock(id uint32, flags frame.Flags, block []byte, selfDependent bool) error {
	c.mu.Lock()
	s, last := c.streams[id], c.lastID
	c.mu.Unlock()
	if s != nil {
		return c.onTrailers(s, flags, block, selfDependent)
	}
	if id <= last {
		if err := c.decode(new(Header), block); err != nil {
			return err
		}
		return c.onLateBlock(id)
	}
	s = newStream(c, id)
	if err := c.decode(&s.Header, block); err != nil {
		return err
	}
	if selfDependent {
		c.mu.Lock()
		c.lastID = id
		c.mu.Unlock()
		return c.resetID(id, frame.ProtocolError)
	}
	return c.open(s, flags.Has(frame.EndStream))
}

// decode decodes a header block. It must be done for every block, refused or not: the table is the connection's.
func (c *conn) decode(h *Header, block []byte) error {
	c.decoding = h
	c.decoder.SetEmitEnabled(true)
	_, err := c.decoder.Write(block)
	if err == nil {
		err = c.decoder.Close()
	}
	c.decoding = nil
	if err != nil {
		return protocolError(frame.CompressionError, "a header block that does not decode")
	}
	return nil
}

// emit takes a field off the decoder.
func (c *conn) emit(f hpack.HeaderField) {
	if !c.decoding.add(f, c.server.limits.MaxHeaderBytes) {
		c.decoder.SetEmitEnabled(false)
	}
}

// onLateBlock handles a block of a stream that is over.
func (c *conn) onLateBlock(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch known, byUs := c.recent.find(id); {
	case byUs:
		return c.spend() // it was under way when the stream was reset
	case known:
		return protocolError(frame.StreamClosed, "HEADERS on a stream that is closed")
	}
	return protocolError(frame.ProtocolError, "HEADERS with an identifier lower than one before")
}

func (c *conn) onTrailers(s *Stream, flags frame.Flags, block []byte, selfDependent bool) error {
	trailers := &Header{trailer: true}
	trailers.init()
	if err := c.decode(trailers, block); err != nil {
		return err
	}
	c.mu.Lock()
	switch {
	case s.gone: // it was answered meanwhile
		c.mu.Unlock()
		return c.onLateBlock(s.id)
	case s.recvEnded:
		defer c.mu.Unlock()
		return c.reset(s, frame.StreamClosed)
	case !flags.Has(frame.EndStream), selfDependent, trailers.malformed != "", trailers.oversized, s.Header.length >= 0 && s.received != s.Header.length:
		c.server.counters.count(RefusedMalformed)
		defer c.mu.Unlock()
		return c.reset(s, frame.ProtocolError)
	}
	s.trailers, s.recvEnded = trailers, true
	if s.sendEnded {
		c.closeStream(s, false)
	}
	begin := s.whole > 0 && s.beginServing()
	s.wakeReader()
	c.mu.Unlock()
	if begin {
		c.server.workers.run(s)
	}
	return nil
}

// open begins a stream, or refuses it.
func (c *conn) open(s *Stream, end bool) error {
	c.mu.Lock()
	c.lastID = s.id
	limits := &c.server.limits
	refused, refusal := true, RefusedStreams
	switch {
	case c.drainStep == drainFinal:
		// The peer was told that this stream is not served, and opens it elsewhere.
		c.recent.add(s.id, true)
		defer c.mu.Unlock()
		return c.spend()
	case len(c.streams)+c.zombies+c.unwritten >= limits.MaxStreams:
	case c.server.memory.scarce():
		refusal = RefusedMemory
	default:
		refused = false
	}
	if refused {
		c.server.counters.count(refusal)
		defer c.mu.Unlock()
		c.appendReset(s.id, frame.RefusedStream)
		return c.spend()
	}
	malformed := !s.Header.oversized && (s.Header.check() != "" || end && s.Header.length > 0)
	if malformed {
		c.server.counters.count(RefusedMalformed)
		defer c.mu.Unlock()
		c.appendReset(s.id, frame.ProtocolError)
		return c.spend()
	}
	s.recvEnded = end
	s.recvWindow, s.sendWindow = streamWindow, c.streamSendWindow
	c.streams[s.id] = s
	c.opened++
	exhausted := s.id >= frame.MaxStreamID-lastStreams && c.drainStep == drainNot
	c.mu.Unlock()
	if exhausted {
		c.drain()
	}
	c.plan(s, end)
	return nil
}

// plan asks the handler how a stream is to be served.
func (c *conn) plan(s *Stream, end bool) {
	var plan Plan
	switch {
	case s.Header.oversized:
		c.server.counters.count(RefusedHeader)
		plan.Serve = serveOversized
	case s.Header.Method == http.MethodConnect:
		plan.Serve = serveConnect
	default:
		plan = c.server.handler.Plan(s)
	}
	s.handler = plan.Serve
	if plan.Whole > 0 && !end {
		c.mu.Lock()
		s.whole = plan.Whole
		s.enough = plan.Enough
		s.bodyDeadline = time.Now().Add(c.server.limits.BodyTimeout)
		c.mu.Unlock()
		s.proceed()
		return
	}
	if end {
		c.start(s)
		return
	}
	c.starting = append(c.starting, s) // what follows of it may have come with the same read
}

// serveOversized answers a request whose header is too large.
func serveOversized(s *Stream) { s.respondStatus(431) }

// serveConnect answers CONNECT: this is no proxy.
func serveConnect(s *Stream) { s.respondStatus(405) }
