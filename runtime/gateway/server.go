package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Limits of the HTTP server, each against a peer that would hold what it does not use.
const (
	// headerTimeout bounds how long a peer may take to send a request's header.
	headerTimeout = 10 * time.Second
	// idleTimeout bounds how long a connection may do nothing.
	idleTimeout = 15 * time.Minute
	// maxHeaderBytes bounds a request's header.
	maxHeaderBytes = 16 << 10
	// maxStreams bounds the calls under way on one connection.
	maxStreams = 250
)

// NewServer returns the HTTP server of a handler: HTTP/1.1 and HTTP/2, in clear, on one port.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Where a gateway listens when nothing else is said.
const (
	// DefaultListen serves clients.
	DefaultListen = "127.0.0.1:8980"
	// DefaultAdmin serves operators.
	DefaultAdmin = "127.0.0.1:8981"
)

// Listen opens a TCP listener.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: %w; is another gateway running?", address, err)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return lazyListener{listener}, nil
}

// IsLoopback tells whether an address is reachable from this machine only. An address without a host is not.
func IsLoopback(address string) bool {
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

// Shutdown lets a server's calls finish until the context ends, and then cuts them off. The error says that it came to that.
func Shutdown(ctx context.Context, server *http.Server) error {
	err := server.Shutdown(ctx)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errors.Join(errors.New("some calls did not finish in time and were cut off"), server.Close())
}
