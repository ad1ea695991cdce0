// Package h2 is the server side of HTTP/2.
package h2

import (
	"context"
	"net"
)

// Server serves connections.
type Server struct{}

// ServeConn serves one connection until it is closed. prefix is what was read of it already.
func (s *Server) ServeConn(conn net.Conn, prefix []byte) {}

// Shutdown drains.
func (s *Server) Shutdown(ctx context.Context) error { return nil }

// Close closes all.
func (s *Server) Close() error { return nil }
