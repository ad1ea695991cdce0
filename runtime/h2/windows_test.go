package h2_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

func TestAResponseWaitsForTheWindow(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 10}}})
	p.Headers(1, frame.EndStream, fields("GET", "/large?30")...)
	require.Equal(t, uint32(10), p.ExpectType(frame.Data, 1).Length)
	p.WindowUpdate(1, 5)
	require.Equal(t, uint32(5), p.ExpectType(frame.Data, 1).Length)
	p.Send(frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: 20})) // ten more for each stream
	require.Equal(t, uint32(10), p.ExpectType(frame.Data, 1).Length)
	p.Send(frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: 0})) // twenty less than nothing
	p.WindowUpdate(1, 20)
	p.Headers(3, frame.EndStream, fields("GET", "/bare")...) // what needs no window does not wait
	answers(t, p, 3, "200", "")
	p.WindowUpdate(1, 5)
	r := p.Response(1)
	require.Len(t, r.Data, 30)
	require.Equal(t, "1", testpeer.Field(r.Trailer, "x-done"))
}

func TestTheConnectionsWindowIsShared(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1 << 20}}})
	ids := []uint32{1, 3, 5, 7}
	for _, id := range ids {
		p.Headers(id, frame.EndStream, fields("GET", "/large?100000")...)
	}
	received := func() (sum int) {
		for _, got := range p.Frames() {
			if got.Type == frame.Data {
				sum += int(got.Length)
			}
		}
		return sum
	}
	f.eventually(func() bool { return received() == frame.DefaultWindow }, "the window is used up")
	p.Headers(9, frame.EndStream, fields("GET", "/bare")...)
	answers(t, p, 9, "200", "")
	p.WindowUpdate(0, 1)
	f.eventually(func() bool { return received() == frame.DefaultWindow+1 }, "one byte more")
	p.WindowUpdate(0, 400_000)
	for _, id := range ids {
		require.Len(t, p.Response(id).Data, 100_000)
	}
}

func TestAResponseThatWaitsForTheWindowIsCut(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{StallTimeout: 100 * time.Millisecond})
	f.neighbour()
	p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 0}}})
	before := heap()
	for id := uint32(1); id < 400; id += 2 {
		p.Headers(id, frame.EndStream, fields("GET", "/large?100000")...)
	}
	f.eventually(func() bool { return f.server.Stats().Memory > 200*100_000-1<<20 }, "what waits is counted")
	require.Less(t, heap()-before, int64(200<<20))
	for id := uint32(1); id < 400; id += 2 {
		p.ExpectReset(id, frame.Cancel)
	}
	require.Equal(t, int64(200), f.refused(h2.CutStall))
	f.eventually(func() bool { return f.server.Stats().Memory < 1<<20 }, "and given back")
	p.Headers(401, frame.EndStream, fields("GET", "/bare")...)
	answers(t, p, 401, "200", "")
}

// mute is a peer that never reads what the server sends. It comes by a Unix socket: a TCP socket whose receive buffer is full drops what comes, acknowledgements of
// what it sends among it, and then both sides wait for minutes to send again.
func (f *fixture) mute() *testpeer.Peer {
	f.t.Helper()
	folder, err := os.MkdirTemp("", "mute") // the path of a socket is short, and a test's own folder has the test's name
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", path)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = listener.Close() })
	f.serve(listener, nil)
	return testpeer.Connect(f.t, "unix:"+path, testpeer.Options{NoRead: true})
}

func TestAPeerThatNeverReadsResponses(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{WriteTimeout: time.Second})
	f.neighbour()
	p := f.mute()
	for id := uint32(1); id < 400; id += 2 {
		p.Headers(id, frame.EndStream, fields("GET", "/large?100000")...)
	}
	f.eventually(func() bool { return f.refused(h2.EndedWrite) == 1 }, "it is cut off")
	f.eventually(func() bool { return f.server.Stats().Connections <= 1 && f.server.Stats().Memory < 1<<20 }, "and forgotten")
}

func TestAPeerThatNeverReadsAnswersToControlFrames(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{FloodAllowance: 1 << 30, WriteTimeout: time.Second})
	f.neighbour()
	p := f.mute()
	for range 100_000 {
		if p.TrySend(bytes.Repeat(frame.AppendSettings(nil), 1000)) != nil {
			break
		}
		require.Less(t, f.server.Stats().Memory, int64(1<<20))
	}
	f.cutOff()
}

// cutOff waits until a peer that reads nothing is cut off: for what it has made the server keep, or, when the goroutine that reads was itself the one that wrote and so
// kept no more, for the write that took too long.
func (f *fixture) cutOff() {
	f.t.Helper()
	f.eventually(func() bool { return f.refused(h2.EndedControl)+f.refused(h2.EndedWrite) == 1 }, "it is cut off")
}

// A stream that is over for the server is not yet for a peer that reads nothing: it would otherwise fill memory with responses of nothing but a header, for which
// there is no window.
func TestAPeerThatNeverReadsResponsesWithoutABody(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(p *testpeer.Peer, id uint32) []byte{
		"whole": func(p *testpeer.Peer, id uint32) []byte {
			return frame.AppendHeaders(nil, id, frame.EndStream, p.Block(fields("GET", "/bare")...), frame.DefaultMaxSize)
		},
		"reset after the header": func(p *testpeer.Peer, id uint32) []byte {
			b := frame.AppendHeaders(nil, id, 0, p.Block(post("/header")...), frame.DefaultMaxSize)
			if id > 100 {
				b = frame.AppendRSTStream(b, id-100, frame.Cancel)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, h2.Limits{FloodAllowance: 1 << 30, MaxStreams: 100, WriteTimeout: time.Second})
			f.neighbour()
			p := f.mute()
			id := uint32(1)
			deadline := time.Now().Add(time.Minute) // for a machine that is busy: it is seldom reached
			for time.Now().Before(deadline) {
				var b []byte
				for range 50 {
					b = append(b, next(p, id)...)
					id += 2
				}
				if p.TrySend(b) != nil {
					break
				}
				require.Less(t, f.server.Stats().Memory, int64(1<<20), "after %d requests", id/2)
				time.Sleep(100 * time.Microsecond) // the handlers are to keep up
			}
			f.cutOff()
			require.Positive(t, f.refused(h2.RefusedStreams))
		})
	}
}

