//go:build unix

package h2

import (
	"errors"
	"io"
	"syscall"
)

// canPoll tells that file descriptors can be read when they are ready.
const canPoll = true

// readFD reads from the connection's descriptor. It returns false when there is nothing yet, to be called again when there is; meanwhile there is no buffer.
func (in *input) readFD(fd uintptr) bool {
	in.prepare()
	for {
		n, err := syscall.Read(int(fd), in.buf.b[len(in.buf.b):cap(in.buf.b)])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			in.drop()
			return false
		case err != nil:
			in.err = err
		case n == 0:
			in.err = io.EOF
		default:
			in.buf.b = in.buf.b[:len(in.buf.b)+n]
			in.err = nil
		}
		return true
	}
}
