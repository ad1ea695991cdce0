package differential

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// field is one field of a header block, as it is sent or was received.
type field struct{ name, value string }

// response is what came back on one stream.
type response struct {
	// blocks are the header blocks: the header, and the trailer if there is one.
	blocks [][]field
	// body is the payload of all DATA frames.
	body []byte
	// end is the type of the frame that ended the stream, or "".
	end string
	// resets are the codes of RST_STREAM frames, each with whether the stream had ended before.
	resets []string
	// late are frames that came after the stream had ended.
	late []string
}

func (r *response) over() bool { return r.end != "" || len(r.resets) > 0 }

// peer is a client of HTTP/2 that sends whatever it is told to. It keeps to flow control, acknowledges, and notes what comes back.
type peer struct {
	conn net.Conn

	writing sync.Mutex // held for whole header blocks: the encoder has state
	encoder *hpack.Encoder
	block   bytes.Buffer

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	streams map[uint32]*response
	// windows are what may be sent; 0 is the connection's.
	windows map[uint32]int64
	initial int64
	// offered is what the client lets each stream send at a time.
	offered uint32
	goAway  string
	closed  bool
	// asked and acked count settings, and their acknowledgements.
	asked, acked int
	greeted      bool
}

// dialPeer connects and exchanges settings. window is the flow-control window of each stream; all that arrives is credited at once.
func dialPeer(ctx context.Context, address string, config *tls.Config, window uint32, settings []frame.Setting) (*peer, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	p := &peer{
		conn: conn, changed: make(chan struct{}), streams: map[uint32]*response{}, asked: 1,
		windows: map[uint32]int64{0: frame.DefaultWindow}, initial: frame.DefaultWindow, offered: window,
	}
	p.encoder = hpack.NewEncoder(&p.block)
	greeting := append([]byte(frame.Preface), frame.AppendSettings(nil, append(slices.Clone(settings), frame.Setting{ID: frame.InitialWindowSize, Value: window})...)...)
	greeting = frame.AppendWindowUpdate(greeting, 0, 1<<30)
	if err := p.write(greeting); err != nil {
		_ = conn.Close()
		return nil, err
	}
	go p.read()
	// Its own settings must have been acknowledged before others are sent: net/http acknowledges two that come together once.
	if !p.wait(ctx, func() bool { return p.greeted && p.acked > 0 || p.closed }) {
		_ = conn.Close()
		return nil, errors.New("the server sends no settings")
	}
	return p, nil
}

func (p *peer) close() { _ = p.conn.Close() }

func (p *peer) write(b []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	_, err := p.conn.Write(b)
	return err
}

// wait waits until something is so, which it asks with the lock held. It gives up when the context ends.
func (p *peer) wait(ctx context.Context, so func() bool) bool {
	for {
		p.mu.Lock()
		ok, changed := so(), p.changed
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// stream is what came back on a stream so far; the lock must be held.
func (p *peer) stream(id uint32) *response {
	if p.streams[id] == nil {
		p.streams[id] = new(response)
	}
	return p.streams[id]
}

func (p *peer) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// read takes frames until the connection ends.
func (p *peer) read() {
	decoder := hpack.NewDecoder(4096, nil)
	var header [frame.HeaderSize]byte
	var block []byte
	for {
		var payload []byte
		_, err := io.ReadFull(p.conn, header[:])
		h := frame.ParseHeader(header[:])
		if err == nil {
			payload = make([]byte, h.Length)
			_, err = io.ReadFull(p.conn, payload)
		}
		if err != nil {
			p.mu.Lock()
			p.closed = true
			p.notify()
			p.mu.Unlock()
			return
		}
		switch h.Type {
		case frame.Headers:
			block, _, _ = frame.HeaderBlock(h.Flags, payload)
			if !h.Flags.Has(frame.EndHeaders) {
				block = slices.Clone(block)
			}
		case frame.Continuation:
			block = append(block, payload...)
		default: // no part of a header block
		}
		var fields []hpack.HeaderField
		isBlock := (h.Type == frame.Headers || h.Type == frame.Continuation) && h.Flags.Has(frame.EndHeaders)
		if isBlock {
			if fields, err = decoder.DecodeFull(block); err != nil {
				fields = []hpack.HeaderField{{Name: "(undecodable)", Value: err.Error()}}
			}
		}
		if reply := p.take(h, payload, isBlock, fields); reply != nil {
			_ = p.write(reply) // the next read says that the connection is gone
		}
	}
}

// take notes a frame and returns what it is answered with.
func (p *peer) take(h frame.Header, payload []byte, isBlock bool, fields []hpack.HeaderField) (reply []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	switch h.Type {
	case frame.Settings:
		if h.Flags.Has(frame.Ack) {
			p.acked++
			return nil
		}
		for s, rest, ok := frame.ParseSetting(payload); ok; s, rest, ok = frame.ParseSetting(rest) {
			if s.ID == frame.InitialWindowSize {
				for id := range p.windows {
					if id != 0 {
						p.windows[id] += int64(s.Value) - p.initial
					}
				}
				p.initial = int64(s.Value)
			}
		}
		p.greeted = true
		return frame.AppendSettingsAck(nil)
	case frame.Ping:
		return frame.AppendPing(nil, true, [8]byte(payload))
	case frame.WindowUpdate:
		p.windows[h.StreamID] += int64(binary.BigEndian.Uint32(payload))
		return nil
	case frame.GoAway:
		p.goAway = frame.ErrorCode(binary.BigEndian.Uint32(payload[4:])).String()
		return nil
	case frame.RSTStream:
		r := p.stream(h.StreamID)
		when := "before the end"
		if r.end != "" {
			when = "after the end"
		}
		r.resets = append(r.resets, frame.ErrorCode(binary.BigEndian.Uint32(payload)).String()+" "+when)
		return nil
	case frame.Headers, frame.Continuation, frame.Data:
		return p.takePart(h, payload, isBlock, fields)
	default: // nothing that a call is made of
		return nil
	}
}

// takePart notes a part of a response.
func (p *peer) takePart(h frame.Header, payload []byte, isBlock bool, fields []hpack.HeaderField) (reply []byte) {
	r := p.stream(h.StreamID)
	if r.over() {
		r.late = append(r.late, fmt.Sprintf("a frame of type %d after the end", h.Type))
	}
	if h.Type == frame.Data {
		content, _ := frame.Unpad(h.Flags, payload)
		r.body = append(r.body, content...)
		if len(payload) > 0 {
			reply = frame.AppendWindowUpdate(nil, 0, uint32(len(payload)))
			reply = frame.AppendWindowUpdate(reply, h.StreamID, uint32(len(payload)))
		}
		if h.Flags.Has(frame.EndStream) {
			r.end = "DATA"
		}
		return reply
	}
	if isBlock {
		var fieldsOf []field
		for _, f := range fields {
			fieldsOf = append(fieldsOf, field{f.Name, f.Value})
		}
		r.blocks = append(r.blocks, fieldsOf)
	}
	if h.Type == frame.Headers && h.Flags.Has(frame.EndStream) {
		r.end = "HEADERS"
		if len(r.blocks) > 1 {
			r.end = "trailers"
		}
	}
	return nil
}

// headers sends a header block, in frames of at most max bytes.
func (p *peer) headers(id uint32, fields []field, end bool, most int) error {
	p.mu.Lock()
	if _, ok := p.windows[id]; !ok {
		p.windows[id] = p.initial
	}
	p.mu.Unlock()
	p.writing.Lock()
	defer p.writing.Unlock()
	p.block.Reset()
	for _, f := range fields {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: f.name, Value: f.value}) // it is written to memory
	}
	var flags frame.Flags
	if end {
		flags = frame.EndStream
	}
	_, err := p.conn.Write(frame.AppendHeaders(nil, id, flags, p.block.Bytes(), most))
	return err
}

