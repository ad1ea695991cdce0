package h2_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// window returns how much a peer that has sent so many bytes of DATA may still send on its connection.
func window(p *testpeer.Peer, sent int) int {
	open := frame.DefaultWindow - sent
	for _, f := range p.Frames() {
		if f.Type == frame.WindowUpdate && f.StreamID == 0 {
			open += int(f.Increment())
		}
	}
	return open
}

// pour sends n bytes of DATA on a stream, as the connection's window allows, which must open for all of it. sent is what was sent on the connection before.
func pour(t *testing.T, p *testpeer.Peer, id uint32, sent, n int) {
	t.Helper()
	for poured, end := 0, time.Now().Add(patience); poured < n; {
		size := min(n-poured, window(p, sent+poured), frame.DefaultMaxSize)
		if size > 0 {
			p.Data(id, 0, make([]byte, size))
			poured += size
			continue
		}
		require.False(t, p.IsClosed(), "%d bytes of %d were sent", poured, n)
		require.False(t, time.Now().After(end), "%d bytes of %d were sent, and the window does not open", poured, n)
		time.Sleep(time.Millisecond)
	}
}

// fill is pour until the connection's window stays shut, and returns how much that was. What the server answers to SETTINGS comes after all that it allows for what was
// sent before them.
func fill(p *testpeer.Peer, id uint32, sent, n int) (filled int) {
	for asked := false; filled < n; {
		size := min(n-filled, window(p, sent+filled), frame.DefaultMaxSize)
		switch {
		case size > 0:
			p.Data(id, 0, make([]byte, size))
			filled += size
			asked = false
		case asked:
			return filled
		default:
			p.Send(frame.AppendSettings(nil))
			p.Expect("the acknowledgement of SETTINGS", func(f testpeer.Frame) bool { return f.Type == frame.Settings && f.Flags.Has(frame.Ack) })
			asked = true
		}
	}
	return filled
}

// heap returns how much memory is in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
