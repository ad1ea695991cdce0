package h2

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// input is what was read of a connection and not used yet. While there is nothing it has no buffer, so that an idle connection costs none.
type input struct {
	conn net.Conn
	// raw reads without a buffer in hand, where the connection has a file descriptor.
	raw  syscall.RawConn
	poll func(fd uintptr) bool
	buf  *buffer
	at   int // the first byte that was not used
	// idle takes the first bytes where raw is not to be had.
	idle []byte
	err  error
}

// idleSize is how much is read without a buffer: a header and a short request.
const idleSize = 128

func (in *input) init(conn net.Conn, prefix []byte) {
	in.conn = conn
	if direct, ok := conn.(syscall.Conn); ok && canPoll {
		if raw, err := direct.SyscallConn(); err == nil {
			in.raw = raw
			in.poll = in.readFD
		}
	}
	if len(prefix) > 0 {
		in.buf = getBuffer(max(len(prefix), classes[readClass]))
		in.buf.b = append(in.buf.b, prefix...)
	}
}

// has tells whether n bytes are there.
func (in *input) has(n int) bool { return in.buf != nil && len(in.buf.b)-in.at >= n }

// need returns what is there once it is n bytes or more. What it returns is valid until the next call.
func (in *input) need(n int) ([]byte, error) {
	for !in.has(n) {
		if err := in.fill(); err != nil {
			if in.buf != nil && len(in.buf.b) > in.at && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return in.buf.b[in.at:], nil
}

// take uses up n bytes.
func (in *input) take(n int) {
	if in.at += n; in.at == len(in.buf.b) {
		in.buf.b, in.at = in.buf.b[:0], 0
	}
}

// fill reads more, and waits until there is more.
func (in *input) fill() error {
	if in.raw != nil {
		if err := in.raw.Read(in.poll); err != nil {
			return err
		}
		return in.err
	}
	if in.empty() {
		in.drop()
		if in.idle == nil {
			in.idle = make([]byte, idleSize)
		}
		n, err := in.conn.Read(in.idle)
		if n > 0 {
			in.prepare()
			in.buf.b = append(in.buf.b, in.idle[:n]...)
			return nil
		}
		return err
	}
	in.prepare()
	n, err := in.conn.Read(in.buf.b[len(in.buf.b):cap(in.buf.b)])
	in.buf.b = in.buf.b[:len(in.buf.b)+n]
	if n > 0 {
		return nil
	}
	return err
}

func (in *input) empty() bool { return in.buf == nil || len(in.buf.b) == in.at }

// prepare makes room for a read.
func (in *input) prepare() {
	if in.buf == nil {
		in.buf, in.at = getClass(readClass), 0
		return
	}
	if in.at > 0 {
		in.buf.b = append(in.buf.b[:0], in.buf.b[in.at:]...)
		in.at = 0
	}
	if cap(in.buf.b) < classes[readClass] || len(in.buf.b) == cap(in.buf.b) {
		larger := getBuffer(max(classes[readClass], len(in.buf.b)+1))
		larger.b = append(larger.b, in.buf.b...)
		in.buf.put()
		in.buf = larger
	}
}

// drop gives the buffer back, or moves what is left of a frame into memory of its size: a peer that stops within a frame holds no more than that.
func (in *input) drop() {
	switch {
	case in.buf == nil:
	case in.empty():
		in.buf.put()
		in.buf, in.at = nil, 0
	case in.buf.class == readClass && len(in.buf.b)-in.at <= classes[readClass]/4:
		rest := &buffer{b: append([]byte(nil), in.buf.b[in.at:]...), class: -1}
		in.buf.put()
		in.buf, in.at = rest, 0
	}
}

func (in *input) close() {
	in.buf.put()
	in.buf = nil
}
