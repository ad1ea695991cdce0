package h2

import (
	"math"
	"runtime/debug"
	"time"
)

// Limits bound what a peer may make the server hold or do. A field that is zero has its default.
type Limits struct {
	// MaxStreams bounds the streams of a connection: those that are open, those that were reset while their handler still runs, so that a peer cannot start more
	// work by resetting what it started (rapid reset), and those whose response is not written yet. One more is reset with REFUSED_STREAM, which clients retry. Default 250.
	MaxStreams int
	// MaxHeaderBytes bounds a request's header as RFC 9113 counts it: names, values and 32 bytes for each field, after decompression (HPACK bombs). Larger
	// ones are answered with status 431. A header block that takes more than four times that on the wire, or more than 64 frames (CONTINUATION flood), ends the
	// connection with ENHANCE_YOUR_CALM. Default 16 KiB.
	MaxHeaderBytes int
	// HandshakeTimeout bounds how long a peer may take to send the preface and its first SETTINGS; then the connection is closed. Default 10 s.
	HandshakeTimeout time.Duration
	// IdleTimeout bounds how long a connection may be without a stream, against peers that are gone without a word; it then ends with GOAWAY NO_ERROR. Default
	// 15 min.
	IdleTimeout time.Duration
	// MaxAge bounds how long a connection may live, give or take a tenth, so that clients spread anew over the gateways there are. It then drains with GOAWAY
	// NO_ERROR. Default: no bound.
	MaxAge time.Duration
	// AgeGrace bounds how long the streams of a connection that is too old may go on; then they are cut off. Default: no bound.
	AgeGrace time.Duration
	// MinPingInterval is how often a peer may ping, by gRPC's rule: two that come too soon are forgiven, and all are once the server has sent HEADERS or DATA.
	// One more ends the connection with ENHANCE_YOUR_CALM and the words too_many_pings. Default 10 s, the least that gRPC's clients let their users set.
	MinPingInterval time.Duration
	// BodyTimeout bounds how long a request may take to arrive that is taken in before it is served. Default 60 s.
	BodyTimeout time.Duration
	// WriteTimeout bounds how long one write may take, of some 150 KiB at most, against peers that do not read; then the connection is closed. Default 30 s.
	WriteTimeout time.Duration
	// StallTimeout bounds how long a response may wait for the peer's window without that any of it is sent; then the stream is reset with CANCEL. Default 5 min.
	StallTimeout time.Duration
	// MemoryBytes bounds the bodies that are held for all connections together: requests that are not read yet, responses that wait for windows, and windows that
	// were opened wider than 64 KiB. Beyond it windows are withheld and new streams are reset with REFUSED_STREAM; reading goes on, because what frees memory is
	// read too. Default: a quarter of GOMEMLIMIT, or 1 GiB when that is not set.
	MemoryBytes int64
	// FloodAllowance is how many frames a connection may send that cost work and give none: PING, SETTINGS, PRIORITY, RST_STREAM, WINDOW_UPDATE, empty DATA,
	// frames of unknown types or on closed streams. Every frame of a response allows a few more, and time allows a tenth of it a second. Beyond it the connection
	// ends with ENHANCE_YOUR_CALM. Default 1,000.
	FloodAllowance int
}

const (
	// streamWindow is the window that each stream begins with: enough for a message of the largest usual size to come without waiting.
	streamWindow = 1<<20 + 1<<16
	// leastWindow and mostWindow bound the window of a connection. It grows when a peer uses it up quickly, and shrinks when the connection is idle.
	leastWindow = 1<<16 - 1
	mostWindow  = 4 << 20
	// memoryStep is in which steps a connection takes memory from the server's; the first step is free.
	memoryStep = 64 << 10
	// highWater is how much a connection holds that is to be written, besides control frames.
	highWater = 128 << 10
	// mostControl bounds the control frames that wait for a peer to read them.
	mostControl = 64 << 10
	// blockFrames bounds the frames of a header block.
	blockFrames = 64
	// blockFactor bounds a header block on the wire, as a multiple of MaxHeaderBytes.
	blockFactor = 4
	// lingerTime and lingerBytes bound what is read after a connection error, so that the peer gets to see why: a close with unread input would destroy it.
	lingerTime  = time.Second
	lingerBytes = 64 << 10
	// sweepInterval is how often the timeouts of all connections are looked at.
	sweepInterval = 500 * time.Millisecond
	// lastStreams is how many identifiers before the last a connection is given up: clients then open another before they run out.
	lastStreams = 1 << 20
)

func (l Limits) withDefaults() Limits {
	l.MaxStreams = orDefault(l.MaxStreams, 250)
	l.MaxHeaderBytes = orDefault(l.MaxHeaderBytes, 16<<10)
	l.HandshakeTimeout = orDefault(l.HandshakeTimeout, 10*time.Second)
	l.IdleTimeout = orDefault(l.IdleTimeout, 15*time.Minute)
	l.MinPingInterval = orDefault(l.MinPingInterval, 10*time.Second)
	l.BodyTimeout = orDefault(l.BodyTimeout, 60*time.Second)
	l.WriteTimeout = orDefault(l.WriteTimeout, 30*time.Second)
	l.StallTimeout = orDefault(l.StallTimeout, 5*time.Minute)
	l.MemoryBytes = orDefault(l.MemoryBytes, defaultMemory())
	l.FloodAllowance = orDefault(l.FloodAllowance, 1000)
	return l
}

func orDefault[T ~int | ~int64](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

func defaultMemory() int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 { // a negative limit only asks
		return max(limit/4, 1<<20)
	}
	return 1 << 30
}
