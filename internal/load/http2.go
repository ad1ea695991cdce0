package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// http2 is the client side of an HTTP/2 connection (RFC 9113).
type http2 struct {
	c       *conn
	blocks  *blocks
	streams table
	// next is the id of the next stream, most how many calls the server takes at a time.
	next uint32
	most int
	send sending
	// window is what the server may send, credit what of it was read and not given back.
	window, streamWindow uint32
	credit               uint32
	// block is a header block that is not whole yet.
	block       []byte
	blockStream uint32
	blockFlags  frame.Flags
	decoder     *hpack.Decoder
	fields      fields
	// known are the fields of short blocks that change nothing in the table, and which come again and again.
	known [4]knownBlock
	turn  int
}

// fields are what matters of a header block.
type fields struct {
	status, grpc int
	text         string
	content      string
	encoding     string
}

type knownBlock struct {
	block  []byte
	fields fields
}

// greeting is what a client sends first.
func greeting(plan *Plan) []byte {
	stream, whole := window(plan.WindowBits), window(plan.ConnectionWindowBits)
	greeting := frame.AppendSettings([]byte(frame.Preface),
		frame.Setting{ID: frame.EnablePush, Value: 0},
		frame.Setting{ID: frame.InitialWindowSize, Value: stream},
		frame.Setting{ID: frame.MaxHeaderListSize, Value: maxHeaderList},
	)
	if whole > frame.DefaultWindow {
		greeting = frame.AppendWindowUpdate(greeting, 0, whole-frame.DefaultWindow)
	}
	return greeting
}

func newHTTP2(c *conn) *http2 {
	plan := c.w.run.plan
	h := &http2{
		c: c, next: max(plan.firstStream, 1), most: plan.Streams,
		blocks:  newBlocks(c.w.run.procedures, c.w.run.scheme(), c.w.run.target.Address.Authority),
		streams: newTable(plan.Streams),
		send:    sending{window: frame.DefaultWindow, initial: frame.DefaultWindow, maxFrame: frame.DefaultMaxSize},
		window:  window(plan.ConnectionWindowBits), streamWindow: window(plan.WindowBits),
	}
	h.decoder = hpack.NewDecoder(defaultTable, h.field)
	h.decoder.SetMaxStringLength(maxHeaderBlock)
	return h
}

// connectionError ends a connection; the server is told the code.
type connectionError struct {
	code frame.ErrorCode
	text string
}

func (e *connectionError) Error() string { return e.text }

func broken(code frame.ErrorCode, format string, args ...any) error {
	return &connectionError{code, fmt.Sprintf(format, args...)}
}

// consume reads the whole frames of what was received.
func (h *http2) consume(data []byte) (int, error) {
	used := 0
	for len(data)-used >= frame.HeaderSize {
		head := frame.ParseHeader(data[used:])
		if head.Length > maxFrame {
			if bytes.HasPrefix(data[used:], []byte("HTTP/1.")) {
				return used, errors.New("the server speaks HTTP/1.1 only")
			}
			return used, broken(frame.FrameSizeError, "the server sent a frame of %d bytes, where %d are allowed", head.Length, maxFrame)
		}
		end := used + frame.HeaderSize + int(head.Length)
		if end > len(data) {
			break
		}
		if err := h.frame(head, data[used+frame.HeaderSize:end]); err != nil {
			return used, err
		}
		used = end
	}
	return used, nil
}

