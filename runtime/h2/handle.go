package h2

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// handle handles one frame. The payload is valid until it returns.
func (c *conn) handle(h frame.Header, payload []byte) error {
	if c.block.open && (h.Type != frame.Continuation || h.StreamID != c.block.streamID) {
		return protocolError(frame.ProtocolError, "a frame within a header block")
	}
	if !c.settled {
		if h.Type != frame.Settings || h.Flags.Has(frame.Ack) {
			return protocolError(frame.ProtocolError, "the first frame is not SETTINGS")
		}
		c.settled = true
		c.mu.Lock()
		c.watch.settled = true
		c.mu.Unlock()
	}
	switch h.Type {
	case frame.Data:
		return c.onData(h, payload)
	case frame.Headers:
		return c.onHeaders(h, payload)
	case frame.Continuation:
		return c.onContinuation(h, payload)
	case frame.Priority:
		return c.onPriority(h, payload)
	case frame.RSTStream:
		return c.onRSTStream(h, payload)
	case frame.Settings:
		return c.onSettings(h, payload)
	case frame.PushPromise:
		return protocolError(frame.ProtocolError, "PUSH_PROMISE of a client")
	case frame.Ping:
		return c.onPing(h, payload)
	case frame.GoAway:
		return c.onGoAway(h, payload)
	case frame.WindowUpdate:
		return c.onWindowUpdate(h, payload)
	}
	return c.nuisance() // an extension that was not agreed on is ignored
}

// nuisance counts a frame that cost work and gave none.
func (c *conn) nuisance() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spend()
}

// spend needs the lock.
func (c *conn) spend() error {
	if c.allowance--; c.allowance < 0 {
		return &connError{frame.EnhanceYourCalm, EndedFlood, "too many frames that carry nothing"}
	}
	if c.control > mostControl {
		return &connError{frame.EnhanceYourCalm, EndedControl, "too many answers that are not read"}
	}
	return nil
}

// earn allows frames for one that was sent: a peer that reads its responses sends updates of windows for them.
func (c *conn) earn(n int) {
	c.allowance = min(c.allowance+n, 20*c.server.limits.FloodAllowance)
}

func (c *conn) onPriority(h frame.Header, payload []byte) error {
	switch {
	case h.StreamID == 0:
		return protocolError(frame.ProtocolError, "PRIORITY without a stream")
	case len(payload) != frame.DependencySize:
		return c.resetID(h.StreamID, frame.FrameSizeError)
	case frame.ParseDependency(payload).StreamID == h.StreamID:
		return c.resetID(h.StreamID, frame.ProtocolError)
	}
	return c.nuisance() // priorities of RFC 7540 are deprecated and ignored
}

