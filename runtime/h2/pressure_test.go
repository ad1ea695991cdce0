package h2_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

func TestMemoryPressureWithholdsWindowsAndRefusesStreams(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	f := start(t, h2.Limits{MemoryBytes: limit})
	p := f.connect()
	p.Headers(1, 0, post("/stubborn")...)
	p.Headers(3, 0, post("/stubborn")...)
	sent := fill(p, 1, 0, 1<<20)
	sent += fill(p, 3, sent, 1<<20)
	require.Less(t, sent, 2<<20, "windows are withheld")
	require.Zero(t, window(p, sent))
	require.Less(t, f.server.Stats().Memory, int64(2*limit+limit/2))

	other := f.connect()
	other.Headers(1, frame.EndStream, fields("GET", "/quick")...)
	other.ExpectReset(1, frame.RefusedStream)
	require.Positive(t, f.refused(h2.RefusedMemory))
	other.Alive() // reading goes on
	p.Alive()

	p.Data(3, 0, []byte("x"))
	p.ExpectGoAway(frame.FlowControlError) // the window was a promise
	f.eventually(func() bool { return f.server.Stats().Memory == 0 }, "what ended is given back")
	call(t, other, 3)
	close(f.release)
}

// TestMemoryPressurePasses is each way in which memory can be free again; uploads must then go on.
func TestMemoryPressurePasses(t *testing.T) {
	t.Parallel()
	for name, free := range map[string]func(f *fixture, reset func()){
		"reset": func(_ *fixture, reset func()) { reset() },
		"response": func(f *fixture, _ func()) {
			close(f.release)
		},
		"reset, then the handler": func(f *fixture, reset func()) {
			reset()
			time.Sleep(20 * time.Millisecond)
			close(f.release)
		},
	} {
		for _, path := range []string{"/stubborn", "/stubborn-whole", "/whole"} {
			if name == "reset" && path == "/stubborn-whole" {
				continue // its handlers have the bodies
			}
			t.Run(name+" "+path, func(t *testing.T) {
				t.Parallel()
				limits := h2.Limits{MemoryBytes: 128 << 10}
				late := name == "response" && path != "/stubborn" // a body that does not come is then ended by nothing else
				if late {
					limits.BodyTimeout = 500 * time.Millisecond
				}
				f := start(t, limits)
				p := f.connect()
				ids, sent := []uint32{1, 3, 5, 7, 9, 11}, 0
				for _, id := range ids {
					p.Headers(id, 0, post(path)...)
				}
				for _, id := range ids {
					n := fill(p, id, sent, 60_000)
					sent += n
					if path == "/stubborn-whole" && n == 60_000 {
						p.Data(id, frame.EndStream, nil)
					}
					if n < 60_000 {
						break
					}
				}
				if window(p, sent) > 0 { // a busy machine may be so slow that there were bodies that had not come in time
					require.True(t, late, "the window is shut")
					require.Positive(t, f.refused(h2.CutBody), "the window is shut")
				}
				free(f, func() {
					for _, id := range ids {
						p.Reset(id, frame.Cancel)
					}
				})
				f.eventually(func() bool { return window(p, sent) > 40_000 }, "the window opens again")
				id := ids[len(ids)-1] + 2
				f.eventually(func() bool { return f.server.Stats().Memory == 0 }, "nothing is held")
				p.Headers(id, 0, post("/echo")...)
				const much = 300_000
				pour(t, p, id, sent, much)
				p.Data(id, frame.EndStream, nil)
				require.Len(t, p.Response(id).Data, much)
				if name == "reset" {
					close(f.release)
				}
			})
		}
	}
}

