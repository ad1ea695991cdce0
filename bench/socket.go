package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// dialBlocking connects a blocking socket. The clients that measure time write bytes that were made before and read with a blocking system call, so that what is
// measured is the server and the kernel, and not a client library and Go's network poller.
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
		// Closed, it is gone at once: ten thousand that wait for late packets would use up the ports.
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", address, err), socket.Close())
	}
	return socket, nil
}

// hangUp ends a connection, so that whoever reads from it stops: to close the file alone would wait for them.
func hangUp(socket *os.File) {
	raw, err := socket.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) }) // the peer may have done so before
	}
}

// dialSecure connects with TLS and HTTP/2.
func dialSecure(ctx context.Context, address string, trust *tls.Config) (net.Conn, error) {
	trust = trust.Clone()
	trust.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*tls.Conn).NetConn().(*net.TCPConn); ok {
		err = tcp.SetLinger(0)
	}
	return conn, err
}
