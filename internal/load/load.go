// Package load puts load on a server of unary and server-streaming RPCs, over gRPC and Connect, and measures what comes back.
//
// It is made to take little of the machine that it shares with what it measures. A few threads drive all connections, each from one event loop: one read takes many
// responses, one write sends many requests, requests and their header blocks are encoded before the run, and nothing is allocated per call. Nor does Go's scheduler
// stand between a byte that arrives and the clock that is read for it.
//
// A closed loop ([Plan.Rate] is 0) keeps so many calls under way on each connection and makes the next when one is answered. An open loop makes calls at a rate,
// whether or not the ones before were answered: a call that has to wait for a free stream has its latency counted from when it was due, so that a server that
// stalls is not excused from the calls that nobody could make meanwhile ("coordinated omission").
package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// Protocol is what is spoken to the server.
type Protocol string

// The protocols.
const (
	// GRPC is gRPC over HTTP/2.
	GRPC Protocol = "grpc"
	// Connect is the Connect protocol over HTTP/2.
	Connect Protocol = "connect"
	// ConnectHTTP1 is the Connect protocol over HTTP/1.1, a call at a time on each connection.
	ConnectHTTP1 Protocol = "connect-http1"
)

// Field is a header field of every request.
type Field struct {
	// Name is in lower case.
	Name string
	// Value is one line.
	Value string
}

// Target is a server.
type Target struct {
	// Address is where it listens.
	Address Address
	// TLS secures connections to it; nil is in clear. The protocol that ALPN is to choose is added.
	TLS *tls.Config
	// PIDs are the processes on this machine whose CPU time is read; none are needed.
	PIDs []int
}

// Plan is what to do to a target.
type Plan struct {
	// Mix is what is called.
	Mix Mix
	// Keys are the keys that requests have in the place of {{key}}.
	Keys Keys
	// Protocol is what is spoken.
	Protocol Protocol
	// Header is sent with every request, beside what the protocol needs.
	Header []Field
	// Connections are open at a time, each with at most Streams calls under way.
	Connections, Streams int
	// Threads drive the connections; 0 is one per core. There are no more than connections. When Go may run more threads than these (GOMAXPROCS), they measure
	// more exactly.
	Threads int
	// Rate is how many calls a second are due in an open loop; 0 is a closed loop.
	Rate float64
	// Duration is how long calls are made, after the warm-up. It may be 0 when there are Calls.
	Duration time.Duration
	// Calls is how many calls are made after the warm-up; 0 is without limit.
	Calls int64
	// WarmUp is how long calls are made before any is counted.
	WarmUp time.Duration
	// Timeout is how long a connection, a call, or the next message of a stream may take. A server that answers nothing for that long ends the run.
	Timeout time.Duration
	// Deadline is sent with each request and left to the server to keep; 0 sends none.
	Deadline time.Duration
	// WindowBits and ConnectionWindowBits say how much a server may send before it is told that it was read: 2 to their power, less one.
	WindowBits, ConnectionWindowBits int
	// ExpectedInterval corrects the latencies of a closed loop as HdrHistogram does: a call that took longer stands for those that were not made meanwhile.
	ExpectedInterval time.Duration
	// Seed makes the choice of keys and procedures repeatable; each thread derives its own.
	Seed uint64

	// firstStream is the id of a connection's first stream, for tests; 0 is the first that there is.
	firstStream uint32
}

const (
	// MaxConnections bounds [Plan.Connections]: more than a client's address has ports.
	MaxConnections = 60_000
	// MaxStreams bounds [Plan.Streams].
	MaxStreams = 10_000
	// MinWindowBits is the window that HTTP/2 begins with, and MaxWindowBits the largest that there is.
	MinWindowBits, MaxWindowBits = 16, 31
	// MaxRate bounds [Plan.Rate]; a schedule counts in nanoseconds.
	MaxRate = 1e8
)

// Check says what is wrong with a plan.
func (p *Plan) Check() error {
	between := func(what string, value, low, high int) error {
		if value < low || value > high {
			return fmt.Errorf("%s must be from %d to %d, is %d", what, low, high, value)
		}
		return nil
	}
	errs := []error{
		between("the number of connections", p.Connections, 1, MaxConnections),
		between("the number of streams", p.Streams, 1, MaxStreams),
		between("the number of threads", p.Threads, 0, 1024),
		between("window bits", p.WindowBits, 1, MaxWindowBits),
		between("window bits of the connection", p.ConnectionWindowBits, MinWindowBits, MaxWindowBits),
		p.Mix.check(), p.Keys.Check(),
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	switch {
	case !(p.Rate >= 0 && p.Rate <= MaxRate): // NaN too
		return fmt.Errorf("the rate must be from 0 to %.0f calls a second, is %v", float64(MaxRate), p.Rate)
	case p.Duration < 0 || p.WarmUp < 0 || p.Deadline < 0 || p.Calls < 0:
		return errors.New("durations and the number of calls must not be negative")
	case p.Duration == 0 && p.Calls == 0:
		return errors.New("a run needs a duration or a number of calls")
	case p.Timeout <= 0:
		return errors.New("the timeout must be longer than 0: a server that hangs must not hang the run")
	case p.Rate > 0 && p.ExpectedInterval > 0:
		return errors.New("latencies at a rate are corrected already: they count from when each call was due; an expected interval is for closed loops")
	case p.ExpectedInterval < 0 || p.ExpectedInterval > 0 && p.ExpectedInterval < 10*time.Microsecond:
		return fmt.Errorf("the expected interval must be 10us or more, is %s", p.ExpectedInterval)
	case p.Protocol == ConnectHTTP1 && p.Streams != 1:
		return errors.New("a connection of HTTP/1.1 carries one call at a time: it takes one stream, and more connections")
	}
	if p.Protocol == ConnectHTTP1 {
		for _, share := range p.Mix {
			if share.Template.stream {
				return fmt.Errorf("%s is a server stream, which is measured over HTTP/2 only", share.Template.name)
			}
		}
	}
	return nil
}

func (p *Plan) threads() int {
	threads := p.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return min(threads, p.Connections)
}

func window(bits int) uint32 { return uint32(1)<<bits - 1 }

// The largest things that are taken from a server. What is larger ends the connection: a load generator is no place to hold it.
const (
	// maxFrame is the payload of a frame; nothing larger was allowed to the server.
	maxFrame = frame.DefaultMaxSize
	// maxHeaderBlock is a response's header with its continuations, and maxHeaderList the same after it is decoded.
	maxHeaderBlock, maxHeaderList = 64 << 10, 256 << 10
	// maxErrorBody is how much of an error is kept to be read.
	maxErrorBody = 16 << 10
)