func (h *http2) frame(head frame.Header, payload []byte) error {
	if h.blockStream != 0 && (head.Type != frame.Continuation || head.StreamID != h.blockStream) {
		return broken(frame.ProtocolError, "the server sent another frame within a header block")
	}
	switch head.Type {
	case frame.Data:
		return h.data(head, payload)
	case frame.Headers, frame.Continuation:
		return h.headers(head, payload)
	case frame.RSTStream:
		if len(payload) != 4 {
			return broken(frame.FrameSizeError, "the server sent RST_STREAM of %d bytes", len(payload))
		}
		if err := h.checkStream(head.StreamID); err != nil {
			return err
		}
		if s := h.streams.get(head.StreamID); s != nil {
			h.end(s, "RST_STREAM_"+frame.ErrorCode(binary.BigEndian.Uint32(payload)).String(), "the server reset the stream")
		}
	case frame.Settings:
		return h.settings(head, payload)
	case frame.Ping:
		if len(payload) != 8 {
			return broken(frame.FrameSizeError, "the server sent PING of %d bytes", len(payload))
		}
		if !head.Flags.Has(frame.Ack) {
			h.c.out = frame.AppendPing(h.c.out, true, [8]byte(payload))
		}
	case frame.GoAway:
		return h.goAway(payload)
	case frame.WindowUpdate:
		return h.windowUpdate(head, payload)
	case frame.PushPromise:
		return broken(frame.ProtocolError, "the server pushes, which was forbidden")
	case frame.Priority:
	}
	return nil // what is unknown is ignored
}

// checkStream refuses streams that were never opened.
func (h *http2) checkStream(id uint32) error {
	if id == 0 || id%2 == 0 || id >= h.next {
		return broken(frame.ProtocolError, "the server sent a frame on stream %d, which was never opened", id)
	}
	return nil
}

func (h *http2) data(head frame.Header, payload []byte) error {
	if err := h.checkStream(head.StreamID); err != nil {
		return err
	}
	content, err := frame.Unpad(head.Flags, payload)
	if err != nil {
		return broken(frame.ProtocolError, "the server sent DATA with wrong padding")
	}
	h.credit += head.Length
	if h.credit > h.window/2 {
		h.c.out = frame.AppendWindowUpdate(h.c.out, 0, h.credit)
		h.credit = 0
	}
	s := h.streams.get(head.StreamID)
	if s == nil {
		return nil // it was given up before
	}
	if s.answer.status == 0 {
		s.answer.wrong = "the response has a body before its header"
	}
	s.heard = h.c.w.now
	h.c.w.heard(s.call.measured, s.answer.take(s.call.procedure, content))
	switch {
	case head.Flags.Has(frame.EndStream):
		h.finish(s)
	case s.answer.wrong != "":
		h.giveUp(s, failMalformed, s.answer.wrong)
	default:
		s.credit += head.Length
		if s.credit > h.streamWindow/2 {
			h.c.out = frame.AppendWindowUpdate(h.c.out, s.id, s.credit)
			s.credit = 0
		}
	}
	return nil
}

func (h *http2) headers(head frame.Header, payload []byte) error {
	if head.Type == frame.Continuation {
		if h.blockStream == 0 {
			return broken(frame.ProtocolError, "the server sent CONTINUATION without a header block")
		}
		if len(h.block)+len(payload) > maxHeaderBlock {
			return broken(frame.EnhanceYourCalm, "the server sent a header block of more than %d bytes", maxHeaderBlock)
		}
		h.block = append(h.block, payload...)
		if !head.Flags.Has(frame.EndHeaders) {
			if len(payload) == 0 {
				// A block of these would take no memory, and time without end.
				return broken(frame.EnhanceYourCalm, "the server sent an empty CONTINUATION")
			}
			return nil
		}
		id := h.blockStream
		h.blockStream = 0
		return h.response(id, h.blockFlags, h.block)
	}
	if err := h.checkStream(head.StreamID); err != nil {
		return err
	}
	fragment, _, err := frame.HeaderBlock(head.Flags, payload)
	if err != nil {
		return broken(frame.ProtocolError, "the server sent HEADERS with wrong padding or priority")
	}
	if !head.Flags.Has(frame.EndHeaders) {
		h.block = append(h.block[:0], fragment...)
		h.blockStream, h.blockFlags = head.StreamID, head.Flags
		return nil
	}
	return h.response(head.StreamID, head.Flags, fragment)
}

