package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// follower is a connection with streams that bring messages, for as long as they like. It opens its windows once as wide as they go: two GiB of messages.
type follower struct {
	socket *os.File
	frames frameReader
	// partial is, for each stream, what has arrived of a message that is not whole yet.
	partial [][]byte
	// whole are messages that have arrived and were not taken yet.
	whole   []delivery
	decoder *hpack.Decoder
	result  string
}

// delivery is a message and the stream that brought it, by its place in the requests.
type delivery struct {
	stream  int
	message []byte
}

// follow opens a stream for each request, of one procedure, on one connection.
func follow(address, procedure string, requests [][]byte) (*follower, error) {
	socket, err := dialBlocking(address)
	if err != nil {
		return nil, err
	}
	f := newFollower(socket, len(requests))
	f.socket = socket
	blocks := newRequestBlocks("http", address, procedure)
	send := openWindows(nil)
	for i, request := range requests {
		block := blocks.next
		if i == 0 {
			block = blocks.first
		}
		id := uint32(2*i + 1)
		send = frame.AppendHeaders(send, id, 0, block, frame.DefaultMaxSize)
		send = frame.AppendData(send, id, frame.EndStream, framed(request))
	}
	if _, err := socket.Write(send); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return f, nil
}

func newFollower(from io.Reader, streams int) *follower {
	f := &follower{frames: frameReader{from: from}, partial: make([][]byte, streams)}
	f.decoder = hpack.NewDecoder(4096, func(h hpack.HeaderField) {
		if h.Name == "grpc-status" || h.Name == "grpc-message" {
			f.result += " " + h.Name + ": " + h.Value
		}
	})
	return f
}

// close ends the connection. Whoever waits for its next message gets an error.
func (f *follower) close() error {
	hangUp(f.socket)
	return f.socket.Close()
}

// next returns a message. It fails when a stream ends.
func (f *follower) next() (delivery, error) {
	for len(f.whole) == 0 {
		h, payload, err := f.frames.next()
		if err == nil {
			err = f.take(h, payload)
		}
		if err != nil {
			return delivery{}, err
		}
	}
	first := f.whole[0]
	f.whole = f.whole[1:]
	return first, nil
}

// eachOnce takes one message of every stream.
func (f *follower) eachOnce(check func(stream int, message []byte) error) error {
	seen := make([]bool, len(f.partial))
	for range f.partial {
		d, err := f.next()
		if err != nil {
			return err
		}
		if seen[d.stream] {
			return fmt.Errorf("stream %d has brought two messages: %q", d.stream, d.message)
		}
		seen[d.stream] = true
		if err := check(d.stream, d.message); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) take(h frame.Header, payload []byte) error {
	stream := int(h.StreamID) / 2
	if h.StreamID > 0 && stream >= len(f.partial) {
		return fmt.Errorf("a frame of stream %d, which was not opened", h.StreamID)
	}
	switch h.Type {
	case frame.Data:
		f.partial[stream] = append(f.partial[stream], payload...)
		f.cut(stream)
	case frame.Headers:
		if h.Flags&^frame.EndStream != frame.EndHeaders {
			return fmt.Errorf("a HEADERS frame has flags %#x; this client reads unpadded, whole ones", h.Flags)
		}
		if _, err := f.decoder.Write(payload); err != nil {
			return err
		}
		if err := f.decoder.Close(); err != nil {
			return err
		}
	case frame.RSTStream, frame.GoAway:
		return fmt.Errorf("the server gave up: frame type %d, %q", h.Type, payload)
	default:
		if answer := controlAnswer(h, payload); answer != nil {
			_, err := f.socket.Write(answer)
			return err
		}
		return nil
	}
	if h.Flags.Has(frame.EndStream) {
		return fmt.Errorf("stream %d has ended:%s", stream, f.result)
	}
	return nil
}

// cut takes whole messages off what a stream has brought.
func (f *follower) cut(stream int) {
	rest := f.partial[stream]
	for len(rest) >= framePrefix && len(rest) >= framePrefix+int(binary.BigEndian.Uint32(rest[1:])) {
		end := framePrefix + int(binary.BigEndian.Uint32(rest[1:]))
		f.whole = append(f.whole, delivery{stream, rest[framePrefix:end:end]})
		rest = rest[end:]
	}
	if len(rest) == 0 {
		rest = nil // its memory is that of the messages
	}
	f.partial[stream] = rest
}
