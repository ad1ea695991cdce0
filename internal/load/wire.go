package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// errAgain means that a socket has nothing to read, or takes nothing, now. It is a net.Error that may pass, so that crypto/tls does not take it for the end.
var errAgain error = again{}

type again struct{}

func (again) Error() string   { return "try again" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// wire is a socket, with TLS or without. It blocks while it is dialed and not once it is adopted.
type wire struct {
	// dialed is the connection until it is adopted.
	dialed net.Conn
	fd     int
	tls    *tls.Conn
	// With TLS, raw are bytes that were read and not yet given to it, and sealed are those that it has made.
	raw, left []byte
	sealed    []byte
	// reads counts the reads of a turn, which has an end even when the server sends faster than it is read. The poller says again that there is more.
	reads int
}

// maxReads bounds a turn.
const maxReads = 4

// dial connects to a target, with the handshakes of TLS and of HTTP/2, and returns what the server has sent.
func dial(ctx context.Context, target *Target, plan *Plan) (*wire, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, plan.Timeout)
	defer cancel()
	dialed, err := new(net.Dialer).DialContext(ctx, target.Address.Network, target.Address.Dial)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot connect to %s: %w", target.Address, cause(err))
	}
	w := &wire{dialed: dialed, fd: -1}
	stop := context.AfterFunc(ctx, func() { _ = dialed.SetDeadline(time.Unix(1, 0)) })
	received, err := w.greet(ctx, target, plan)
	stop()
	if err == nil {
		w.fd, err = adopt(dialed)
	}
	if err != nil {
		_ = dialed.Close()
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			err = fmt.Errorf("it has not answered in %s", plan.Timeout)
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		}
		return nil, nil, fmt.Errorf("cannot greet %s: %w", target.Address, err)
	}
	w.dialed = nil
	return w, received, nil
}

// cause leaves out what net says around an error, such as the address again.
func cause(err error) error {
	var system *os.SyscallError
	if errors.As(err, &system) {
		return system.Err
	}
	return err
}

func (w *wire) greet(ctx context.Context, target *Target, plan *Plan) ([]byte, error) {
	protocol := "h2"
	if plan.Protocol == ConnectHTTP1 {
		protocol = "http/1.1"
	}
	if target.TLS != nil {
		config := target.TLS.Clone()
		config.NextProtos = []string{protocol}
		// Records of one size: small ones at first would help a browser's first picture.
		config.DynamicRecordSizingDisabled = true
		if config.ServerName == "" {
			config.ServerName = "localhost"
			if host, _, err := net.SplitHostPort(target.Address.Dial); err == nil && target.Address.Network != "unix" {
				config.ServerName = host
			}
		}
		w.tls = tls.Client(w, config)
		if err := w.tls.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		if chosen := w.tls.ConnectionState().NegotiatedProtocol; protocol == "h2" && chosen != protocol {
			return nil, fmt.Errorf("TLS: the server chose the protocol %q, not h2", chosen)
		}
	}
	if protocol != "h2" {
		return nil, nil
	}
	var stream net.Conn = w
	if w.tls != nil {
		stream = w.tls
	}
	if _, err := stream.Write(greeting(plan)); err != nil {
		return nil, err
	}
	// The first frame must be the server's settings, and calls depend on them.
	received := make([]byte, 0, 4096)
	for {
		if len(received) == cap(received) {
			received = append(received, 0)[:len(received)]
		}
		n, err := stream.Read(received[len(received):cap(received)])
		received = received[:len(received)+n]
		if bytes.HasPrefix(received, []byte("HTTP/1.")) {
			return nil, errors.New("it speaks HTTP/1.1 only")
		}
		if len(received) >= frame.HeaderSize {
			head := frame.ParseHeader(received)
			if head.Type != frame.Settings && head.Type != frame.GoAway || head.Length > maxFrame {
				return nil, errors.New("it does not speak HTTP/2")
			}
			if len(received) >= frame.HeaderSize+int(head.Length) {
				return received, nil
			}
		}
		if err != nil {
			return nil, fmt.Errorf("it closed the connection before it sent its settings: %w", cause(err))
		}
	}
}

// receive reads what is there; errAgain when that is nothing.
func (w *wire) receive(p []byte) (int, error) {
	if w.tls == nil {
		return w.read(p)
	}
	n, err := w.tls.Read(p)
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func (w *wire) read(p []byte) (int, error) {
	if w.reads++; w.reads > maxReads {
		return 0, errAgain
	}
	return readSocket(w.fd, p)
}

// seal makes records of what is to be sent, and returns whether it did: without TLS there is nothing to make.
func (w *wire) seal(plain []byte) (bool, error) {
	if w.tls == nil || len(plain) == 0 {
		return false, nil
	}
	_, err := w.tls.Write(plain)
	return true, err
}

// rawSize is how much is read at a time for TLS, which asks for little at a time.
const rawSize = 64 << 10

// Read is what TLS reads records from.
func (w *wire) Read(p []byte) (int, error) {
	if w.fd < 0 {
		return w.dialed.Read(p)
	}
	if len(w.left) == 0 {
		if w.raw == nil {
			w.raw = make([]byte, rawSize)
		}
		n, err := w.read(w.raw)
		if err != nil {
			return 0, err
		}
		w.left = w.raw[:n]
	}
	n := copy(p, w.left)
	w.left = w.left[n:]
	return n, nil
}

// Write takes the records of TLS.
func (w *wire) Write(p []byte) (int, error) {
	if w.fd < 0 {
		return w.dialed.Write(p)
	}
	w.sealed = append(w.sealed, p...)
	return len(p), nil
}

// Close closes the socket.
func (w *wire) Close() error {
	if w.fd < 0 {
		return w.dialed.Close()
	}
	closeSocket(w.fd)
	return nil
}

// The rest of net.Conn, which a handshake may ask for.

// LocalAddr is nil once the socket is adopted.
func (w *wire) LocalAddr() net.Addr {
	if w.dialed == nil {
		return nil
	}
	return w.dialed.LocalAddr()
}

// RemoteAddr is nil once the socket is adopted.
func (w *wire) RemoteAddr() net.Addr {
	if w.dialed == nil {
		return nil
	}
	return w.dialed.RemoteAddr()
}

// SetDeadline sets both deadlines, while the socket blocks.
func (w *wire) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of reads, while the socket blocks.
func (w *wire) SetReadDeadline(t time.Time) error {
	if w.dialed == nil {
		return nil
	}
	return w.dialed.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline of writes, while the socket blocks.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.dialed == nil {
		return nil
	}
	return w.dialed.SetWriteDeadline(t)
}
