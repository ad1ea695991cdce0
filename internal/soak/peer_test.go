package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// stream is what has come back on a stream.
type stream struct {
	header, ended bool
	// status is grpc-status, -1 while it is not known.
	status int
	reset  bool
	body   []byte
	size   int
}

// peer is a client that can be told to do anything with its frames. It remembers little, so that it can go on for long.
type peer struct {
	conn net.Conn
	// lazy is how long it waits after each frame that it reads; silent peers do not read at all.
	lazy time.Duration
	// keep tells that bodies are kept, not only counted.
	keep bool

	writing sync.Mutex
	encoder *hpack.Encoder
	block   bytes.Buffer
	next    uint32

	mu      sync.Mutex
	changed chan struct{}
	streams map[uint32]*stream
	windows map[uint32]int64
	initial int64
	gone    bool
	pinged  bool
}

// dial connects a peer, in clear or with TLS. window is what its streams may be sent at a time.
func dial(ctx context.Context, address string, trust *tls.Config, window uint32, configure func(*peer)) (*peer, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if trust != nil {
		config := trust.Clone()
		config.ServerName, config.NextProtos = "localhost", []string{"h2"}
		conn = tls.Client(conn, config)
	}
	p := &peer{
		conn: conn, next: 1, changed: make(chan struct{}), streams: map[uint32]*stream{},
		windows: map[uint32]int64{0: frame.DefaultWindow}, initial: frame.DefaultWindow,
	}
	p.encoder = hpack.NewEncoder(&p.block)
	if configure != nil {
		configure(p)
	}
	greeting := append([]byte(frame.Preface), frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: window})...)
	if err := p.send(frame.AppendWindowUpdate(greeting, 0, 1<<24)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return p, nil
}

func (p *peer) send(b []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	return p.sendLocked(b)
}

func (p *peer) sendLocked(b []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	_, err := p.conn.Write(b)
	return err
}

// close ends the connection, in order or with a reset of TCP.
func (p *peer) close(abruptly bool) {
	below := p.conn
	if secure, ok := below.(*tls.Conn); ok {
		below = secure.NetConn()
	}
	if tcp, ok := below.(*net.TCPConn); ok && abruptly {
		_ = tcp.SetLinger(0)
	}
	_ = below.Close()
}

// read takes frames until the connection ends.
func (p *peer) read() {
	defer func() {
		p.mu.Lock()
		p.gone = true
		p.notify()
		p.mu.Unlock()
	}()
	decoder := hpack.NewDecoder(4096, nil)
	var header [frame.HeaderSize]byte
	var block []byte
	for {
		if _, err := io.ReadFull(p.conn, header[:]); err != nil {
			return
		}
		h := frame.ParseHeader(header[:])
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(p.conn, payload); err != nil {
			return
		}
		var fields []hpack.HeaderField
		if h.Type == frame.Headers || h.Type == frame.Continuation {
			block = append(block, payload...)
			if h.Flags.Has(frame.EndHeaders) {
				var err error
				if fields, err = decoder.DecodeFull(block); err != nil {
					return
				}
				block = block[:0]
			}
		}
		if p.lazy > 0 {
			time.Sleep(p.lazy)
		}
		if reply := p.take(h, payload, fields); reply != nil && p.send(reply) != nil {
			return
		}
	}
}

