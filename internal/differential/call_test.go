package differential

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// call is one call, or what is meant to look like one: what is sent on a stream of a fresh connection.
type call struct {
	name string
	// settings are the client's, beside the window.
	settings []frame.Setting
	// window is what the client lets a stream send; 0 is much.
	window uint32
	// patience is how long the client waits for each thing; 0 is long. It is for calls of which it is known that a server never answers them.
	patience time.Duration
	// strict compares everything also when the server resets the stream.
	strict bool
	steps  []step
}

// step is something that is sent or waited for.
type step interface {
	fmt.Stringer
	do(ctx context.Context, x *exchange) error
}

func (c call) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", c.name)
	if c.window > 0 {
		fmt.Fprintf(&b, " (window %d)", c.window)
	}
	if len(c.settings) > 0 {
		fmt.Fprintf(&b, " (settings %v)", c.settings)
	}
	for _, s := range c.steps {
		fmt.Fprintf(&b, "\n      > %s", s)
	}
	return b.String()
}

// isGRPC tells whether a call is gRPC, well or badly spoken.
func (c call) isGRPC() bool {
	return strings.HasPrefix(c.name, "grpc/") || strings.HasPrefix(c.name, "te/") || strings.HasPrefix(c.name, "content types/\"application/grpc") && !strings.Contains(c.name, "/grpc-web")
}

// exchange is a call under way on one server.
type exchange struct {
	call   call
	server *server
	peer   *peer
	id     string
	notes  []string
	opened bool
	// halfClosed and reset tell what the client has done to the stream.
	halfClosed, reset bool
}

// streamID is the stream of the call; another call follows on the connection, to see that it still works.
const (
	streamID    = 1
	afterwardID = 3
)

// sendHeaders opens the stream, or sends trailers when it is open.
type sendHeaders struct {
	fields []field
	end    bool
	// most is the largest frame; 0 is as usual.
	most int
}

func (s sendHeaders) String() string {
	var b strings.Builder
	b.WriteString("HEADERS")
	if s.end {
		b.WriteString(" END_STREAM")
	}
	if s.most > 0 {
		fmt.Fprintf(&b, " in fragments of %d", s.most)
	}
	for _, f := range s.fields {
		fmt.Fprintf(&b, " [%s: %s]", f.name, clip(f.value))
	}
	return b.String()
}

func (s sendHeaders) do(_ context.Context, x *exchange) error {
	fields := s.fields
	if !x.opened {
		fields = append(fields[:len(fields):len(fields)], field{idHeader, x.id})
	}
	x.opened = true
	x.halfClosed = x.halfClosed || s.end
	most := frame.DefaultMaxSize
	if s.most > 0 {
		most = s.most
	}
	return x.peer.headers(streamID, fields, s.end, most)
}

// sendData sends a part of the body.
type sendData struct {
	body []byte
	end  bool
	// most is the largest frame; 0 is as usual.
	most    int
	padding int
}

func (s sendData) String() string {
	end := ""
	if s.end {
		end = " END_STREAM"
	}
	if s.most > 0 {
		end += fmt.Sprintf(" in frames of %d", s.most)
	}
	if s.padding > 0 {
		end += fmt.Sprintf(" padded by %d", s.padding)
	}
	return fmt.Sprintf("DATA%s %s", end, digest(s.body))
}

func (s sendData) do(ctx context.Context, x *exchange) error {
	most := frame.DefaultMaxSize
	if s.most > 0 {
		most = s.most
	}
	if s.padding > 0 {
		most = min(most, frame.DefaultMaxSize-1-s.padding)
	}
	x.halfClosed = x.halfClosed || s.end
	return x.peer.data(ctx, streamID, s.body, s.end, most, s.padding)
}

// sendRaw sends bytes as they are.
type sendRaw struct {
	what string
	b    []byte
}

func (s sendRaw) String() string { return s.what }

func (s sendRaw) do(_ context.Context, x *exchange) error {
	_ = x.peer.write(s.b) // a connection that is gone is noticed by the reader
	return nil
}

// sendReset gives the call up.
type sendReset struct{ code frame.ErrorCode }

func (s sendReset) String() string { return "RST_STREAM " + s.code.String() }

func (s sendReset) do(_ context.Context, x *exchange) error {
	x.reset = true
	_ = x.peer.write(frame.AppendRSTStream(nil, streamID, s.code)) // a connection that is gone is noticed by the reader
	return nil
}

// await waits until the handler, or the response, is so far.
type await struct {
	what string
	seen func(*record) bool
	came func(*response) bool
}

func (s await) String() string { return "wait until " + s.what }

func (s await) do(ctx context.Context, x *exchange) error {
	var ok bool
	over := false
	if s.seen != nil {
		ok = x.server.records.wait(ctx, x.id, s.seen)
	} else {
		ok = x.peer.wait(ctx, func() bool {
			r := x.peer.stream(streamID)
			over = r.over() || x.peer.gone()
			return s.came(r) || over
		})
	}
	if !ok {
		x.notes = append(x.notes, "waited in vain until "+s.what)
	}
	return nil
}

func awaitReceived(n int) step {
	return await{what: fmt.Sprintf("the handler has %d messages", n), seen: func(r *record) bool { return r != nil && len(r.received) >= n }}
}

