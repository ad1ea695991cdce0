package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// peer is the server side of one connection, which does what a test tells it to.
type peer struct {
	t      *testing.T
	conn   net.Conn
	number int64
	// paths are those of the calls by stream, bodies what was read of their requests.
	paths   map[uint32]string
	bodies  map[uint32][]byte
	decoder *hpack.Decoder
	path    string
	table   hpackTable
}

type hpackTable struct {
	buffer  bytes.Buffer
	encoder *hpack.Encoder
}

// listenPeer serves each connection with a script. The script ends when the connection does.
func listenPeer(t *testing.T, script func(p *peer)) (*Target, *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	connections := new(atomic.Int64)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			accepted, err := listener.Accept()
			if err != nil {
				return
			}
			p := &peer{t: t, conn: accepted, number: connections.Add(1), paths: map[uint32]string{}, bodies: map[uint32][]byte{}}
			p.table.encoder = hpack.NewEncoder(&p.table.buffer)
			p.decoder = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
				if f.Name == ":path" {
					p.path = f.Value
				}
			})
			go func() {
				defer func() { _ = accepted.Close() }()
				script(p)
			}()
		}
	}()
	return target(t, listener.Addr().String()), connections
}

func (p *peer) write(data []byte) bool {
	_, err := p.conn.Write(data)
	return err == nil
}

// greet reads the preface and sends settings.
func (p *peer) greet(settings ...frame.Setting) bool {
	preface := make([]byte, len(frame.Preface))
	_, err := io.ReadFull(p.conn, preface)
	return err == nil && string(preface) == frame.Preface && p.write(frame.AppendSettings(nil, settings...))
}

// read reads a frame; of headers it notes the path, of data the body.
func (p *peer) read() (frame.Header, []byte, bool) {
	head := make([]byte, frame.HeaderSize)
	if _, err := io.ReadFull(p.conn, head); err != nil {
		return frame.Header{}, nil, false
	}
	h := frame.ParseHeader(head)
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(p.conn, payload); err != nil {
		return frame.Header{}, nil, false
	}
	switch h.Type { //nolint:exhaustive // the others are the script's
	case frame.Headers:
		p.path = ""
		if _, err := p.decoder.Write(payload); err != nil || p.decoder.Close() != nil {
			return frame.Header{}, nil, false
		}
		p.paths[h.StreamID] = p.path
	case frame.Data:
		p.bodies[h.StreamID] = append(p.bodies[h.StreamID], payload...)
	}
	return h, payload, true
}

// nextCall reads until a request is whole, and acknowledges settings.
func (p *peer) nextCall() (uint32, bool) {
	for {
		h, _, ok := p.read()
		switch {
		case !ok:
			return 0, false
		case h.Type == frame.Settings && !h.Flags.Has(frame.Ack):
			p.write(frame.AppendSettingsAck(nil))
		case (h.Type == frame.Data || h.Type == frame.Headers) && h.Flags.Has(frame.EndStream):
			return h.StreamID, true
		}
	}
}

func (p *peer) block(fields ...string) []byte {
	p.table.buffer.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.table.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.table.buffer.Bytes())
}

// answer is a right response to a unary call of gRPC, with an empty message.
func (p *peer) answer(id uint32) []byte {
	out := frame.AppendHeaders(nil, id, 0, p.block(":status", "200", "content-type", "application/grpc"), frame.DefaultMaxSize)
	out = frame.AppendData(out, id, 0, make([]byte, envelopeSize))
	return frame.AppendHeaders(out, id, frame.EndStream, p.block("grpc-status", "0"), frame.DefaultMaxSize)
}

// well answers all calls rightly.
func (p *peer) well() {
	for {
		id, ok := p.nextCall()
		if !ok || !p.write(p.answer(id)) {
			return
		}
	}
}

func peerPlan(t *testing.T) *Plan {
	keys := Keys{Count: 1}
	plan := newPlan(keys, get(t, keys))
	plan.Connections, plan.Calls, plan.Threads = 1, 100, 1
	return plan
}

func TestAServerThatNeverAnswersEndsTheRun(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 1000} {
		to, _ := listenPeer(t, func(p *peer) {
			p.greet()
			_, _ = io.Copy(io.Discard, p.conn)
		})
		plan := peerPlan(t)
		plan.Timeout, plan.Rate = 300*time.Millisecond, rate
		s, err := Run(t.Context(), plan, to, nil)
		require.EqualError(t, err, to.Address.String()+": the server has answered nothing for 300ms")
		require.EqualValues(t, plan.Streams, s.Failed)
		require.Equal(t, failTimeout, s.Failures[0].Code)
		require.Positive(t, s.Latency.Count, "that nothing came in time is a latency too")
	}
}

func TestAServerThatDoesNotGreetIsNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, says string
		script     func(p *peer)
	}{
		{"nothing", "it has not answered in 300ms", func(p *peer) { _, _ = io.Copy(io.Discard, p.conn) }},
		{"closed", "it closed the connection before it sent its settings", func(*peer) {}},
		{"http/1.1", "it speaks HTTP/1.1 only", func(p *peer) { p.write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); _, _ = io.Copy(io.Discard, p.conn) }},
		{"something else", "it does not speak HTTP/2", func(p *peer) { p.write([]byte("220 mail.example.com ESMTP\r\n")); _, _ = io.Copy(io.Discard, p.conn) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			to, _ := listenPeer(t, test.script)
			plan := peerPlan(t)
			plan.Timeout, plan.Connections = 300*time.Millisecond, 5
			s, err := Run(t.Context(), plan, to, nil)
			require.Nil(t, s)
			require.ErrorContains(t, err, "cannot greet "+to.Address.String()+": "+test.says)
		})
	}
}

// TestABrokenConnectionIsReplaced has what ends the first connection; all others answer well.
func TestABrokenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	data := func(id uint32, flags frame.Flags, payload []byte) []byte {
		return frame.AppendData(nil, id, flags, payload)
	}
	endless := func(id uint32) []byte {
		out := frame.AppendHeader(nil, frame.Header{Length: 10_000, Type: frame.Headers, StreamID: id})
		out = append(out, make([]byte, 10_000)...)
		for range 10 {
			out = frame.AppendHeader(out, frame.Header{Length: 10_000, Type: frame.Continuation, StreamID: id})
			out = append(out, make([]byte, 10_000)...)
		}
		return out
	}
	for _, test := range []struct {
		name, code, says string
		sends            func(p *peer, id uint32) []byte
	}{
		{"closes", failConnection, "", func(*peer, uint32) []byte { return nil }},
		{"closes within a frame", failConnection, "", func(p *peer, id uint32) []byte { return p.answer(id)[:12] }},
		{"a frame that is too large", failMalformed, "a frame of 16385 bytes", func(_ *peer, id uint32) []byte { return data(id, 0, make([]byte, 16385)) }},
		{"a frame of 16 MiB that never comes", failMalformed, "a frame of 16777215 bytes", func(*peer, uint32) []byte { return []byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1} }},
		{"a stream that was never opened", failMalformed, "never opened", func(_ *peer, id uint32) []byte { return data(id+1000, 0, nil) }},
		{"a stream of the server's", failMalformed, "never opened", func(*peer, uint32) []byte { return data(2, 0, nil) }},
		{"wrong padding", failMalformed, "padding", func(_ *peer, id uint32) []byte {
			return append(frame.AppendHeader(nil, frame.Header{Length: 1, Type: frame.Data, Flags: frame.Padded, StreamID: id}), 200)
		}},
		{"a header block without end", failMalformed, "a header block of more than", func(_ *peer, id uint32) []byte { return endless(id) }},
		{"empty continuations", failMalformed, "an empty CONTINUATION", func(_ *peer, id uint32) []byte {
			out := frame.AppendHeader(nil, frame.Header{Type: frame.Headers, StreamID: id})
			return frame.AppendHeader(out, frame.Header{Type: frame.Continuation, StreamID: id})
		}},
		{"a frame within a header block", failMalformed, "within a header block", func(_ *peer, id uint32) []byte {
			out := frame.AppendHeader(nil, frame.Header{Type: frame.Headers, StreamID: id})
			return frame.AppendPing(out, false, [8]byte{})
		}},
		{"an index that is not in the table", failMalformed, "cannot be decoded", func(_ *peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, 0, []byte{0xfe}, frame.DefaultMaxSize)
		}},
		{"a push", failMalformed, "pushes", func(_ *peer, id uint32) []byte {
			return append(frame.AppendHeader(nil, frame.Header{Length: 4, Type: frame.PushPromise, StreamID: id}), 0, 0, 0, 2)
		}},
		{"a window of nothing", failMalformed, "widened", func(*peer, uint32) []byte { return frame.AppendWindowUpdate(nil, 0, 0) }},
		{"a window that overflows", failMalformed, "widened", func(*peer, uint32) []byte { return frame.AppendWindowUpdate(nil, 0, frame.MaxWindow) }},
		{"streams' windows that overflow", failMalformed, "widened", func(_ *peer, id uint32) []byte {
			out := frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: 1})
			out = frame.AppendWindowUpdate(out, id, frame.MaxWindow-10)
			return frame.AppendSettings(out, frame.Setting{ID: frame.InitialWindowSize, Value: frame.MaxWindow})
		}},
		{"settings out of range", failMalformed, "setting 5", func(*peer, uint32) []byte {
			return frame.AppendSettings(nil, frame.Setting{ID: frame.MaxFrameSize, Value: 1})
		}},
		{"settings that are cut", failMalformed, "SETTINGS of 5 bytes", func(*peer, uint32) []byte {
			return append(frame.AppendHeader(nil, frame.Header{Length: 5, Type: frame.Settings}), make([]byte, 5)...)
		}},
		{"a short GOAWAY", failMalformed, "GOAWAY of 0 bytes", func(*peer, uint32) []byte { return frame.AppendHeader(nil, frame.Header{Type: frame.GoAway}) }},
		{"a long PING", failMalformed, "PING of 0 bytes", func(*peer, uint32) []byte { return frame.AppendHeader(nil, frame.Header{Type: frame.Ping}) }},
		{"a short RST_STREAM", failMalformed, "RST_STREAM of 0 bytes", func(_ *peer, id uint32) []byte {
			return frame.AppendHeader(nil, frame.Header{Type: frame.RSTStream, StreamID: id})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			to, connections := listenPeer(t, func(p *peer) {
				if !p.greet() {
					return
				}
				if p.number > 1 {
					p.well()
					return
				}
				if id, ok := p.nextCall(); ok {
					p.write(test.sends(p, id))
					if test.code == failMalformed {
						for { // it says why it goes
							if _, _, ok := p.read(); !ok {
								return
							}
						}
					}
				}
			})
			plan := peerPlan(t)
			s, err := Run(t.Context(), plan, to, nil)
			require.NoError(t, err)
			require.EqualValues(t, 2, connections.Load())
			require.Len(t, s.Failures, 1, "%+v", s.Failures)
			require.Equal(t, test.code, s.Failures[0].Code)
			require.Contains(t, s.Failures[0].Message, test.says)
			require.EqualValues(t, plan.Streams, s.Failed)
			require.EqualValues(t, plan.Calls, s.Calls)
			require.Len(t, s.Disconnects, 1)
		})
	}
}