func TestPaddingCountsInTheWindows(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	p := f.connect()
	p.Headers(1, 0, post("/whole")...)
	padded := append(frame.AppendHeader(nil, frame.Header{Length: 257, Type: frame.Data, Flags: frame.Padded, StreamID: 1}), 255)
	padded = append(padded, make([]byte, 256)...)
	const n = 10_000 // of one byte each, and 256 of padding
	for range n / 10 {
		p.Send(bytes.Repeat(padded, 10))
	}
	p.Data(1, frame.EndStream, nil)
	answers(t, p, 1, "200", "10000")
	credit := 0
	for _, got := range p.Frames() {
		if got.Type == frame.WindowUpdate && got.StreamID == 0 {
			credit += int(got.Increment())
		}
	}
	require.Greater(t, credit, n*257-frame.DefaultWindow)
	// The stream's window is credited too.
	p.Expect("an update of the stream's window", func(f testpeer.Frame) bool { return f.Type == frame.WindowUpdate && f.StreamID == 1 })
}

func TestPaddingIsNoLongerThanItsFrame(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	for name, kind := range map[string]frame.Type{"DATA": frame.Data, "HEADERS": frame.Headers} {
		t.Run(name, func(t *testing.T) {
			p := testpeer.Connect(t, f.address, testpeer.Options{})
			p.Headers(1, 0, post("/wait")...)
			p.Frame(kind, frame.Padded|frame.EndHeaders, 1, []byte{4, 0, 0, 0}) // as long as all of it, with its own length
			p.ExpectConnectionError(frame.ProtocolError)
		})
	}
	p := f.connect()
	block := p.Block(fields("GET", "/quick")...)
	payload := append([]byte{3, 0, 0, 0, 1, 255}, block...)
	p.Frame(frame.Headers, frame.Padded|frame.HasPriority|frame.EndHeaders|frame.EndStream, 3, append(payload, 0, 0, 0))
	answers(t, p, 3, "200", "hello")
}

func TestDataOnStreamsThatAreOverOpensTheConnectionsWindow(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{FloodAllowance: 20})
	f.neighbour()
	p := f.connect()
	p.Headers(1, 0, post("/quick")...)
	answers(t, p, 1, "200", "hello")
	const much = 1 << 20
	pour(t, p, 1, 0, much) // on a stream that the server has reset
	p.Headers(3, 0, post("/whole", "content-length", "1")...)
	p.Data(3, 0, []byte("more than one"))
	p.ExpectReset(3, frame.ProtocolError)
	pour(t, p, 3, much+13, much)
	call(t, p, 5)
}

func TestAStreamsWindowIsABound(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	f.neighbour()
	p := f.connect()
	p.Headers(1, 0, post("/wait")...) // it reads nothing
	const window = 1<<20 + 1<<16
	pour(t, p, 1, 0, window)
	p.Alive()
	p.Data(1, 0, []byte("x"))
	p.ExpectReset(1, frame.FlowControlError)
	call(t, p, 3)
}

func TestSettingsApplyInTheirOrder(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Send(frame.AppendSettings(nil,
		frame.Setting{ID: frame.InitialWindowSize, Value: 100}, frame.Setting{ID: 0x7777, Value: 1}, frame.Setting{ID: frame.InitialWindowSize, Value: 7},
	))
	p.Headers(1, frame.EndStream, fields("GET", "/large?1000")...)
	require.Equal(t, uint32(7), p.ExpectType(frame.Data, 1).Length)
}

// TestASmallerTableIsAcknowledged demands the size update of RFC 7541, section 4.2, in the next block and in no other.
func TestASmallerTableIsAcknowledged(t *testing.T) {
	t.Parallel()
	for size, updated := range map[uint32]bool{0: true, 4095: true, 4096: false, 65536: false} {
		f := start(t, h2.Limits{})
		p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.HeaderTableSize, Value: size}}})
		for id := uint32(1); id < 6; id += 2 {
			call(t, p, id)
			block := p.ExpectType(frame.Headers, id).Payload
			require.Equal(t, updated && id == 1, block[0] == 0x20, "size %d, stream %d: % x", size, id, block)
		}
	}
}

func TestAWindowThatSETTINGSMakeTooLargeIsAnError(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1000}}})
	p.Headers(1, 0, post("/wait")...)
	p.WindowUpdate(1, frame.MaxWindow-1000)
	p.Send(frame.AppendSettings(nil, frame.Setting{ID: frame.InitialWindowSize, Value: 1001}))
	p.ExpectConnectionError(frame.FlowControlError)
}

func TestAStreamsWindowThatOverflowsIsReset(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connectWith(testpeer.Options{Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1000}}})
	p.Headers(1, 0, post("/wait")...)
	p.WindowUpdate(1, frame.MaxWindow-999)
	p.ExpectReset(1, frame.FlowControlError)
	p.Headers(3, 0, post("/wait")...)
	p.WindowUpdate(3, 0)
	p.ExpectReset(3, frame.ProtocolError)
	call(t, p, 5)
}
