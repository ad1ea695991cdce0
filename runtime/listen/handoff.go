package listen

import (
	"net"
	"sync"
)

// handoff is a listener whose connections were accepted elsewhere.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	addr  net.Addr
	// stopped is closed when who serves the listener has returned; nil before it was started.
	stopped chan struct{}
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handoff) start(addr net.Addr, serve func(net.Listener)) {
	h.addr, h.stopped = addr, make(chan struct{})
	go func() {
		defer close(h.stopped)
		serve(h)
	}()
}

// give hands a connection over, or closes it when nobody takes it any more.
func (h *handoff) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		_ = c.Close()
	}
}

// Accept returns the next connection.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr is the address of the first listener.
func (h *handoff) Addr() net.Addr { return h.addr }

func (h *handoff) stop() {
	_ = h.Close()
	if h.stopped != nil {
		<-h.stopped
	}
}