// TestAWrongResponseIsACallThatFailed has the responses that end one call and nothing else.
func TestAWrongResponseIsACallThatFailed(t *testing.T) {
	t.Parallel()
	const size = frame.DefaultMaxSize
	header := func(p *peer, id uint32) []byte {
		return frame.AppendHeaders(nil, id, 0, p.block(":status", "200", "content-type", "application/grpc"), size)
	}
	for _, test := range []struct {
		name, code, says string
		sends            func(p *peer, id uint32) []byte
	}{
		{"reset", "RST_STREAM_REFUSED_STREAM", "reset", func(_ *peer, id uint32) []byte { return frame.AppendRSTStream(nil, id, frame.RefusedStream) }},
		{"no grpc-status", failMalformed, "no grpc-status", func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(header(p, id), id, frame.EndStream, p.block("x-a", "b"), size)
		}},
		{"no trailers", failMalformed, "no grpc-status", func(p *peer, id uint32) []byte {
			return frame.AppendData(header(p, id), id, frame.EndStream, make([]byte, envelopeSize))
		}},
		{"no message", failMalformed, "0 messages", func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(header(p, id), id, frame.EndStream, p.block("grpc-status", "0"), size)
		}},
		{"two messages", failMalformed, "2 messages", func(p *peer, id uint32) []byte {
			out := frame.AppendData(header(p, id), id, 0, make([]byte, 2*envelopeSize))
			return frame.AppendHeaders(out, id, frame.EndStream, p.block("grpc-status", "0"), size)
		}},
		{"a cut message", failMalformed, "within a message", func(p *peer, id uint32) []byte {
			out := frame.AppendData(header(p, id), id, 0, []byte{0, 0, 0, 0, 9, 1})
			return frame.AppendHeaders(out, id, frame.EndStream, p.block("grpc-status", "0"), size)
		}},
		{"a message of 4 GiB", failMalformed, "a message of 4294967295 bytes", func(p *peer, id uint32) []byte {
			return frame.AppendData(header(p, id), id, 0, []byte{0, 0xff, 0xff, 0xff, 0xff})
		}},
		{"a compressed message", failMalformed, "compressed", func(p *peer, id uint32) []byte {
			return frame.AppendData(header(p, id), id, 0, []byte{1, 0, 0, 0, 0})
		}},
		{"a body before the header", failMalformed, "before its header", func(_ *peer, id uint32) []byte { return frame.AppendData(nil, id, 0, []byte{0}) }},
		{"no status", failMalformed, "no status", func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, 0, p.block("grpc-status", "0"), size)
		}},
		{"two headers", failMalformed, "second header", func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(header(p, id), id, 0, p.block("grpc-status", "0"), size)
		}},
		{"an encoding", failMalformed, `encoded as "gzip"`, func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, 0, p.block(":status", "200", "content-type", "application/grpc", "grpc-encoding", "gzip"), size)
		}},
		{"another content type", failMalformed, `content type "text/html"`, func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, 0, p.block(":status", "200", "content-type", "text/html"), size)
		}},
		{"HTTP's status", "HTTP_503", "Service Unavailable", func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, frame.EndStream, p.block(":status", "503"), size)
		}},
		{"trailers only", "RESOURCE_EXHAUSTED", "50% of ü", func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, frame.EndStream, p.block(":status", "200", "content-type", "application/grpc+proto", "grpc-status", "8", "grpc-message", "50%25 of %C3%BC"), size)
		}},
		{"a code that does not exist", "CODE_99", "", func(p *peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, frame.EndStream, p.block(":status", "200", "content-type", "application/grpc", "grpc-status", "99"), size)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			to, connections := listenPeer(t, func(p *peer) {
				p.greet()
				for i := 0; ; i++ {
					id, ok := p.nextCall()
					if !ok {
						return
					}
					if i%2 == 0 {
						p.write(test.sends(p, id))
						// What comes late for a call that was given up is nobody's.
						p.write(frame.AppendHeaders(nil, id, frame.EndStream, p.block("x-late", fmt.Sprint(i)), size))
					} else {
						p.write(p.answer(id))
					}
				}
			})
			plan := peerPlan(t)
			s, err := Run(t.Context(), plan, to, nil)
			require.NoError(t, err)
			require.EqualValues(t, 1, connections.Load())
			require.EqualValues(t, 50, s.OK, "%+v", s.Failures)
			require.Len(t, s.Failures, 1)
			require.Equal(t, test.code, s.Failures[0].Code)
			require.Contains(t, s.Failures[0].Message, test.says)
			require.EqualValues(t, 50, s.Failures[0].Calls)
		})
	}
}

