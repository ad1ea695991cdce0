package testpeer

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// GRPC returns the fields of a gRPC request in the order that gRPC sends them, followed by others.
func GRPC(path string, others ...string) []string {
	return append([]string{
		":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost",
		"content-type", "application/grpc", "te", "trailers",
	}, others...)
}

// With returns fields with the value of a name replaced, where it stands.
func With(fields []string, name, value string) []string {
	changed := append([]string(nil), fields...)
	for i := 0; i+1 < len(changed); i += 2 {
		if changed[i] == name {
			changed[i+1] = value
		}
	}
	return changed
}

// Without returns fields without those of a name.
func Without(fields []string, name string) []string {
	var left []string
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != name {
			left = append(left, fields[i], fields[i+1])
		}
	}
	return left
}

// Message puts gRPC's prefix before a message that is not compressed.
func Message(payload []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload)))
	return append(b, payload...)
}

// Response is all that a stream answered.
type Response struct {
	// Header are the fields of the first header block, Trailer those of the last when there is a second.
	Header, Trailer []hpack.HeaderField
	// Data is the payload of all DATA frames, without padding.
	Data []byte
	// Ended tells that the server has ended the stream.
	Ended bool
	// Reset is the code of RST_STREAM when there was one, also after the end.
	Reset *frame.ErrorCode
}

// Response waits until the server has ended or reset a stream, and returns what it answered. It may be called again, and takes no frame from other helpers.
func (p *Peer) Response(streamID uint32) Response {
	p.t.Helper()
	var r Response
	over := func(f Frame) bool { return f.StreamID == streamID && (f.Type == frame.RSTStream || f.ends()) }
	p.Until("the end of stream "+strconv.FormatUint(uint64(streamID), 10), func(received []Frame) bool { return slices.ContainsFunc(received, over) })
	for _, f := range p.Frames() {
		if f.StreamID != streamID {
			continue
		}
		switch f.Type {
		case frame.Data:
			data, _ := frame.Unpad(f.Flags, f.Payload)
			r.Data = append(r.Data, data...)
		case frame.RSTStream:
			code := f.Code()
			r.Reset = &code
		case frame.Headers, frame.Continuation:
			switch {
			case f.Fields == nil || strings.HasPrefix(Field(f.Fields, ":status"), "1"):
			case r.Header == nil:
				r.Header = f.Fields
			default:
				r.Trailer = f.Fields
			}
		default:
		}
		r.Ended = r.Ended || f.ends()
	}
	return r
}

// HTTP is the response's :status, or "".
func (r Response) HTTP() string { return Field(r.Header, ":status") }

// GRPC is the call's status and message. A stream that ended without a grpc-status fails the test.
func (r Response) GRPC(t testing.TB) (code int, message string) {
	t.Helper()
	fields := r.Trailer
	if fields == nil {
		fields = r.Header
	}
	code, err := strconv.Atoi(Field(fields, "grpc-status"))
	if err != nil {
		t.Fatalf("testpeer: the response has no grpc-status: header %v, trailer %v, %d bytes, reset %v", r.Header, r.Trailer, len(r.Data), r.Reset)
	}
	return code, Field(fields, "grpc-message")
}

// Messages are the messages of the response, without their prefixes; what is cut off is left out.
func (r Response) Messages() [][]byte {
	var messages [][]byte
	rest := r.Data
	for len(rest) >= 5 {
		size := int(binary.BigEndian.Uint32(rest[1:]))
		if len(rest) < 5+size {
			break
		}
		messages, rest = append(messages, rest[5:5+size]), rest[5+size:]
	}
	return messages
}

// Field is the first value of a name, or "".
func Field(fields []hpack.HeaderField, name string) string {
	for _, field := range fields {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}