func (p *peer) take(h frame.Header, payload []byte, fields []hpack.HeaderField) (reply []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.notify()
	s := p.streams[h.StreamID]
	switch h.Type {
	case frame.Settings:
		if h.Flags.Has(frame.Ack) {
			return nil
		}
		for set, rest, ok := frame.ParseSetting(payload); ok; set, rest, ok = frame.ParseSetting(rest) {
			if set.ID == frame.InitialWindowSize {
				for id := range p.windows {
					if id != 0 {
						p.windows[id] += int64(set.Value) - p.initial
					}
				}
				p.initial = int64(set.Value)
			}
		}
		return frame.AppendSettingsAck(nil)
	case frame.Ping:
		if h.Flags.Has(frame.Ack) {
			p.pinged = true
			return nil
		}
		return frame.AppendPing(nil, true, [8]byte(payload))
	case frame.WindowUpdate:
		if _, ok := p.windows[h.StreamID]; ok {
			p.windows[h.StreamID] += int64(binary.BigEndian.Uint32(payload))
		}
		return nil
	case frame.Data:
		if len(payload) > 0 {
			reply = frame.AppendWindowUpdate(nil, 0, uint32(len(payload)))
			if s != nil && !h.Flags.Has(frame.EndStream) {
				reply = frame.AppendWindowUpdate(reply, h.StreamID, uint32(len(payload)))
			}
		}
	default: // of a stream, or not needed
	}
	if s == nil {
		return reply
	}
	switch h.Type {
	case frame.Data:
		s.size += len(payload)
		if p.keep {
			s.body = append(s.body, payload...)
		}
	case frame.RSTStream:
		s.reset = true
	case frame.Headers, frame.Continuation:
		s.header = true
		for _, f := range fields {
			if f.Name == "grpc-status" {
				s.status, _ = strconv.Atoi(f.Value)
			}
		}
	default: // of the connection
	}
	if (h.Type == frame.Data || h.Type == frame.Headers) && h.Flags.Has(frame.EndStream) {
		s.ended = true
	}
	return reply
}

func (p *peer) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

var (
	errGone  = errors.New("the connection is gone")
	errLate  = errors.New("it takes too long")
	errReset = errors.New("the stream was reset")
)

// wait waits until something is so, which it asks with the lock held.
func (p *peer) wait(ctx context.Context, most time.Duration, so func() bool) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		p.mu.Lock()
		ok, gone, changed := so(), p.gone, p.changed
		p.mu.Unlock()
		switch {
		case ok:
			return nil
		case gone:
			return errGone
		}
		select {
		case <-changed:
		case <-timer.C:
			return errLate
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open starts a call and returns its stream.
func (p *peer) open(method string, more ...string) (uint32, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	id := p.next
	p.next += 2
	p.mu.Lock()
	p.windows[id] = p.initial
	p.streams[id] = &stream{status: -1}
	p.mu.Unlock()
	p.block.Reset()
	fields := append([]string{
		":method", "POST", ":scheme", "http", ":path", "/" + service + "/" + method, ":authority", "localhost", "content-type", "application/grpc", "te", "trailers",
	}, more...)
	for i := 0; i+1 < len(fields); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // it is written to memory
	}
	return id, p.sendLocked(frame.AppendHeaders(nil, id, 0, p.block.Bytes(), frame.DefaultMaxSize))
}

// data sends a body as the windows allow.
func (p *peer) data(ctx context.Context, id uint32, body []byte, end bool, most int) error {
	for first := true; first || len(body) > 0; first = false {
		part := body[:min(len(body), most)]
		var over bool
		err := p.wait(ctx, 20*time.Second, func() bool {
			s := p.streams[id]
			if over = s == nil || s.reset || s.ended; over {
				return true
			}
			room := min(p.windows[0], p.windows[id])
			if room <= 0 && len(part) > 0 {
				return false
			}
			part = part[:min(int64(len(part)), max(room, 0))]
			p.windows[0] -= int64(len(part))
			p.windows[id] -= int64(len(part))
			return true
		})
		if err != nil || over {
			return err
		}
		body = body[len(part):]
		var flags frame.Flags
		if end && len(body) == 0 {
			flags = frame.EndStream
		}
		if err := p.send(frame.AppendData(nil, id, flags, part)); err != nil {
			return errGone
		}
	}
	return nil
}

func (p *peer) reset(id uint32, code frame.ErrorCode) error {
	p.forget(id)
	return p.send(frame.AppendRSTStream(nil, id, code))
}

// forget forgets a stream.
func (p *peer) forget(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.streams, id)
	delete(p.windows, id)
}

// answer waits for the end of a stream and returns what came, and forgets it.
func (p *peer) answer(ctx context.Context, id uint32, most time.Duration) (stream, error) {
	var s stream
	err := p.wait(ctx, most, func() bool {
		s = *p.streams[id]
		return s.ended || s.reset
	})
	p.forget(id)
	if err == nil && s.reset && !s.ended {
		err = errReset
	}
	return s, err
}

// message is a request of n bytes, with its prefix.
func message(n int) []byte {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	encoded, _ := proto.Marshal(wrapperspb.Bytes(content)) // bytes are always valid
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(encoded))), encoded...)
}
