package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// unixPrefix stands before the path of a Unix socket.
const unixPrefix = "unix:"

// socketMode lets a socket's owner and group connect.
const socketMode = 0o660

// Open opens a listener on host:port or on "unix:" and a path. A socket that nobody listens on any more is replaced; the socket is removed when the listener is
// closed.
func Open(ctx context.Context, address string) (net.Listener, error) {
	network, target := "tcp", address
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		network, target = "unix", path
		removeStale(ctx, path)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, network, target)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: %w; is another gateway running?", address, err)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	if network == "unix" {
		if err := os.Chmod(target, socketMode); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot listen on %s: %w", address, err), listener.Close())
		}
	}
	return listener, nil
}

// IsLocal tells whether an address is reachable from this machine only: a Unix socket or a loopback address. An address without a host is not.
func IsLocal(address string) bool {
	if strings.HasPrefix(address, unixPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// removeStale removes a socket that a process left behind. When it cannot, Listen says what is wrong.
func removeStale(ctx context.Context, path string) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	peer, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = peer.Close() // somebody listens
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}
