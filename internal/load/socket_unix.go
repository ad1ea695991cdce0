//go:build unix

package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// adopt takes a connection's descriptor out of the care of Go's network poller, which would be woken for every byte.
func adopt(dialed net.Conn) (int, error) {
	connection, ok := dialed.(interface{ File() (*os.File, error) })
	if !ok {
		return -1, fmt.Errorf("a %T has no descriptor", dialed)
	}
	file, err := connection.File()
	if err != nil {
		return -1, err
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err := errors.Join(err, file.Close(), dialed.Close()); err != nil {
		return -1, err
	}
	return fd, nil
}

// readSocket reads what is there; errAgain when there is nothing.
func readSocket(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EAGAIN):
			return 0, errAgain
		case !errors.Is(err, syscall.EINTR):
			return 0, err
		}
	}
}

// writeSocket writes what the socket takes; errAgain when that is nothing.
func writeSocket(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Write(fd, p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EAGAIN):
			return 0, errAgain
		case !errors.Is(err, syscall.EINTR):
			return 0, err
		}
	}
}

// closeSocket closes a socket so that what was written still arrives, unless the peer has sent more than was read.
func closeSocket(fd int) {
	_ = unix.Shutdown(fd, unix.SHUT_WR) // the peer may be gone
	_ = unix.Close(fd)                  // nothing is left to be lost
}

// ownCPU is the processor time that this process has taken, in nanoseconds.
func ownCPU() int64 {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return used.Utime.Nano() + used.Stime.Nano()
}
