package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// caller makes one call after another on one connection and checks each answer.
type caller interface {
	call() error
	close() error
}

// grpcCaller speaks gRPC on HTTP/2, one call at a time. The answer is one message, and what is sent fits into the window that every server begins with.
type grpcCaller struct {
	socket          io.ReadWriteCloser
	scheme, address string
	stream          uint32
	exchange        *exchange
	// request and answer are framed messages.
	request, answer []byte
	// header is the block of a request's header. It is the same in every call but the first, which fills the table that the others refer to.
	header  []byte
	send    []byte
	frames  frameReader
	decoder *hpack.Decoder
	// What is known of the response.
	body           []byte
	status, result string
}

func dialGRPC(address string, x *exchange) (caller, error) {
	socket, err := dialBlocking(address)
	if err != nil {
		return nil, err
	}
	return newGRPCCaller(socket, "http", address, x)
}

// dial connects with TLS when the server has it.
func (s *server) dial(ctx context.Context, x *exchange) (*grpcCaller, error) {
	var socket io.ReadWriteCloser
	var err error
	if s.tls == nil {
		socket, err = dialBlocking(s.address)
	} else {
		socket, err = dialSecure(ctx, s.address, s.tls)
	}
	if err != nil {
		return nil, err
	}
	return newGRPCCaller(socket, s.scheme(), s.address, x)
}

// newGRPCCaller begins to speak HTTP/2 on a connection, and makes the first call. It closes the connection when that fails.
func newGRPCCaller(socket io.ReadWriteCloser, scheme, address string, x *exchange) (*grpcCaller, error) {
	c := &grpcCaller{
		socket: socket, scheme: scheme, address: address, frames: frameReader{from: socket},
	}
	c.expect(x)
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		switch f.Name {
		case ":status":
			c.status = f.Value
		case "grpc-status":
			c.result = f.Value
		}
	})
	start := openWindows(nil)
	blocks := newRequestBlocks(scheme, address, x.procedure)
	c.header = blocks.first
	_, err := socket.Write(start)
	if err == nil {
		err = c.call()
	}
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	c.header = blocks.next
	return c, nil
}

// openWindows appends how a client begins that opens its windows once as wide as they go, so that no call has to.
func openWindows(b []byte) []byte {
	b = frame.AppendSettings(append(b, frame.Preface...), frame.Setting{ID: frame.InitialWindowSize, Value: frame.MaxWindow})
	return frame.AppendWindowUpdate(b, 0, frame.MaxWindow-frame.DefaultWindow)
}

// turnTo makes the next calls another exchange's.
func (c *grpcCaller) turnTo(x *exchange) {
	c.header = newRequestBlocks(c.scheme, c.address, x.procedure).plain
	c.expect(x)
}

// expect makes the next answers those of an exchange.
func (c *grpcCaller) expect(x *exchange) {
	c.exchange, c.request, c.answer = x, framed(x.request), nil
	if x.accepts == nil {
		c.answer = framed(x.responses[0])
	}
}

// rest gives back what memory a caller needs only while it calls.
func (c *grpcCaller) rest() {
	c.send, c.body = nil, nil
	if len(c.frames.received) == 0 {
		c.frames.buffer, c.frames.received = nil, nil
	}
}

// requestBlocks are the header blocks of a call: of the first one on a connection, of those after it, which refer to what it left in the table, and one that
// leaves the table alone.
type requestBlocks struct{ first, next, plain []byte }

func newRequestBlocks(scheme, address, procedure string) requestBlocks {
	var block bytes.Buffer
	encode := func(encoder *hpack.Encoder, sensitive bool) []byte {
		block.Reset()
		for _, f := range requestFields(scheme, address, procedure, namespace) {
			_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: sensitive}) // to memory
		}
		return bytes.Clone(block.Bytes())
	}
	encoder := hpack.NewEncoder(&block)
	return requestBlocks{first: encode(encoder, false), next: encode(encoder, false), plain: encode(hpack.NewEncoder(&block), true)}
}

// requestFields are those of a call's header.
func requestFields(scheme, address, procedure, namespace string) [][2]string {
	return [][2]string{
		{":method", "POST"},
		{":scheme", scheme},
		{":path", procedure},
		{":authority", address},
		{"content-type", "application/grpc"},
		{"te", "trailers"},
		{namespaceHeader, namespace},
	}
}