// response takes a whole header block. It is decoded for streams that were given up too: the table belongs to the connection.
func (h *http2) response(id uint32, flags frame.Flags, block []byte) error {
	if err := h.decode(block); err != nil {
		return broken(frame.CompressionError, "the server sent a header block that cannot be decoded: %v", err)
	}
	s := h.streams.get(id)
	if s == nil {
		return nil
	}
	s.heard = h.c.w.now
	f, a := &h.fields, &s.answer
	last := flags.Has(frame.EndStream)
	switch {
	case a.status == 0 && f.status >= 100 && f.status < 200 && !last:
		return nil // more is to come
	case a.status == 0:
		a.head(s.call.procedure, f.status, f.content, f.encoding)
	case !last:
		a.wrong = "the response has a second header that does not end it"
	}
	if last || a.status != 0 && f.grpc >= 0 {
		a.grpc, a.text = f.grpc, f.text
	}
	if last {
		h.finish(s)
	} else if a.wrong != "" {
		h.giveUp(s, failMalformed, a.wrong)
	}
	return nil
}

// decode decodes a header block into h.fields.
func (h *http2) decode(block []byte) error {
	steady := len(block) <= 32 && onlyIndexed(block)
	if steady {
		for i := range h.known {
			if bytes.Equal(h.known[i].block, block) {
				h.fields = h.known[i].fields
				return nil
			}
		}
	}
	h.fields = fields{grpc: -1}
	_, err := h.decoder.Write(block)
	if err := errors.Join(err, h.decoder.Close()); err != nil {
		return err
	}
	if !steady {
		// The table may be another now.
		for i := range h.known {
			h.known[i].block = h.known[i].block[:0]
		}
		return nil
	}
	known := &h.known[h.turn%len(h.known)]
	h.turn++
	known.block, known.fields = append(known.block[:0], block...), h.fields
	return nil
}

// onlyIndexed tells whether a block is made of references of one byte, which neither change the table nor are continued.
func onlyIndexed(block []byte) bool {
	for _, b := range block {
		if b < 0x80 || b == 0xff {
			return false
		}
	}
	return len(block) > 0
}

func (h *http2) field(f hpack.HeaderField) {
	number := func() int {
		n, err := strconv.ParseUint(f.Value, 10, 16)
		if err != nil {
			return 0xffff
		}
		return int(n)
	}
	switch f.Name {
	case ":status":
		h.fields.status = number()
	case "grpc-status":
		h.fields.grpc = number()
	case "grpc-message":
		h.fields.text = f.Value[:min(len(f.Value), maxErrorBody)]
	case "content-type":
		h.fields.content = f.Value
	case "grpc-encoding", "content-encoding", "connect-content-encoding":
		h.fields.encoding = f.Value
	}
}

// finish ends a call whose response is whole.
func (h *http2) finish(s *stream) {
	code, message := s.answer.result(s.call.procedure)
	if code == "" && !s.call.procedure.enveloped {
		h.c.w.heard(s.call.measured, 1)
	}
	if s.sent < len(s.call.procedure.body) {
		// The server needs no more of the request, so none is sent.
		h.c.out = frame.AppendRSTStream(h.c.out, s.id, frame.NoError)
	}
	h.end(s, code, message)
}

// giveUp ends a call before the server has.
func (h *http2) giveUp(s *stream, code, message string) {
	h.c.out = frame.AppendRSTStream(h.c.out, s.id, frame.Cancel)
	h.end(s, code, message)
}

// end ends a call.
func (h *http2) end(s *stream, code, message string) {
	call := s.call
	h.streams.remove(s)
	h.c.ended(&call, code, message, s.answer.size)
}

