package grpcserver_test

import (
	"bytes"
	"testing"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// A handler that has returned may have left a goroutine that receives. What that reads into must not become another call's.
func TestAReceiverThatIsLeftBehindHarmsNoOtherCall(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{FloodAllowance: 100_000})
	f.neighbour(t)
	p := f.connect(t)
	id := uint32(1)
	for range 50 {
		var b []byte
		first := id
		for range 20 {
			b = append(b, frame.AppendHeaders(nil, id, 0, p.Block(testpeer.GRPC("/"+service+"/Leave")...), frame.DefaultMaxSize)...)
			for range 5 {
				b = append(b, frame.AppendData(nil, id, 0, message(t, bytes.Repeat([]byte{byte(id)}, 100)))...)
			}
			id += 2
			b = append(b, frame.AppendHeaders(nil, id, 0, p.Block(testpeer.GRPC("/"+service+"/ClientStream")...), frame.DefaultMaxSize)...)
			b = append(b, frame.AppendData(nil, id, frame.EndStream, message(t, bytes.Repeat([]byte{byte(id)}, 100)))...)
			id += 2
		}
		p.Send(b)
		for ; first < id; first += 4 {
			got := values(t, p.Response(first+2))
			if want := string(bytes.Repeat([]byte{byte(first + 2)}, 100)); len(got) != 1 || got[0] != want {
				t.Fatalf("stream %d answered %q", first+2, got)
			}
		}
	}
}