func (c *grpcCaller) close() error { return c.socket.Close() }

func (c *grpcCaller) call() error {
	if err := c.ask(); err != nil {
		return err
	}
	return c.check()
}

// check tells whether the answer is right.
func (c *grpcCaller) check() error {
	right := c.status == "200" && c.result == "0"
	if c.exchange.accepts != nil && right && len(c.body) >= framePrefix {
		return c.exchange.accepts(c.body[framePrefix:])
	}
	if !right || !bytes.Equal(c.body, c.answer) {
		return fmt.Errorf("wrong answer: status %s, grpc-status %s, %.200q", c.status, c.result, c.body)
	}
	return nil
}

// ask makes the call, and reads the answer without a look at it.
func (c *grpcCaller) ask() error {
	c.stream += 2
	if c.stream == 2 {
		c.stream = 1
	}
	c.send = frame.AppendHeaders(c.send[:0], c.stream, 0, c.header, frame.DefaultMaxSize)
	rest := c.request
	for len(rest) > frame.DefaultMaxSize {
		c.send = frame.AppendData(c.send, c.stream, 0, rest[:frame.DefaultMaxSize])
		rest = rest[frame.DefaultMaxSize:]
	}
	c.send = frame.AppendData(c.send, c.stream, frame.EndStream, rest)
	if _, err := c.socket.Write(c.send); err != nil {
		return err
	}
	c.body, c.status, c.result = c.body[:0], "", ""
	for {
		ended, err := c.receive()
		if err != nil {
			return err
		}
		if ended {
			return nil
		}
	}
}

// receive reads a frame, and tells whether it ended the response.
func (c *grpcCaller) receive() (ended bool, err error) {
	h, payload, err := c.frames.next()
	if err != nil {
		return false, err
	}
	switch h.Type {
	case frame.Data:
		c.body = append(c.body, payload...)
		return h.Flags.Has(frame.EndStream), nil
	case frame.Headers:
		if h.Flags&^frame.EndStream != frame.EndHeaders {
			return false, fmt.Errorf("a HEADERS frame has flags %#x; this client reads unpadded, whole ones", h.Flags)
		}
		_, err := c.decoder.Write(payload)
		return h.Flags.Has(frame.EndStream), errors.Join(err, c.decoder.Close())
	case frame.RSTStream, frame.GoAway:
		return false, fmt.Errorf("the server gave up: frame type %d, %q", h.Type, payload)
	default:
		if answer := controlAnswer(h, payload); answer != nil {
			_, err = c.socket.Write(answer)
		}
		return false, err
	}
}

// controlAnswer is what SETTINGS and PING are to be answered with; nil for every other frame.
func controlAnswer(h frame.Header, payload []byte) []byte {
	switch {
	case h.Type == frame.Settings && !h.Flags.Has(frame.Ack):
		return frame.AppendSettingsAck(nil)
	case h.Type == frame.Ping && !h.Flags.Has(frame.Ack):
		return frame.AppendPing(nil, true, [8]byte(payload))
	}
	return nil
}

// frameReader reads frames of at most half of its buffer; without one, of the largest size that needs no setting.
type frameReader struct {
	from   io.Reader
	buffer []byte
	// received are the bytes read but not looked at, in buffer.
	received []byte
}

// next returns a frame. Its payload is valid until the next call.
func (r *frameReader) next() (frame.Header, []byte, error) {
	head, err := r.take(frame.HeaderSize)
	if err != nil {
		return frame.Header{}, nil, err
	}
	h := frame.ParseHeader(head)
	payload, err := r.take(int(h.Length))
	return h, payload, err
}

// take returns the next n bytes.
func (r *frameReader) take(n int) ([]byte, error) {
	if r.buffer == nil {
		r.buffer = make([]byte, 2*frame.DefaultMaxSize)
	}
	if n > len(r.buffer)/2 {
		return nil, fmt.Errorf("a frame of %d bytes is too long", n)
	}
	for len(r.received) < n {
		if cap(r.received)-len(r.received) < len(r.buffer)/2 {
			r.received = append(r.buffer[:0], r.received...)
		}
		got, err := r.from.Read(r.received[len(r.received):cap(r.received)])
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		r.received = r.received[:len(r.received)+got]
	}
	next := r.received[:n]
	r.received = r.received[n:]
	return next, nil
}