// A handler that was given a body whole holds it until it returns, reset or not.
func TestMemoryOfARequestThatWasResetCountsUntilItsHandlerReturns(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	sent := 0
	for id := uint32(1); id < 41; id += 2 {
		p.Headers(id, 0, post("/stubborn-whole")...)
		pour(t, p, id, sent, wholeLimit)
		sent += wholeLimit
		p.Data(id, frame.EndStream, nil)
	}
	f.eventually(func() bool { return f.running.Load() == 20 }, "they run")
	held := f.server.Stats().Memory
	require.Greater(t, held, int64(20*wholeLimit-wholeLimit))
	for id := uint32(1); id < 41; id += 2 {
		p.Reset(id, frame.Cancel)
	}
	p.Alive()
	require.GreaterOrEqual(t, f.server.Stats().Memory, held)
	close(f.release)
	f.eventually(func() bool { return f.server.Stats().Memory < held-19*wholeLimit }, "it is given back")
}

// What counts is what a body costs, which may be ten times what it is.
func TestMemoryIsCountedAsItIsTaken(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	for id := uint32(1); id < 401; id += 2 {
		p.Headers(id, 0, post("/stubborn")...)
		p.Data(id, 0, make([]byte, 4097)) // the next class of buffers
	}
	f.eventually(func() bool { return f.running.Load() == 200 }, "they run")
	require.Greater(t, f.server.Stats().Memory, int64(200*40<<10-1<<20))
	close(f.release)
	f.eventually(func() bool { return f.server.Stats().Memory < 5<<20 }, "it is given back")
}

func TestABodyThatDoesNotComeIsCut(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{BodyTimeout: 50 * time.Millisecond})
	f.neighbour()
	p := f.connect()
	for id := uint32(1); id < 401; id += 2 {
		p.Headers(id, 0, post("/whole")...)
		p.Data(id, 0, []byte("x"))
	}
	for id := uint32(1); id < 401; id += 2 {
		answers(t, p, id, "200", "late")
	}
	require.Equal(t, int64(200), f.refused(h2.CutBody))
	p.Data(1, 0, []byte("more"))
	call(t, p, 401)
}

// A handler that was given what there is of a body, because the rest did not come in time, has it to itself: what comes yet must neither change it nor free it.
func TestABodyThatWasGivenToAHandlerDoesNotChange(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{BodyTimeout: time.Millisecond})
	p := f.connect()
	want := strings.Repeat("a", 500)
	ids := []uint32{1, 3, 5, 7, 9, 11, 13, 15}
	for _, id := range ids {
		b := frame.AppendHeaders(nil, id, 0, p.Block(post("/keeper")...), frame.DefaultMaxSize)
		p.Send(frame.AppendData(b, id, 0, []byte(want)))
	}
	f.eventually(func() bool { return f.running.Load() == int64(len(ids)) }, "they run")
	for _, id := range ids {
		p.Data(id, 0, bytes.Repeat([]byte("b"), 1000)) // it would take larger memory, and the old one would be another's
	}
	for id := uint32(17); id < 217; id += 2 {
		p.Headers(id, 0, post("/wait")...)
		p.Data(id, 0, bytes.Repeat([]byte("c"), 500))
	}
	f.eventually(func() bool { return f.server.Stats().Streams == 108 }, "all has come")
	close(f.release)
	for _, id := range ids {
		// A body may be given to the handler before any of it has come.
		require.Contains(t, []string{want + "|" + want, "|"}, string(p.Response(id).Data))
	}
}

// A connection that is on its way out has its bodies cut by nobody.
func TestAConnectionThatEndsServesNothingMore(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{BodyTimeout: 200 * time.Millisecond})
	p := f.connect()
	b := frame.AppendHeaders(nil, 1, 0, p.Block(post("/stubborn-whole")...), frame.DefaultMaxSize)
	p.Send(append(frame.AppendHeader(b, frame.Header{Length: 8, Type: frame.Ping, StreamID: 1}), make([]byte, 8)...)) // a PING of a stream
	p.ExpectGoAway(frame.ProtocolError)
	time.Sleep(1100 * time.Millisecond) // it lingers for a second, in which there are two sweeps
	require.Zero(t, f.refused(h2.CutBody))
	require.Zero(t, f.begun.Load())
	close(f.release)
}