// data sends a body in frames of at most max bytes, as the windows allow. It stops without an error when the windows are shut and the stream is reset or the connection
// gone: then nobody takes the rest. Before, it does not look: what is sent must not depend on how fast the server is.
func (p *peer) data(ctx context.Context, id uint32, body []byte, end bool, most, padding int) error {
	for first := true; first || len(body) > 0; first = false {
		overhead := 0
		if padding > 0 {
			overhead = padding + 1
		}
		part := body[:min(len(body), most)]
		gone := false
		ok := p.wait(ctx, func() bool {
			room := min(p.windows[0], p.windows[id]) - int64(overhead)
			if room <= 0 && len(part)+overhead > 0 {
				gone = p.closed || len(p.streams[id].getResets()) > 0
				return gone
			}
			part = part[:max(0, min(int64(len(part)), room))]
			p.windows[0] -= int64(len(part) + overhead)
			p.windows[id] -= int64(len(part) + overhead)
			return true
		})
		if !ok {
			return errors.New("the windows stay shut")
		}
		if gone {
			return nil
		}
		body = body[len(part):]
		var flags frame.Flags
		if end && len(body) == 0 {
			flags = frame.EndStream
		}
		if err := p.write(appendPadded(id, flags, part, padding)); err != nil {
			return nil //nolint:nilerr // the connection is gone, and the reader knows
		}
	}
	return nil
}

func (r *response) getResets() []string {
	if r == nil {
		return nil
	}
	return r.resets
}

// appendPadded is a DATA frame, with padding if there shall be some.
func appendPadded(id uint32, flags frame.Flags, content []byte, padding int) []byte {
	if padding == 0 {
		return frame.AppendData(nil, id, flags, content)
	}
	b := frame.AppendHeader(nil, frame.Header{Length: uint32(1 + len(content) + padding), Type: frame.Data, Flags: flags | frame.Padded, StreamID: id})
	b = append(b, byte(padding))
	b = append(b, content...)
	return append(b, make([]byte, padding)...)
}

// roundTrip goes to the server and back: all that was sent before has been taken in, and what that made the server send at once has arrived. It is settings that go,
// because gRPC's servers count pings.
func (p *peer) roundTrip(ctx context.Context) bool {
	p.mu.Lock()
	p.asked++
	want := p.asked
	p.mu.Unlock()
	if p.write(frame.AppendSettings(nil)) != nil {
		return false
	}
	return p.wait(ctx, func() bool { return p.acked >= want || p.gone() })
}

// gone tells that nothing more is to be expected of the connection; the lock must be held. Without an error, streams are still finished.
func (p *peer) gone() bool { return p.closed || p.goAway != "" && p.goAway != frame.NoError.String() }

// waitFor is how long anything may take; much more than anything does take on a busy machine.
const waitFor = 20 * time.Second
