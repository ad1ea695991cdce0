package listen

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// greet finds out what a connection speaks and has it served. It returns when the connection is closed or in the hands of net/http.
func (s *Server) greet(accepted net.Conn, secure *tls.Config) {
	closed := func() { s.stats.open.Add(-1) }
	deadline := time.Now().Add(s.config.Limits.HandshakeTimeout)
	if secure != nil {
		s.greetTLS(&conn{Conn: accepted, closed: closed}, secure, deadline)
		return
	}
	if err := accepted.SetDeadline(deadline); err != nil {
		s.drop(accepted, &s.stats.unknown, err)
		return
	}
	first, http2, err := peek(accepted, s.config.Limits.MaxHeaderBytes)
	if err != nil {
		s.drop(accepted, &s.stats.unknown, err)
		return
	}
	if !s.ready(accepted, accepted) {
		closed()
		return
	}
	if http2 && s.config.HTTP2 != nil {
		defer closed()
		s.config.HTTP2.ServeConn(accepted, first)
		return
	}
	s.toHTTP.give(&conn{Conn: accepted, peeked: first, closed: closed})
}

func (s *Server) greetTLS(below *conn, config *tls.Config, deadline time.Time) {
	secure := tls.Server(below, config)
	err := below.SetDeadline(deadline)
	if err == nil {
		err = secure.Handshake() //nolint:noctx // the deadline is the connection's
	}
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			linger(below.Conn)
		}
		s.drop(below.Conn, &s.stats.unsecured, err)
		return
	}
	if !s.ready(below.Conn, below) {
		below.closed()
		return
	}
	if s.config.HTTP2 != nil && secure.ConnectionState().NegotiatedProtocol == "h2" {
		s.config.HTTP2.ServeConn(secure, nil)
		return
	}
	s.toHTTP.give(secure) // the *tls.Conn itself: net/http looks for it to fill in Request.TLS
}

// linger lets the peer read the alert that tells what is wrong: a close with unread input would destroy it.
func linger(accepted net.Conn) {
	half, ok := accepted.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || accepted.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, accepted, 64<<10) // what comes is not looked at
}

// ready takes the handshake's deadline off. A connection that came too late is closed.
func (s *Server) ready(accepted, deadlines net.Conn) bool {
	if s.greeted(accepted) && deadlines.SetDeadline(time.Time{}) == nil {
		return true
	}
	_ = accepted.Close()
	return false
}

// drop closes a connection that cannot be served, and counts it by its reason, or as silent.
func (s *Server) drop(accepted net.Conn, reason *atomic.Int64, err error) {
	s.greeted(accepted)
	s.stats.open.Add(-1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		reason = &s.stats.silent
	}
	reason.Add(1)
	s.log.Debug("connection refused", "peer", accepted.RemoteAddr().String(), "error", err.Error())
	_ = accepted.Close()
}

var errNotHTTP = errors.New("the first line is neither HTTP/2's preface nor a request line of HTTP/1")

// peek reads from a connection until it is plain what it speaks: HTTP/2's preface, or a request line of HTTP/1. What it has read is returned.
func peek(c net.Conn, limit int) (first []byte, http2 bool, err error) {
	buffer := make([]byte, 0, 512)
	for {
		if len(buffer) == cap(buffer) {
			if len(buffer) >= limit {
				return nil, false, errNotHTTP
			}
			buffer = append(make([]byte, 0, min(4*cap(buffer), limit)), buffer...)
		}
		n, err := c.Read(buffer[len(buffer):cap(buffer)])
		if n == 0 && err != nil {
			return nil, false, err
		}
		buffer = buffer[:len(buffer)+n]
		preface := min(len(buffer), len(frame.Preface))
		if string(buffer[:preface]) == frame.Preface[:preface] {
			if preface == len(frame.Preface) {
				return buffer, true, nil
			}
		} else if end := bytes.IndexByte(buffer, '\n'); end >= 0 {
			if isRequestLine(string(buffer[:end])) {
				return buffer, false, nil
			}
			return nil, false, errNotHTTP
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// isRequestLine tells whether a line, without its line feed, is a request line of HTTP/1.0 or 1.1.
func isRequestLine(line string) bool {
	method, rest, _ := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
	target, version, _ := strings.Cut(rest, " ")
	return method != "" && target != "" && (version == "HTTP/1.1" || version == "HTTP/1.0")
}