func (h *http2) settings(head frame.Header, payload []byte) error {
	switch {
	case head.StreamID != 0:
		return broken(frame.ProtocolError, "the server sent SETTINGS on a stream")
	case head.Flags.Has(frame.Ack) && len(payload) == 0:
		return nil
	case head.Flags.Has(frame.Ack) || len(payload)%6 != 0:
		return broken(frame.FrameSizeError, "the server sent SETTINGS of %d bytes", len(payload))
	}
	for {
		s, rest, ok := frame.ParseSetting(payload)
		if !ok {
			break
		}
		payload = rest
		if code := s.Check(); code != frame.NoError {
			return broken(code, "the server sent setting %d with the value %d", s.ID, s.Value)
		}
		switch s.ID {
		case frame.HeaderTableSize:
			h.blocks.resize(s.Value)
		case frame.MaxConcurrentStreams:
			h.most = min(h.c.w.run.plan.Streams, int(min(s.Value, MaxStreams)))
		case frame.InitialWindowSize:
			if !h.streams.widen(int64(s.Value) - h.send.initial) {
				return broken(frame.FlowControlError, "the server widened a window beyond its limit")
			}
			h.send.initial = int64(s.Value)
		case frame.MaxFrameSize:
			// A frame is made in memory, and larger ones are not faster.
			h.send.maxFrame = min(int(s.Value), 1<<18)
		case frame.EnablePush, frame.MaxHeaderListSize, frame.EnableConnectProtocol:
		}
	}
	h.c.out = frame.AppendSettingsAck(h.c.out)
	h.pump()
	return nil
}

// goAway stops new calls. Those that the server says it will not look at are made again elsewhere.
func (h *http2) goAway(payload []byte) error {
	if len(payload) < 8 {
		return broken(frame.FrameSizeError, "the server sent GOAWAY of %d bytes", len(payload))
	}
	last := binary.BigEndian.Uint32(payload) & frame.MaxStreamID
	code := frame.ErrorCode(binary.BigEndian.Uint32(payload[4:]))
	h.c.drain("GOAWAY "+code.String(), string(payload[8:min(len(payload), 8+256)]))
	h.streams.each(func(s *stream) {
		if s.id > last {
			call := s.call
			h.streams.remove(s)
			h.c.again(&call)
		}
	})
	return nil
}

func (h *http2) windowUpdate(head frame.Header, payload []byte) error {
	if len(payload) != 4 {
		return broken(frame.FrameSizeError, "the server sent WINDOW_UPDATE of %d bytes", len(payload))
	}
	increment := int64(binary.BigEndian.Uint32(payload) & frame.MaxWindow)
	if head.StreamID == 0 {
		if h.send.window += increment; increment == 0 || h.send.window > frame.MaxWindow {
			return broken(frame.FlowControlError, "the server widened the connection's window by %d, to %d", increment, h.send.window)
		}
		h.pump()
		return nil
	}
	if err := h.checkStream(head.StreamID); err != nil {
		return err
	}
	s := h.streams.get(head.StreamID)
	if s == nil {
		return nil
	}
	if s.window += increment; increment == 0 || s.window > frame.MaxWindow {
		h.giveUp(s, "FLOW_CONTROL", "the server widened a stream's window by too much")
		return nil
	}
	h.pump()
	return nil
}

// room is how many more calls can be opened.
func (h *http2) room() int {
	if h.next >= frame.MaxStreamID-2*uint32(len(h.streams.slots)) {
		h.c.drain("", "stream ids have run out")
		return 0
	}
	return h.most - h.streams.count
}

func (h *http2) active() int { return h.streams.count }

// expire ends the calls that have heard nothing since a time.
func (h *http2) expire(since int64) {
	h.streams.each(func(s *stream) {
		if s.heard < since {
			h.giveUp(s, failTimeout, "no answer in time")
		}
	})
}

// cut gives up the calls that a test chooses; they count neither as done nor as failed.
func (h *http2) cut(which func(*call) bool) {
	h.streams.each(func(s *stream) {
		if which(&s.call) {
			call := s.call
			h.c.out = frame.AppendRSTStream(h.c.out, s.id, frame.Cancel)
			h.streams.remove(s)
			h.c.unfinished(&call)
		}
	})
}

// lose ends all calls of a connection that is no more.
func (h *http2) lose(code, message string) {
	h.streams.each(func(s *stream) { h.end(s, code, message) })
}

// farewell is what the server is told before the connection is closed.
func (h *http2) farewell(err error) {
	code, text := frame.NoError, ""
	var wrong *connectionError
	if errors.As(err, &wrong) {
		code, text = wrong.code, wrong.text
	}
	h.c.out = frame.AppendGoAway(h.c.out, 0, code, text)
}
