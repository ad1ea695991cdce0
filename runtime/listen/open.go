package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// unixPrefix stands before the path of a Unix socket.
	unixPrefix = "unix:"
	// maxSocketPath is how long the path of a Unix socket may be on Linux, which calls a longer one an invalid argument.
	maxSocketPath = 107
	// DefaultMode lets only a socket's owner connect.
	DefaultMode = fs.FileMode(0o600)
)

// Open opens a listener on host:port or on "unix:" and a path. A socket that nobody listens on any more is replaced, and only its owner can connect; it is removed
// when the listener is closed. Errors say what would be right.
func Open(ctx context.Context, address string) (net.Listener, error) {
	return OpenMode(ctx, address, DefaultMode)
}

// OpenMode is Open with the file mode of a Unix socket.
func OpenMode(ctx context.Context, address string, mode fs.FileMode) (net.Listener, error) {
	path, ok := UnixPath(address)
	if ok {
		return openUnix(ctx, path, mode)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	return listener, cannot(address, err)
}

// UnixPath returns the path of an address of a Unix socket, and whether it is one.
func UnixPath(address string) (string, bool) { return strings.CutPrefix(address, unixPrefix) }

// cannot says why there is no listener, and what to do; nil stays nil.
func cannot(address string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another process does, perhaps another prism; stop it, or choose another address (port 0 lets the system choose): %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine has no such address; 0.0.0.0 stands for all that it has: %w", address, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen on %s: it is not permitted; choose a port from 1024 on, or give the process CAP_NET_BIND_SERVICE: %w", address, err)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}

func openUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	address := unixPrefix + path
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("cannot listen on %s: the path of a socket has at most %d bytes, this one has %d", address, maxSocketPath, len(path))
	}
	if err := makeWay(ctx, path); err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen on %s: %w", address, err), listener.Close())
	}
	return listener, nil
}

// makeWay removes a socket that a process left behind, and refuses what must not be removed.
func makeWay(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("the path exists and is no socket; choose another path, or remove it")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	peer, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = peer.Close()
		return errors.New("another process listens there, perhaps another prism; stop it, or choose another path")
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("a socket is there, and whether anybody listens on it cannot be told: %w", err)
	}
	return os.Remove(path)
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
