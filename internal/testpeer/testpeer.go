// Package testpeer is a scripted HTTP/2 client for tests: it sends what it is told, well-formed or not, and records what comes back.
//
// A peer keeps no rules. It tracks no windows and gives no credit, it knows no states of streams, and it checks nothing that it sends. What it does by itself is little:
// it acknowledges the server's SETTINGS, it answers PING, and it decodes header blocks; [Options] turn the first two off.
//
//	p := testpeer.Connect(t, address, testpeer.Options{})
//	p.Headers(1, 0, testpeer.GRPC("/echo.Echo/Upper")...)
//	p.Data(1, frame.EndStream, testpeer.Message(payload))
//	code, message := p.Response(1).GRPC(t)
//
// A helper that waits for something fails the test when it does not come in time, and prints every frame that did.
package testpeer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// DefaultTimeout is how long a helper waits for what it expects. It tells a hang from a machine that is busy, and nothing else.
const DefaultTimeout = 30 * time.Second

// Options say how a peer differs from a plain one.
type Options struct {
	// TLS secures the connection; nil connects in clear. Its NextProtos are "h2" when it has none.
	TLS *tls.Config
	// Settings are sent after the preface by [Connect]. Without any, the windows for responses are the largest there can be, so that no test has to give credit.
	Settings []frame.Setting
	// Timeout bounds each wait; 0 is [DefaultTimeout].
	Timeout time.Duration
	// NoRead leaves what the server sends unread until [Peer.StartReading]: a peer that never reads.
	NoRead bool
	// NoAck leaves the server's SETTINGS without acknowledgement, and its PINGs without answer.
	NoAck bool
}

// Peer is one connection to a server. What sends may be called from one goroutine, what waits from the test's.
type Peer struct {
	t       testing.TB
	conn    net.Conn
	options Options
	reading sync.Once

	encodeMu sync.Mutex
	block    bytes.Buffer
	encoder  *hpack.Encoder

	writeMu sync.Mutex
	// spoken tells that something was sent. Before it nothing is answered: a client's preface comes first, and owed after it.
	spoken bool
	owed   []byte

	mu sync.Mutex
	// frames are all frames received, taken tells which of them a helper has returned.
	frames []Frame
	taken  []bool
	// ended is why reading ended; nil while it goes on.
	ended error
	// changed is closed and replaced when a frame comes or reading ends.
	changed chan struct{}
	pings   uint64
}

// Dial connects and sends nothing: not even the preface. The connection is closed when the test ends. An address may be of a Unix socket: "unix:/run/s".
func Dial(t testing.TB, address string, o Options) *Peer {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(t.Context(), o.Timeout)
	defer cancel()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		t.Fatalf("testpeer: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if o.TLS != nil {
		config := o.TLS.Clone()
		if len(config.NextProtos) == 0 {
			config.NextProtos = []string{"h2"}
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			t.Fatalf("testpeer: %v", err)
		}
		conn = secure
	}
	p := &Peer{t: t, conn: conn, options: o, changed: make(chan struct{})}
	p.encoder = hpack.NewEncoder(&p.block)
	if !o.NoRead {
		p.StartReading()
	}
	return p
}

// Connect dials, sends the preface and SETTINGS, and waits for the server's SETTINGS and for its acknowledgement of ours, unless nothing is to be read.
func Connect(t testing.TB, address string, o Options) *Peer {
	t.Helper()
	p := Dial(t, address, o)
	settings := o.Settings
	if len(settings) == 0 {
		settings = []frame.Setting{{ID: frame.InitialWindowSize, Value: frame.MaxWindow}, {ID: frame.EnablePush, Value: 0}}
	}
	b := frame.AppendSettings([]byte(frame.Preface), settings...)
	if len(o.Settings) == 0 {
		b = frame.AppendWindowUpdate(b, 0, frame.MaxWindow-frame.DefaultWindow)
	}
	p.Send(b)
	if !o.NoRead {
		p.Expect("SETTINGS", func(f Frame) bool { return f.Type == frame.Settings && !f.Flags.Has(frame.Ack) })
		p.Expect("the acknowledgement of SETTINGS", func(f Frame) bool { return f.Type == frame.Settings && f.Flags.Has(frame.Ack) })
	}
	return p
}

// Conn is the connection itself, to write or close it without ceremony.
func (p *Peer) Conn() net.Conn { return p.conn }

// Close closes the connection.
func (p *Peer) Close() { _ = p.conn.Close() }

