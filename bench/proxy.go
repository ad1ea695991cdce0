package main

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// proxy makes the way to a server longer: it holds every byte back for a time, in both directions, and does not limit how many are under way.
type proxy struct {
	listener net.Listener
	target   string
	delay    time.Duration

	mu    sync.Mutex
	conns []net.Conn
}

// parcel is what was read at once.
type parcel struct {
	data []byte
	due  time.Time
}

const (
	// parcelSize is how much is read at once; larger ones would be no fewer, since sockets hold little more.
	parcelSize = 256 << 10
	// parcels bounds what is under way, so that a server which does not read cannot fill the memory: 1 GiB, which is 3 Tbit/s at 2.5 ms.
	parcels = 4096
)

func startProxy(ctx context.Context, target string, delay time.Duration) (*proxy, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, target: target, delay: delay}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return // it was closed
			}
			p.join(ctx, near)
		}
	}()
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
}

// join connects a caller with the server. When that fails, or one of them goes, the caller sees that its connection is closed.
func (p *proxy) join(ctx context.Context, near net.Conn) {
	far, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
	if err != nil {
		_ = near.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, near, far)
	p.mu.Unlock()
	p.pump(near, far)
	p.pump(far, near)
}

// pump carries one direction.
func (p *proxy) pump(from, to net.Conn) {
	queue := make(chan parcel, parcels)
	pool := sync.Pool{New: func() any { return make([]byte, parcelSize) }}
	go func() {
		defer close(queue)
		for {
			buffer := pool.Get().([]byte)
			n, err := from.Read(buffer)
			if n > 0 {
				queue <- parcel{buffer[:n], time.Now().Add(p.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its timer slack
		err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		for next := range queue {
			if err == nil {
				sleepUntil(next.due)
				_, err = to.Write(next.data)
			}
			pool.Put(next.data[:parcelSize]) //nolint:staticcheck // SA6002: the slice's header is nothing beside what it points at
		}
		_ = errors.Join(from.Close(), to.Close()) // there is nobody to tell
	}()
}
