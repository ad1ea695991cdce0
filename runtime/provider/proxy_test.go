package provider_test

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands before a provider. It can cut what passes, and hold it back as a process that was stopped does.
type proxy struct {
	address string
	mu      sync.Mutex
	thawed  sync.Cond
	frozen  bool
	conns   map[net.Conn]struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "x.sock")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	p := &proxy{address: "unix:" + socket, conns: make(map[net.Conn]struct{})}
	p.thawed.L = &p.mu
	t.Cleanup(func() {
		_ = listener.Close()
		p.freeze(false)
		p.cut()
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(t.Context(), "unix", to[len("unix:"):])
			if err != nil {
				_ = near.Close()
				continue
			}
			p.mu.Lock()
			p.conns[near], p.conns[far] = struct{}{}, struct{}{}
			p.mu.Unlock()
			go p.pass(near, far)
			go p.pass(far, near)
		}
	}()
	return p
}

func (p *proxy) pass(to io.WriteCloser, from io.ReadCloser) {
	defer func() { _ = to.Close() }()
	defer func() { _ = from.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.frozen {
			p.thawed.Wait()
		}
		p.mu.Unlock()
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) freeze(frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
	p.thawed.Broadcast()
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}
