package frame_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// FuzzFrames reads frames off bytes as a server does: nothing panics, and what was understood is written again as it was.
func FuzzFrames(f *testing.F) {
	f.Add(frame.AppendSettings([]byte(frame.Preface)[:0], frame.Setting{ID: frame.InitialWindowSize, Value: 1 << 20}, frame.Setting{ID: 99, Value: 7}))
	f.Add(frame.AppendHeaders(nil, 1, frame.EndStream, make([]byte, 100), 30))
	f.Add(append(frame.AppendHeader(nil, frame.Header{Length: 12, Type: frame.Headers, Flags: frame.Padded | frame.HasPriority | frame.EndHeaders, StreamID: 3}), 2, 128, 0, 0, 1, 9, 'b', 'l', 'o', 'k', 0, 0))
	f.Add(append(frame.AppendHeader(nil, frame.Header{Length: 4, Type: frame.Data, Flags: frame.Padded, StreamID: 3}), 4, 0, 0, 0))
	f.Add(frame.AppendGoAway(frame.AppendRSTStream(nil, 1, frame.Cancel), 5, frame.EnhanceYourCalm, "calm"))
	f.Add(frame.AppendWindowUpdate(frame.AppendPing(nil, true, [8]byte{1}), 0, 1))
	f.Add(append(frame.AppendHeader(nil, frame.Header{Length: 5, Type: frame.Priority, StreamID: 3}), 128, 0, 0, 3, 15))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) >= frame.HeaderSize {
			h := frame.ParseHeader(b)
			again := frame.ParseHeader(frame.AppendHeader(nil, h))
			if again != h {
				t.Fatalf("%+v became %+v", h, again)
			}
			put := make([]byte, frame.HeaderSize)
			frame.PutHeader(put, h)
			if !bytes.Equal(put, frame.AppendHeader(nil, h)) {
				t.Fatalf("%+v is put as % x", h, put)
			}
			b = b[frame.HeaderSize:]
			payload := b[:min(len(b), int(h.Length))]
			b = b[len(payload):]
			if int(h.Length) == len(payload) {
				checkPayload(t, h, payload)
			}
		}
	})
}

func checkPayload(t *testing.T, h frame.Header, payload []byte) {
	t.Helper()
	whole := append(frame.AppendHeader(nil, h), payload...)
	same := func(written []byte) {
		t.Helper()
		if !bytes.Equal(whole, written) {
			t.Fatalf("% x is written as % x", whole, written)
		}
	}
	unpadded, err := frame.Unpad(h.Flags, payload)
	if err == nil && h.Flags.Has(frame.Padded) && len(unpadded)+1+int(payload[0]) != len(payload) {
		t.Fatalf("% x without its padding is % x", payload, unpadded)
	}
	if h.Type == frame.Data && !h.Flags.Has(frame.Padded) {
		same(frame.AppendData(nil, h.StreamID, h.Flags, unpadded))
	}
	fragment, dependency, err := frame.HeaderBlock(h.Flags, payload)
	if err == nil && h.Flags.Has(frame.HasPriority) {
		at := bytes.Index(payload, fragment)
		if dependency.StreamID > frame.MaxStreamID || len(fragment) > 0 && at < 0 {
			t.Fatalf("%+v of % x", dependency, payload)
		}
	}
	if h.Type == frame.Headers && h.Flags&^frame.EndStream == frame.EndHeaders {
		same(frame.AppendHeaders(nil, h.StreamID, h.Flags, fragment, max(len(fragment), 1)))
	}
	if len(payload) >= frame.DependencySize {
		_ = frame.ParseDependency(payload)
	}
	var settings []frame.Setting
	rest := payload
	for {
		s, after, ok := frame.ParseSetting(rest)
		if !ok {
			break
		}
		_ = s.Check().String()
		settings, rest = append(settings, s), after
	}
	if len(rest) >= 6 || len(settings)*6+len(rest) != len(payload) {
		t.Fatalf("%d settings of %d bytes", len(settings), len(payload))
	}
	h.StreamID &= frame.MaxStreamID
	switch {
	case h.Type == frame.Settings && h.Flags == 0 && h.StreamID == 0 && len(rest) == 0:
		same(frame.AppendSettings(nil, settings...))
	case h.Type == frame.Ping && h.Flags&^frame.Ack == 0 && h.StreamID == 0 && len(payload) == 8:
		same(frame.AppendPing(nil, h.Flags.Has(frame.Ack), [8]byte(payload)))
	case h.Type == frame.RSTStream && h.Flags == 0 && len(payload) == 4:
		same(frame.AppendRSTStream(nil, h.StreamID, frame.ErrorCode(binary.BigEndian.Uint32(payload))))
	case h.Type == frame.WindowUpdate && h.Flags == 0 && len(payload) == 4:
		same(frame.AppendWindowUpdate(nil, h.StreamID, binary.BigEndian.Uint32(payload)))
	case h.Type == frame.GoAway && h.Flags == 0 && h.StreamID == 0 && len(payload) >= 8:
		same(frame.AppendGoAway(nil, binary.BigEndian.Uint32(payload), frame.ErrorCode(binary.BigEndian.Uint32(payload[4:])), string(payload[8:])))
	}
}