func (c *conn) onRSTStream(h frame.Header, payload []byte) error {
	switch {
	case h.StreamID == 0:
		return protocolError(frame.ProtocolError, "RST_STREAM without a stream")
	case len(payload) != 4:
		return protocolError(frame.FrameSizeError, "RST_STREAM of another size than 4")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.neverOpened(h.StreamID) {
		return protocolError(frame.ProtocolError, "RST_STREAM of a stream that was not opened")
	}
	if s := c.streams[h.StreamID]; s != nil {
		s.abort(&ResetError{frame.ErrorCode(binary.BigEndian.Uint32(payload))})
		c.closeStream(s, false)
	}
	return c.spend()
}

// neverOpened tells whether a stream is idle: those with even identifiers are the server's, which opens none. It needs the lock.
func (c *conn) neverOpened(id uint32) bool { return id > c.lastID || id%2 == 0 }

func (c *conn) onSettings(h frame.Header, payload []byte) error {
	switch {
	case h.StreamID != 0:
		return protocolError(frame.ProtocolError, "SETTINGS on a stream")
	case h.Flags.Has(frame.Ack) && len(payload) != 0:
		return protocolError(frame.FrameSizeError, "SETTINGS that acknowledge and set")
	case h.Flags.Has(frame.Ack):
		return c.nuisance()
	case len(payload)%6 != 0:
		return protocolError(frame.FrameSizeError, "SETTINGS of another size than a multiple of 6")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest, n := payload, 1; ; n++ {
		var s frame.Setting
		var ok bool
		if s, rest, ok = frame.ParseSetting(rest); !ok {
			break
		}
		if code := s.Check(); code != frame.NoError {
			return protocolError(code, "a setting that is out of its range")
		}
		if err := c.set(s); err != nil {
			return err
		}
		if n > usualSettings {
			if err := c.spend(); err != nil {
				return err
			}
		}
	}
	c.reserve(frame.HeaderSize)
	c.out.b = frame.AppendSettingsAck(c.out.b)
	c.control += frame.HeaderSize
	return c.spend()
}

// usualSettings is more settings than there are. Each one more counts as a frame: a window that changes is work for each stream.
const usualSettings = 16

// set applies one setting; it needs the lock.
func (c *conn) set(s frame.Setting) error {
	switch s.ID {
	case frame.HeaderTableSize:
		c.tableUpdate = c.tableUpdate || s.Value < 4096
	case frame.InitialWindowSize:
		delta := int64(s.Value) - c.streamSendWindow
		c.streamSendWindow = int64(s.Value)
		for _, stream := range c.streams {
			if stream.sendWindow+delta > frame.MaxWindow {
				return protocolError(frame.FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large")
			}
			stream.widen(delta)
		}
	default: // nothing here depends on the others
	}
	return nil
}

// pingPolicy is gRPC's rule on keepalive (proposal A8).
type pingPolicy struct {
	last    time.Time
	strikes int
	writes  int64
}

const mostStrikes = 2

func (c *conn) onPing(h frame.Header, payload []byte) error {
	switch {
	case h.StreamID != 0:
		return protocolError(frame.ProtocolError, "PING on a stream")
	case len(payload) != 8:
		return protocolError(frame.FrameSizeError, "PING of another size than 8")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.Flags.Has(frame.Ack) {
		if c.drainStep == drainAnnounced && [8]byte(payload) == drainPing {
			c.drainFinally()
		}
		return c.spend()
	}
	now := time.Now()
	if sent := c.watch.sent; sent != c.pings.writes {
		c.pings = pingPolicy{writes: sent} // what was sent forgives
	} else if !c.pings.last.IsZero() && now.Sub(c.pings.last) < c.server.limits.MinPingInterval {
		c.pings.strikes++
	}
	c.pings.last = now
	if c.pings.strikes > mostStrikes {
		return &connError{frame.EnhanceYourCalm, EndedPings, "too_many_pings"}
	}
	c.reserve(frame.HeaderSize + 8)
	c.out.b = frame.AppendPing(c.out.b, true, [8]byte(payload))
	c.control += frame.HeaderSize + 8
	return c.spend()
}

func (c *conn) onGoAway(h frame.Header, payload []byte) error {
	switch {
	case h.StreamID != 0:
		return protocolError(frame.ProtocolError, "GOAWAY on a stream")
	case len(payload) < 8:
		return protocolError(frame.FrameSizeError, "GOAWAY of less than 8 bytes")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	if c.over() {
		return errDrained
	}
	return c.spend()
}

func (c *conn) onWindowUpdate(h frame.Header, payload []byte) error {
	if len(payload) != 4 {
		return protocolError(frame.FrameSizeError, "WINDOW_UPDATE of another size than 4")
	}
	increment := int64(binary.BigEndian.Uint32(payload) & frame.MaxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.StreamID == 0 {
		switch {
		case increment == 0:
			return protocolError(frame.ProtocolError, "WINDOW_UPDATE by nothing")
		case c.sendWindow+increment > frame.MaxWindow:
			return protocolError(frame.FlowControlError, "WINDOW_UPDATE makes the connection's window too large")
		}
		c.sendWindow += increment
		return c.spend()
	}
	s := c.streams[h.StreamID]
	switch {
	case s == nil && c.neverOpened(h.StreamID):
		return protocolError(frame.ProtocolError, "WINDOW_UPDATE of a stream that was not opened")
	case s == nil:
		return c.spend()
	case increment == 0:
		return c.reset(s, frame.ProtocolError)
	case s.sendWindow+increment > frame.MaxWindow:
		return c.reset(s, frame.FlowControlError)
	}
	s.widen(increment)
	return c.spend()
}

func (c *conn) onData(h frame.Header, payload []byte) error {
	if h.StreamID == 0 {
		return protocolError(frame.ProtocolError, "DATA without a stream")
	}
	data, err := frame.Unpad(h.Flags, payload)
	switch {
	case errors.Is(err, frame.ErrPadding):
		return protocolError(frame.ProtocolError, "padding longer than the frame")
	case err != nil:
		return protocolError(frame.FrameSizeError, "DATA without the length of its padding")
	}
	c.mu.Lock()
	begin, err := c.receive(h, data)
	c.mu.Unlock()
	if begin != nil {
		c.server.workers.run(begin)
	}
	return err
}

// receive takes in the data of a frame. It returns the stream when that is ready to be served. It needs the lock.
func (c *conn) receive(h frame.Header, data []byte) (begin *Stream, err error) {
	size := int64(h.Length) // padding counts
	if size > c.recvWindow {
		return nil, protocolError(frame.FlowControlError, "DATA beyond the connection's window")
	}
	c.recvWindow -= size
	s := c.streams[h.StreamID]
	end := h.Flags.Has(frame.EndStream)
	if s == nil {
		if c.neverOpened(h.StreamID) {
			return nil, protocolError(frame.ProtocolError, "DATA of a stream that was not opened")
		}
		c.credit() // the connection's window is not the stream's
		if _, byUs := c.recent.find(h.StreamID); byUs {
			if len(data) > 0 {
				return nil, nil // it was under way when the stream was reset
			}
			return nil, c.spend()
		}
		c.appendReset(h.StreamID, frame.StreamClosed)
		return nil, c.spend()
	}
	switch {
	case s.recvEnded:
		return nil, c.reset(s, frame.StreamClosed)
	case size > s.recvWindow:
		return nil, c.reset(s, frame.FlowControlError)
	}
	s.recvWindow -= size
	s.received += int64(len(data))
	if declared := s.Header.length; declared >= 0 && (s.received > declared || end && s.received != declared) {
		c.server.counters.count(RefusedMalformed)
		return nil, c.reset(s, frame.ProtocolError)
	}
	if len(data) == 0 && !end {
		if err := c.spend(); err != nil {
			return nil, err
		}
	}
	s.accept(data)
	s.recvEnded = end
	if s.sendEnded {
		c.credit()
		s.afterResponse(len(data))
		return nil, nil
	}
	c.credit()
	s.credit()
	if s.whole > 0 && !s.begun {
		s.overflowed = s.received > int64(s.whole)
		enough := s.enough != nil && s.body != nil && s.enough(s.body.b)
		if (end || s.overflowed || enough) && s.beginServing() {
			return s, nil
		}
		return nil, nil
	}
	s.wakeReader()
	return nil, nil
}

// release gives back n bytes of what is held. A window that was withheld for them is opened: a peer that may send nothing gives no other occasion. It needs the lock.
func (c *conn) release(n int) {
	short := c.memory.short
	c.memory.release(n)
	if short {
		c.credit()
	}
}

// credit opens the connection's window again when half of it was used. Data that is held beyond what there is memory for is not replaced.
func (c *conn) credit() {
	if c.closing {
		return
	}
	allowed := c.wideWindow
	if c.memory.short {
		allowed = max(allowed-c.memory.held, 0)
	}
	if allowed-c.recvWindow < c.wideWindow/2 {
		return
	}
	// A peer that uses the window up quickly is held up by it.
	const quick = 25 * time.Millisecond
	now := time.Now()
	if wider := min(c.wideWindow*8, mostWindow); wider > c.wideWindow && now.Sub(c.lastCredit) < quick && !c.memory.short && c.memory.widen(wider-c.wideWindow) {
		allowed += wider - c.wideWindow
		c.wideWindow = wider
	}
	c.lastCredit = now
	c.reserve(frame.HeaderSize + 4)
	c.out.b = frame.AppendWindowUpdate(c.out.b, 0, uint32(allowed-c.recvWindow))
	c.recvWindow = allowed
}