// CloseWrite tells the server that nothing more is sent, and goes on reading.
func (p *Peer) CloseWrite() {
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// TrySend writes bytes, as frame's Append functions make them. An error means that the server has closed the connection, or, after the timeout, that it does not read.
func (p *Peer) TrySend(b []byte) error {
	p.writeMu.Lock()
	defer p.writeMu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(p.options.Timeout))
	_, err := p.conn.Write(b)
	p.spoken = true
	if err == nil && len(p.owed) > 0 {
		_, err = p.conn.Write(p.owed)
		p.owed = nil
	}
	return err
}

// reply sends an answer that nobody has asked the test for.
func (p *Peer) reply(b []byte) {
	p.writeMu.Lock()
	if !p.spoken {
		p.owed = append(p.owed, b...)
		p.writeMu.Unlock()
		return
	}
	p.writeMu.Unlock()
	p.Send(b)
}

// Send writes bytes. That the server has closed the connection is no error here: what is expected next tells.
func (p *Peer) Send(b []byte) { _ = p.TrySend(b) }

// Frame sends a frame of any type, whose length is the payload's.
func (p *Peer) Frame(kind frame.Type, flags frame.Flags, streamID uint32, payload []byte) {
	b := frame.AppendHeader(nil, frame.Header{Length: uint32(len(payload)), Type: kind, Flags: flags, StreamID: streamID})
	p.Send(append(b, payload...))
}

// Block encodes header fields, given as name, value, name, value; in that order, whatever they are. Blocks must be sent in the order they were encoded.
func (p *Peer) Block(fields ...string) []byte {
	p.encodeMu.Lock()
	defer p.encodeMu.Unlock()
	p.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

// Headers sends header fields in a HEADERS frame and as many CONTINUATION frames as it takes.
func (p *Peer) Headers(streamID uint32, flags frame.Flags, fields ...string) {
	p.Send(frame.AppendHeaders(nil, streamID, flags, p.Block(fields...), frame.DefaultMaxSize))
}

// Data sends one DATA frame.
func (p *Peer) Data(streamID uint32, flags frame.Flags, payload []byte) {
	p.Send(frame.AppendData(nil, streamID, flags, payload))
}

// Reset sends RST_STREAM.
func (p *Peer) Reset(streamID uint32, code frame.ErrorCode) {
	p.Send(frame.AppendRSTStream(nil, streamID, code))
}

// WindowUpdate sends WINDOW_UPDATE.
func (p *Peer) WindowUpdate(streamID, increment uint32) {
	p.Send(frame.AppendWindowUpdate(nil, streamID, increment))
}

// StartReading begins to read what the server sends. It is called by [Dial] unless told otherwise.
func (p *Peer) StartReading() { p.reading.Do(func() { go p.read() }) }

func (p *Peer) read() {
	reader := bufio.NewReaderSize(p.conn, 1<<16)
	decoder := hpack.NewDecoder(4096, nil)
	var headers Frame // the HEADERS or PUSH_PROMISE whose block goes on
	var block []byte
	for {
		f, err := readFrame(reader)
		if err != nil {
			p.end(err)
			return
		}
		switch f.Type {
		case frame.Headers:
			fragment, _, err := frame.HeaderBlock(f.Flags, f.Payload)
			if err != nil {
				p.end(err)
				return
			}
			headers, block = f, fragment
		case frame.Continuation:
			block = append(bytes.Clone(block), f.Payload...)
		default:
		}
		if (f.Type == frame.Headers || f.Type == frame.Continuation) && f.Flags.Has(frame.EndHeaders) {
			fields, err := decoder.DecodeFull(block)
			if err != nil {
				p.end(errors.Join(errors.New("testpeer: the server's header block"), err))
				return
			}
			f.Fields = fields
			if f.Type == frame.Continuation {
				f.Flags |= headers.Flags & frame.EndStream
			}
		}
		p.answer(f)
		p.record(f)
	}
}

// answer acknowledges what wants it.
func (p *Peer) answer(f Frame) {
	switch {
	case p.options.NoAck || f.Flags.Has(frame.Ack):
	case f.Type == frame.Settings:
		p.reply(frame.AppendSettingsAck(nil))
	case f.Type == frame.Ping && len(f.Payload) == 8:
		p.reply(frame.AppendPing(nil, true, [8]byte(f.Payload)))
	}
}

func (p *Peer) record(f Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, f)
	p.taken = append(p.taken, false)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Peer) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = err
	close(p.changed)
	p.changed = make(chan struct{})
}
