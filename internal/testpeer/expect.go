package testpeer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// Frames are all frames received so far.
func (p *Peer) Frames() []Frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.frames)
}

// Expect waits for a frame that matches and that no helper has returned before, and returns it. Frames that do not match are left for others, so that the order
// of frames does not matter unless match looks at it.
func (p *Peer) Expect(what string, match func(Frame) bool) Frame {
	p.t.Helper()
	f, ended := p.next(p.options.Timeout, match)
	if f == nil {
		p.fail(what, ended)
	}
	return *f
}

// next waits for a frame. It returns nil when reading has ended or the time is over.
func (p *Peer) next(timeout time.Duration, match func(Frame) bool) (found *Frame, ended error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	from := 0
	for {
		p.mu.Lock()
		for ; from < len(p.frames); from++ {
			if !p.taken[from] && match(p.frames[from]) {
				p.taken[from] = true
				f := p.frames[from]
				p.mu.Unlock()
				return &f, nil
			}
		}
		changed, ended := p.changed, p.ended
		p.mu.Unlock()
		if ended != nil {
			return nil, ended
		}
		select {
		case <-changed:
		case <-deadline.C:
			return nil, nil
		}
	}
}

// Until waits until something holds of the frames received, and leaves them to other helpers. To wait with PING instead counts against a peer that pings too often.
func (p *Peer) Until(what string, holds func(received []Frame) bool) {
	p.t.Helper()
	deadline := time.NewTimer(p.options.Timeout)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		received, changed, ended := p.frames[:len(p.frames):len(p.frames)], p.changed, p.ended
		p.mu.Unlock()
		switch {
		case holds(received):
			return
		case ended != nil:
			p.fail(what, ended)
		}
		select {
		case <-changed:
		case <-deadline.C:
			p.fail(what, nil)
		}
	}
}

func (p *Peer) fail(what string, ended error) {
	p.t.Helper()
	why := fmt.Sprintf("did not come within %s", p.options.Timeout)
	if ended != nil {
		why = fmt.Sprintf("did not come, the connection ended: %v", ended)
	}
	p.t.Fatalf("testpeer: %s %s; received:\n%s", what, why, p.transcript())
}

// transcript is what was received, the last hundred frames of it.
func (p *Peer) transcript() string {
	frames := p.Frames()
	var lines []string
	if n := len(frames) - 100; n > 0 {
		lines = append(lines, fmt.Sprintf("  (%d frames before)", n))
		frames = frames[n:]
	}
	for _, f := range frames {
		lines = append(lines, "  "+f.String())
	}
	return strings.Join(lines, "\n")
}

// ExpectType waits for a frame of a type on a stream.
func (p *Peer) ExpectType(kind frame.Type, streamID uint32) Frame {
	p.t.Helper()
	return p.Expect(Frame{Header: frame.Header{Type: kind, StreamID: streamID}}.String(), func(f Frame) bool { return f.Type == kind && f.StreamID == streamID })
}

// ExpectReset waits for RST_STREAM on a stream, whose code must be one of those given.
func (p *Peer) ExpectReset(streamID uint32, codes ...frame.ErrorCode) Frame {
	p.t.Helper()
	f := p.Expect(fmt.Sprintf("RST_STREAM %v on stream %d", codes, streamID), func(f Frame) bool { return f.Type == frame.RSTStream && f.StreamID == streamID })
	if !slices.Contains(codes, f.Code()) {
		p.t.Fatalf("testpeer: stream %d was reset with %s, not %v; received:\n%s", streamID, f.Code(), codes, p.transcript())
	}
	return f
}

// ExpectGoAway waits for GOAWAY, whose code must be one of those given.
func (p *Peer) ExpectGoAway(codes ...frame.ErrorCode) Frame {
	p.t.Helper()
	f := p.Expect(fmt.Sprintf("GOAWAY %v", codes), func(f Frame) bool { return f.Type == frame.GoAway })
	if !slices.Contains(codes, f.Code()) {
		p.t.Fatalf("testpeer: GOAWAY has %s, not %v; received:\n%s", f.Code(), codes, p.transcript())
	}
	return f
}

// ExpectConnectionError waits for GOAWAY with one of some codes, and then for the end of the connection, which must be an orderly one.
func (p *Peer) ExpectConnectionError(codes ...frame.ErrorCode) Frame {
	p.t.Helper()
	f := p.ExpectGoAway(codes...)
	if err := p.ExpectClosed(); !errors.Is(err, io.EOF) {
		p.t.Fatalf("testpeer: after GOAWAY the connection ended with %v, not in order; received:\n%s", err, p.transcript())
	}
	return f
}

// ExpectClosed waits until the server has closed the connection, and returns what reading ended with: io.EOF when it was closed in order.
func (p *Peer) ExpectClosed() error {
	p.t.Helper()
	_, ended := p.next(p.options.Timeout, func(Frame) bool { return false })
	if ended == nil {
		p.fail("the end of the connection", nil)
	}
	return ended
}

// IsClosed tells whether the server has closed the connection.
func (p *Peer) IsClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended != nil
}

// Alive sends PING and waits for the answer: the connection is open, and what was sent before was read.
func (p *Peer) Alive() {
	p.t.Helper()
	p.pings++
	var payload [8]byte
	binary.BigEndian.PutUint64(payload[:], p.pings|1<<63)
	p.Send(frame.AppendPing(nil, false, payload))
	p.Expect("the answer to PING", func(f Frame) bool {
		return f.Type == frame.Ping && f.Flags.Has(frame.Ack) && string(f.Payload) == string(payload[:])
	})
}