func awaitHeader() step {
	return await{what: "the response's header is there", came: func(r *response) bool { return len(r.blocks) > 0 }}
}

func awaitBody(n int) step {
	return await{what: fmt.Sprintf("%d bytes of the response are there", n), came: func(r *response) bool { return len(r.body) >= n }}
}

func awaitEnd() step {
	return await{what: "the response is complete", came: func(r *response) bool { return r.over() }}
}

// pause waits until the server has taken in what was sent.
type pause struct{}

func (pause) String() string { return "SETTINGS, and wait for ACK" }

func (pause) do(ctx context.Context, x *exchange) error {
	x.peer.roundTrip(ctx)
	return nil
}

// numbers makes the names of calls.
type numbers struct{ last atomic.Int64 }

func (n *numbers) next() string { return fmt.Sprint("c", n.last.Add(1)) }

// reach is how servers are reached.
type reach struct {
	tls     *tls.Config
	numbers numbers
}

// ask makes a call on a server, and tells everything that could be seen of it.
func (r *reach) ask(ctx context.Context, s *server, c call) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*waitFor)
	defer cancel()
	window := c.window
	if window == 0 {
		window = 8 << 20
	}
	p, err := dialPeer(ctx, s.address, r.tls, window, c.settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	defer p.close()
	x := &exchange{call: c, server: s, peer: p, id: r.numbers.next()}
	patience := waitFor
	if c.patience > 0 {
		patience = c.patience
	}
	for _, step := range c.steps {
		stepCtx, cancel := context.WithTimeout(ctx, patience)
		err := step.do(stepCtx, x)
		cancel()
		if err != nil {
			x.notes = append(x.notes, fmt.Sprintf("%s: %v", step, err))
			break
		}
	}
	x.settle(ctx, patience)
	afterwards := x.afterwards(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	return newOutcome(x, p.stream(streamID), s.records.take(x.id), afterwards), nil
}

// grace is how long a call that was given up may take to reach its handler, if it does.
const grace = 100 * time.Millisecond

// settle waits until the call is over on both sides.
func (x *exchange) settle(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !x.reset && x.opened {
		x.peer.wait(ctx, func() bool { return x.peer.stream(streamID).over() || x.peer.gone() })
	}
	x.peer.roundTrip(ctx) // for what follows the end: a RST_STREAM
	if x.reset {
		soon, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		x.server.records.wait(soon, x.id, func(r *record) bool { return r != nil })
	}
	if !x.server.records.wait(ctx, x.id, func(r *record) bool { return r == nil || r.finished >= r.begun }) {
		x.notes = append(x.notes, "the handler does not return")
	}
	x.peer.roundTrip(ctx)
}

// afterwards makes a plain call on the same connection, and tells how that went.
func (x *exchange) afterwards(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	x.peer.mu.Lock()
	goAway, gone := x.peer.goAway, x.peer.gone()
	x.peer.mu.Unlock()
	if gone || goAway != "" {
		return "the connection ends: " + goAway
	}
	fields := append(header("/"+service+"/Unary", "application/grpc"), field{idHeader, x.id + "-afterwards"})
	defer x.server.records.take(x.id + "-afterwards")
	_ = x.peer.headers(afterwardID, fields, false, frame.DefaultMaxSize)
	body := enveloped(0, value(10))
	if err := x.peer.data(ctx, afterwardID, body, true, frame.DefaultMaxSize, 0); err != nil {
		return err.Error()
	}
	if !x.peer.wait(ctx, func() bool { return x.peer.stream(afterwardID).over() || x.peer.gone() }) {
		return "no answer"
	}
	x.peer.mu.Lock()
	defer x.peer.mu.Unlock()
	r := x.peer.stream(afterwardID)
	if len(r.blocks) != 2 || !bytes.Equal(r.body, body) {
		return fmt.Sprintf("wrong answer %v %q %v", r.blocks, r.body, r.resets)
	}
	return "the connection works"
}

// header is the header block of a call.
func header(path, contentType string, more ...field) []field {
	fields := []field{{":method", "POST"}, {":scheme", "http"}, {":path", path}, {":authority", "test.example"}}
	if contentType != "" {
		fields = append(fields, field{"content-type", contentType})
	}
	if strings.HasPrefix(contentType, "application/grpc") {
		fields = append(fields, field{"te", "trailers"})
	}
	return append(fields, more...)
}

// enveloped is a message with its prefix.
func enveloped(flags byte, message []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message)))
	return append(b, message...)
}

// value is a message of the test service that has n bytes when encoded. No message has one byte.
func value(n int) []byte {
	for lengthBytes := 1; n >= 2 && lengthBytes <= 5; lengthBytes++ {
		content := n - 1 - lengthBytes
		if content < 0 || protowire.SizeVarint(uint64(content)) > lengthBytes {
			continue
		}
		b := protowire.AppendTag(nil, 1, protowire.BytesType)
		for i := range lengthBytes { // a length may be written with more bytes than it takes, which is how every size can be had
			next := byte(content>>(7*i)) & 0x7f
			if i < lengthBytes-1 {
				next |= 0x80
			}
			b = append(b, next)
		}
		return append(b, pattern(content)...)
	}
	return nil
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // it is written to memory
	_ = w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		return nil
	}
	return w.EncodeAll(b, nil)
}

func clip(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q... (%d bytes)", s[:60], len(s))
	}
	return s
}