func TestCallsThatGoAwayLeavesOutAreMadeAgain(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 5000} {
		to, connections := listenPeer(t, func(p *peer) {
			p.greet()
			// Two calls are answered, and the others sent away in two steps.
			for range 2 {
				id, ok := p.nextCall()
				if !ok || !p.write(p.answer(id)) {
					return
				}
				if id == 3 && p.number < 4 {
					p.write(frame.AppendGoAway(nil, frame.MaxStreamID, frame.NoError, ""))
					p.write(frame.AppendGoAway(nil, 3, frame.NoError, "bye"))
				}
			}
			p.well()
		})
		plan := peerPlan(t)
		plan.Rate = rate
		s, err := Run(t.Context(), plan, to, nil)
		require.NoError(t, err)
		require.EqualValues(t, plan.Calls, s.OK, "%+v", s.Failures)
		require.EqualValues(t, 4, connections.Load())
		require.Equal(t, "GOAWAY NO_ERROR", s.Disconnects[0].Code)
		if rate == 0 {
			require.Positive(t, s.Repeated)
		}
	}
}

func TestAServerThatSendsEverybodyAwayFailsCalls(t *testing.T) {
	t.Parallel()
	to, _ := listenPeer(t, func(p *peer) {
		p.greet()
		p.nextCall()
		p.write(frame.AppendGoAway(nil, 0, frame.EnhanceYourCalm, "too_many_pings"))
		_, _ = io.Copy(io.Discard, p.conn)
	})
	plan := peerPlan(t)
	plan.Calls = 5
	s, err := Run(t.Context(), plan, to, nil)
	require.NoError(t, err)
	require.EqualValues(t, 5, s.Failed)
	require.Equal(t, "UNAVAILABLE", s.Failures[0].Code)
	require.Equal(t, Failure{"GOAWAY ENHANCE_YOUR_CALM", maxAttempts, "too_many_pings"}, s.Disconnects[0])
}

