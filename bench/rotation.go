package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// rotation keeps connections full of the same call, as fast as it is answered, in some namespaces in turn. h2load sends the same header again and again. Here the
// namespace is written out in each call, also when there is only one, so that all of them are read by the same way.
type rotation struct {
	exchange             *exchange
	namespaces           []string
	connections, streams int
}

// run makes calls for a time, and waits for those that are under way then. It returns how many there were.
func (r rotation) run(ctx context.Context, address string, duration time.Duration) (calls int, err error) {
	type outcome struct {
		calls int
		err   error
	}
	outcomes := make(chan outcome)
	until := time.Now().Add(duration)
	for i := range r.connections {
		go func() {
			c, err := r.dial(address)
			if err != nil {
				outcomes <- outcome{0, err}
				return
			}
			c.turn = i * len(r.namespaces) / r.connections
			err = errors.Join(c.fill(ctx, r.streams, until), c.socket.Close())
			outcomes <- outcome{c.ended, err}
		}()
	}
	var errs []error
	for range r.connections {
		o := <-outcomes
		calls += o.calls
		errs = append(errs, o.err)
	}
	return calls, errors.Join(errs...)
}

// rotor is a connection of a rotation.
type rotor struct {
	socket io.ReadWriteCloser
	frames frameReader
	// first is the first call's request, requests are those of the calls after it, by namespace: frames of stream 0.
	first    []byte
	requests [][]byte
	turn     int
	next     uint32
	send     []byte
	decoder  *hpack.Decoder
	result   string
	// started and ended count calls, received the bytes of their answers' bodies, which are of the length answer each.
	started, ended, received, answer int
}

func (r rotation) dial(address string) (*rotor, error) {
	socket, err := dialBlocking(address)
	if err != nil {
		return nil, err
	}
	c := &rotor{socket: socket, frames: frameReader{from: socket, buffer: make([]byte, 128<<10)}, next: 1, answer: r.exchange.grpcLength()}
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == "grpc-status" {
			c.result = f.Value
		}
	})
	c.first, c.requests = r.framed(address)
	c.send = openWindows(nil)
	return c, nil
}

// framed makes the requests. The first one's header fills the table that the others refer to, for everything but the namespace's name.
func (r rotation) framed(address string) (first []byte, others [][]byte) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	encode := func(namespace string, sensitive bool) []byte {
		block.Reset()
		for _, f := range requestFields("http", address, r.exchange.procedure, namespace) {
			_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: sensitive && f[0] == namespaceHeader}) // to memory
		}
		request := frame.AppendHeaders(nil, 0, 0, block.Bytes(), frame.DefaultMaxSize)
		return frame.AppendData(request, 0, frame.EndStream, framed(r.exchange.request))
	}
	first = encode(r.namespaces[0], false)
	for _, name := range r.namespaces {
		others = append(others, encode(name, true))
	}
	return first, others
}

// fill keeps so many calls under way until a time.
func (c *rotor) fill(ctx context.Context, streams int, until time.Time) error {
	for range streams {
		c.open()
	}
	for i := 0; ; i++ {
		if len(c.send) > 0 && len(c.frames.received) == 0 { // everything that was read is looked at
			if _, err := c.socket.Write(c.send); err != nil {
				return err
			}
			c.send = c.send[:0]
		}
		ended, err := c.receive()
		switch {
		case err != nil:
			return err
		case !ended:
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().Before(until):
			c.open()
		case c.ended == c.started:
			if c.received != c.ended*c.answer {
				return fmt.Errorf("%d calls were answered with %d bytes, want %d each", c.ended, c.received, c.answer)
			}
			return nil
		}
	}
}

// open begins a call in the namespace whose turn it is.
func (c *rotor) open() {
	request := c.first
	if c.started > 0 {
		request = c.requests[c.turn%len(c.requests)]
	}
	c.turn++
	c.started++
	c.send = appendOnStream(c.send, request, c.next)
	c.next += 2
}

// appendOnStream appends frames as frames of a stream.
func appendOnStream(b, frames []byte, stream uint32) []byte {
	for len(frames) > 0 {
		h := frame.ParseHeader(frames)
		h.StreamID = stream
		b = frame.AppendHeader(b, h)
		end := frame.HeaderSize + int(h.Length)
		b = append(b, frames[frame.HeaderSize:end]...)
		frames = frames[end:]
	}
	return b
}

// receive reads a frame, and tells whether it ended a call.
func (c *rotor) receive() (ended bool, err error) {
	h, payload, err := c.frames.next()
	if err != nil {
		return false, err
	}
	switch h.Type {
	case frame.Data:
		c.received += len(payload)
	case frame.Headers:
		if h.Flags&^frame.EndStream != frame.EndHeaders {
			return false, fmt.Errorf("a HEADERS frame has flags %#x; this client reads unpadded, whole ones", h.Flags)
		}
		_, err := c.decoder.Write(payload)
		if err := errors.Join(err, c.decoder.Close()); err != nil || !h.Flags.Has(frame.EndStream) {
			return false, err
		}
		if c.result != "0" {
			return false, fmt.Errorf("a call ended with grpc-status %s", c.result)
		}
		c.ended++
		return true, nil
	case frame.RSTStream, frame.GoAway:
		return false, fmt.Errorf("the server gave up: frame type %d, %q", h.Type, payload)
	default:
		c.send = append(c.send, controlAnswer(h, payload)...)
	}
	return false, nil
}
