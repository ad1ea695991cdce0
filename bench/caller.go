package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// The clients of the paced case write bytes that were made before and read with a blocking system call, so that what is measured is the server and the
// kernel, and not a client library and Go's network poller.

// dialBlocking connects a blocking socket.
func dialBlocking(address string) (*os.File, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	socket := os.NewFile(uintptr(fd), address) // the descriptor blocks, and so do Read and Write
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", address, err), socket.Close())
	}
	return socket, nil
}

// connectCaller speaks Connect on HTTP/1.1.
type connectCaller struct {
	socket  *os.File
	request []byte
	buffer  []byte
}

func dialConnect(address string) (caller, error) {
	socket, err := dialBlocking(address)
	if err != nil {
		return nil, err
	}
	var request bytes.Buffer
	fmt.Fprintf(&request, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/proto\r\nConnect-Protocol-Version: 1\r\n%s: %s\r\nContent-Length: %d\r\n\r\n",
		getProcedure, address, namespaceHeader, namespace, len(requestBytes))
	request.Write(requestBytes)
	return &connectCaller{socket: socket, request: request.Bytes(), buffer: make([]byte, 4096)}, nil
}

func (c *connectCaller) close() error { return c.socket.Close() }

func (c *connectCaller) call() error {
	if _, err := c.socket.Write(c.request); err != nil {
		return err
	}
	read := 0
	for {
		n, err := c.socket.Read(c.buffer[read:])
		if err != nil {
			return err
		}
		read += n
		if header, body, complete := bytes.Cut(c.buffer[:read], []byte("\r\n\r\n")); complete && len(body) >= contentLength(header) {
			if !bytes.HasPrefix(header, []byte("HTTP/1.1 200 ")) || !bytes.Equal(body, responseBytes) {
				return fmt.Errorf("wrong answer: %q", c.buffer[:read])
			}
			return nil
		}
		if read == len(c.buffer) {
			return fmt.Errorf("the answer is too long: %q", c.buffer)
		}
	}
}

func contentLength(header []byte) int {
	_, rest, _ := bytes.Cut(header, []byte("\r\nContent-Length: "))
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, _ := strconv.Atoi(string(digits)) // 0 is a wrong answer, and reported as one
	return length
}

// The frames and flags of HTTP/2 that a gRPC call needs (RFC 9113, section 6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8

	flagEndStream  = 0x1 // of data and headers
	flagAck        = 0x1 // of settings and pings
	flagEndHeaders = 0x4

	frameHeaderLength = 9
	preface           = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// grpcCaller speaks gRPC on HTTP/2, one call at a time.
type grpcCaller struct {
	socket *os.File
	stream uint32
	// header is the block of a request's header. It is the same in every call but the first, which fills the table that the others refer to.
	header []byte
	send   []byte
	// received are the bytes read but not looked at, in buffer.
	received []byte
	buffer   []byte
	decoder  *hpack.Decoder
	// What is known of the response.
	body           []byte
	status, result string
}

func dialGRPC(address string) (caller, error) {
	socket, err := dialBlocking(address)
	if err != nil {
		return nil, err
	}
	c := &grpcCaller{socket: socket, buffer: make([]byte, 32<<10)}
	c.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		switch f.Name {
		case ":status":
			c.status = f.Value
		case "grpc-status":
			c.result = f.Value
		}
	})
	// The window of the connection is opened once as wide as it goes, so that no call has to.
	start := appendFrame([]byte(preface), frameSettings, 0, 0, nil)
	start = appendFrame(start, frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<31-1-65535))
	if _, err := socket.Write(start); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for range 2 {
		block.Reset()
		for _, f := range [][2]string{
			{":method", "POST"},
			{":scheme", "http"},
			{":path", getProcedure},
			{":authority", address},
			{"content-type", "application/grpc"},
			{"te", "trailers"},
			{namespaceHeader, namespace},
		} {
			if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				return nil, errors.Join(err, socket.Close())
			}
		}
		if c.header == nil {
			c.header = bytes.Clone(block.Bytes())
			if err := c.call(); err != nil {
				return nil, errors.Join(err, socket.Close())
			}
		}
	}
	c.header = block.Bytes()
	return c, nil
}

func appendFrame(to []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	to = append(to, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(to, stream), payload...)
}

func (c *grpcCaller) close() error { return c.socket.Close() }

func (c *grpcCaller) call() error {
	c.stream += 2
	if c.stream == 2 {
		c.stream = 1
	}
	c.send = appendFrame(c.send[:0], frameHeaders, flagEndHeaders, c.stream, c.header)
	c.send = appendFrame(c.send, frameData, flagEndStream, c.stream, framedRequest)
	if _, err := c.socket.Write(c.send); err != nil {
		return err
	}
	c.body, c.status, c.result = c.body[:0], "", ""
	for {
		ended, err := c.frame()
		if err != nil {
			return err
		}
		if !ended {
			continue
		}
		if c.status != "200" || c.result != "0" || !bytes.Equal(c.body, framedResponse) {
			return fmt.Errorf("wrong answer: status %s, grpc-status %s, %q", c.status, c.result, c.body)
		}
		return nil
	}
}

var framedRequest, framedResponse = framed(requestBytes), framed(responseBytes)

// frame reads a frame, and tells whether it ended the response.
func (c *grpcCaller) frame() (ended bool, err error) {
	head, err := c.read(frameHeaderLength)
	if err != nil {
		return false, err
	}
	length, kind, flags := int(head[0])<<16|int(head[1])<<8|int(head[2]), head[3], head[4]
	payload, err := c.read(length)
	if err != nil {
		return false, err
	}
	switch kind {
	case frameData:
		c.body = append(c.body, payload...)
		return flags&flagEndStream != 0, nil
	case frameHeaders:
		if flags != flagEndHeaders && flags != flagEndHeaders|flagEndStream {
			return false, fmt.Errorf("a HEADERS frame has flags %#x; this client reads unpadded, whole ones", flags)
		}
		_, err := c.decoder.Write(payload)
		return flags&flagEndStream != 0, errors.Join(err, c.decoder.Close())
	case frameSettings, framePing:
		if flags&flagAck != 0 {
			return false, nil
		}
		answer := payload
		if kind == frameSettings {
			answer = nil
		}
		_, err := c.socket.Write(appendFrame(nil, kind, flagAck, 0, answer))
		return false, err
	case frameReset, frameGoAway:
		return false, fmt.Errorf("the server gave up: frame type %d, %q", kind, payload)
	}
	return false, nil // WINDOW_UPDATE and whatever else does not matter to so little data
}

// read returns the next n bytes. They are valid until the next call.
func (c *grpcCaller) read(n int) ([]byte, error) {
	if n > len(c.buffer) {
		return nil, fmt.Errorf("a frame of %d bytes is too long", n)
	}
	for len(c.received) < n {
		if cap(c.received)-len(c.received) < len(c.buffer)/2 {
			c.received = append(c.buffer[:0], c.received...)
		}
		got, err := c.socket.Read(c.received[len(c.received):cap(c.received)])
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		c.received = c.received[:len(c.received)+got]
	}
	next := c.received[:n]
	c.received = c.received[n:]
	return next, nil
}