func TestStreamIDsRunOut(t *testing.T) {
	t.Parallel()
	to, connections := listenPeer(t, func(p *peer) {
		p.greet()
		p.well()
	})
	plan := peerPlan(t)
	plan.firstStream = frame.MaxStreamID - 200
	require.EqualValues(t, plan.Calls, mustRun(t, plan, to).OK)
	require.Greater(t, connections.Load(), int64(1))
}

// TestSettingsAreObeyed changes all of them while calls are under way.
func TestSettingsAreObeyed(t *testing.T) {
	t.Parallel()
	const window = 100
	to, _ := listenPeer(t, func(p *peer) {
		p.greet(frame.Setting{ID: frame.MaxConcurrentStreams, Value: 2}, frame.Setting{ID: frame.InitialWindowSize, Value: window})
		open, granted, connection := map[uint32]int{}, map[uint32]int{}, frame.DefaultWindow
		for i := 0; ; {
			h, _, ok := p.read()
			if !ok {
				return
			}
			switch h.Type { //nolint:exhaustive // the others need no answer
			case frame.Headers:
				open[h.StreamID] = 0
				granted[h.StreamID] = window
				if len(open) > 2 {
					p.t.Errorf("%d streams are open", len(open))
				}
			case frame.Data:
				if open[h.StreamID] += int(h.Length); open[h.StreamID] > granted[h.StreamID] {
					p.t.Errorf("%d bytes where %d are allowed", open[h.StreamID], granted[h.StreamID])
				}
				if connection -= int(h.Length); connection < 0 {
					p.t.Errorf("the connection's window is overrun by %d", -connection)
				}
				if connection < 1000 {
					p.write(frame.AppendWindowUpdate(nil, 0, 1000))
					connection += 1000
				}
				if !h.Flags.Has(frame.EndStream) {
					granted[h.StreamID] += 1500
					p.write(frame.AppendWindowUpdate(nil, h.StreamID, 1500))
					continue
				}
				delete(open, h.StreamID)
				// The envelope, a key of 12 digits, and the value.
				if got := p.bodies[h.StreamID]; len(got) != 5+14+5003 || binary.BigEndian.Uint32(got[1:]) != 14+5003 || !bytes.HasSuffix(got, letters(5000)) {
					p.t.Errorf("a body of %d bytes", len(got))
				}
				if !strings.HasSuffix(p.paths[h.StreamID], "/Set") {
					p.t.Errorf("the path is %q", p.paths[h.StreamID])
				}
				delete(p.bodies, h.StreamID)
				p.write(p.answer(h.StreamID))
				i++
				switch i {
				case 20:
					p.write(frame.AppendSettings(nil, frame.Setting{ID: frame.HeaderTableSize, Value: 0}))
				case 40:
					p.write(frame.AppendSettings(nil, frame.Setting{ID: frame.HeaderTableSize, Value: 200}))
				case 60:
					p.write(frame.AppendSettings(nil, frame.Setting{ID: frame.HeaderTableSize, Value: 8192}))
					p.write(frame.AppendPing(nil, false, [8]byte{1}))
					p.write(frame.AppendHeader(nil, frame.Header{Type: 99, StreamID: 5}))
				}
			}
		}
	})
	keys := Keys{Count: 1}
	plan := newPlan(keys, Share{template(t, "keyvalue_basic", "Set", `{"key": "{{seq}}", "value": "{{bytes 5000}}"}`, keys), 1})
	plan.Connections, plan.Calls, plan.Threads = 1, 100, 1
	require.EqualValues(t, plan.Calls, mustRun(t, plan, to).OK)
}

