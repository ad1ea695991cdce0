package h2_test

import (
	"runtime"
	"time"

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

// pour sends up to n bytes of DATA on a stream, as the connection's window allows, and returns how much that was once the window has stayed shut for a while.
// sent is what was sent on the connection before.
func pour(p *testpeer.Peer, id uint32, sent, n int) (poured int) {
	patience := time.Now().Add(300 * time.Millisecond)
	for poured < n && time.Now().Before(patience) && !p.IsClosed() {
		size := min(n-poured, window(p, sent+poured), frame.DefaultMaxSize)
		if size <= 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		p.Data(id, 0, make([]byte, size))
		poured += size
		patience = time.Now().Add(300 * time.Millisecond)
	}
	return poured
}

// heap returns how much memory is in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