// TestAStallIsChargedToTheCallsThatItKeptWaiting is what correction for coordinated omission means: one call is slow, and those that were due meanwhile were too.
func TestAStallIsChargedToTheCallsThatItKeptWaiting(t *testing.T) {
	t.Parallel()
	to, _ := listenPeer(t, func(p *peer) {
		p.greet()
		id, _ := p.nextCall()
		time.Sleep(400 * time.Millisecond)
		p.write(p.answer(id))
		p.well()
	})
	plan := peerPlan(t)
	plan.Streams, plan.Rate, plan.Calls = 1, 100, 50
	s := mustRun(t, plan, to)
	// The call in the middle was due a quarter of a second after the first one, and waited for the rest of its stall at least.
	require.GreaterOrEqual(t, s.Latency.P50, 140.0)
	require.GreaterOrEqual(t, s.Latency.Max, 395.0)
	require.LessOrEqual(t, s.Service.P50, s.Latency.P50)
	require.Less(t, s.Lateness.Count, int64(20), "calls that waited for the server are not the generator's delay")
}

func TestAnAnswerThatIsTooEarlyEndsTheRequest(t *testing.T) {
	t.Parallel()
	resets := new(atomic.Int64)
	to, _ := listenPeer(t, func(p *peer) {
		p.greet(frame.Setting{ID: frame.InitialWindowSize, Value: 0})
		for {
			h, payload, ok := p.read()
			switch {
			case !ok:
				return
			case h.Type == frame.Headers:
				p.write(p.answer(h.StreamID))
			case h.Type == frame.RSTStream && frame.ErrorCode(binary.BigEndian.Uint32(payload)) == frame.NoError:
				resets.Add(1)
			}
		}
	})
	require.EqualValues(t, 100, mustRun(t, peerPlan(t), to).OK)
	require.Eventually(t, func() bool { return resets.Load() == 100 }, timeout, time.Millisecond)
}

func TestHTTP1Responses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, response, code, says string
	}{
		{"with a length", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 3\r\n\r\nabc", "", ""},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 0\r\n\r\n", "", ""},
		{"in chunks", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n", "", ""},
		{"after another", "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 0\r\n\r\n", "", ""},
		{"the last", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "", ""},
		{"an error", "HTTP/1.1 400 Bad Request\r\nContent-Length: 43\r\n\r\n" + `{"code":"out_of_range","message":"too far"}`, "OUT_OF_RANGE", "too far"},
		{"not Connect", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nabc", "HTTP_502", "Bad Gateway"},
		{"another content type", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", failMalformed, `content type "text/html"`},
		{"an encoding", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", failMalformed, "gzip"},
		{"no HTTP", "+OK\r\n\r\n\r\n", failMalformed, "does not speak HTTP/1.1"},
		{"a length that is none", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: -3\r\n\r\nabc", failMalformed, "content-length"},
		{"no length", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\n\r\nabc", failConnection, "does not say how long"},
		{"a chunk that is none", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", failMalformed, "a chunk"},
		{"a chunk that is too long", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", failMalformed, "a chunk"},
		{"a chunk of 2^64 bytes", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", failMalformed, "a chunk"},
		{"too much", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 1\r\n\r\nabc", failMalformed, "nobody has asked for"},
		{"an endless header", "HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nA: " + strings.Repeat("a", 100_000), failMalformed, "a header of more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			to, _ := listenPeer(t, func(p *peer) {
				reader := bufio.NewReader(p.conn)
				for {
					for {
						line, err := reader.ReadString('\n')
						if err != nil {
							return
						}
						if line == "\r\n" {
							break
						}
					}
					if _, err := reader.Discard(3); err != nil { // {"key": "0"}
						return
					}
					// In two parts, so that they are put together again.
					half := len(test.response) / 2
					if !p.write([]byte(test.response[:half])) || !p.write([]byte(test.response[half:])) || strings.Contains(test.response, "close") {
						return
					}
				}
			})
			plan := peerPlan(t)
			plan.Protocol, plan.Streams, plan.Calls = ConnectHTTP1, 1, 10
			s, err := Run(t.Context(), plan, to, nil)
			require.NoError(t, err)
			require.EqualValues(t, 10, s.Calls)
			if test.code == "" {
				require.EqualValues(t, 10, s.OK, "%+v", s.Failures)
				return
			}
			require.NotEmpty(t, append(s.Failures, s.Disconnects...))
			require.Equal(t, test.code, append(s.Failures, s.Disconnects...)[0].Code)
			require.Contains(t, append(s.Failures, s.Disconnects...)[0].Message, test.says)
		})
	}
}
