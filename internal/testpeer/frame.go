package testpeer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/prismgate/prism/runtime/h2/frame"
)

// Frame is a frame that was received.
type Frame struct {
	frame.Header
	// Payload is all of it, with padding.
	Payload []byte
	// Fields are the decoded fields of the header block that ends with this frame. When that is a CONTINUATION, it has the EndStream flag of its HEADERS.
	Fields []hpack.HeaderField
}

func readFrame(r *bufio.Reader) (Frame, error) {
	var header [frame.HeaderSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Header: frame.ParseHeader(header[:])}
	f.Payload = make([]byte, f.Length)
	_, err := io.ReadFull(r, f.Payload)
	return f, err
}

// ends tells whether the frame is the last one of its stream.
func (f Frame) ends() bool {
	switch f.Type {
	case frame.Data:
		return f.Flags.Has(frame.EndStream)
	case frame.Headers, frame.Continuation:
		return f.Flags.Has(frame.EndStream | frame.EndHeaders)
	default:
		return false
	}
}

// Code is the error code of RST_STREAM and GOAWAY.
func (f Frame) Code() frame.ErrorCode {
	switch {
	case f.Type == frame.RSTStream && len(f.Payload) == 4:
		return frame.ErrorCode(binary.BigEndian.Uint32(f.Payload))
	case f.Type == frame.GoAway && len(f.Payload) >= 8:
		return frame.ErrorCode(binary.BigEndian.Uint32(f.Payload[4:]))
	}
	return frame.ErrorCode(1<<32 - 1)
}

// LastStreamID is that of GOAWAY.
func (f Frame) LastStreamID() uint32 {
	if f.Type != frame.GoAway || len(f.Payload) < 8 {
		return 0
	}
	return binary.BigEndian.Uint32(f.Payload) & frame.MaxStreamID
}

// Debug is the text of GOAWAY.
func (f Frame) Debug() string {
	if f.Type != frame.GoAway || len(f.Payload) < 8 {
		return ""
	}
	return string(f.Payload[8:])
}

// Increment is that of WINDOW_UPDATE.
func (f Frame) Increment() uint32 {
	if f.Type != frame.WindowUpdate || len(f.Payload) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(f.Payload) & frame.MaxWindow
}

// Settings are the entries of SETTINGS.
func (f Frame) Settings() []frame.Setting {
	if f.Type != frame.Settings {
		return nil
	}
	var all []frame.Setting
	rest := f.Payload
	for {
		setting, after, ok := frame.ParseSetting(rest)
		if !ok {
			return all
		}
		all, rest = append(all, setting), after
	}
}

// String is the frame in a line: "HEADERS stream 1 flags 0x5: :status=200".
func (f Frame) String() string {
	names := [...]string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"}
	name := fmt.Sprintf("type %d", f.Type)
	if int(f.Type) < len(names) {
		name = names[f.Type]
	}
	line := fmt.Sprintf("%s stream %d flags %#x", name, f.StreamID, uint8(f.Flags))
	switch f.Type {
	case frame.RSTStream:
		line += ": " + f.Code().String()
	case frame.GoAway:
		line += fmt.Sprintf(": %s, last stream %d, %q", f.Code(), f.LastStreamID(), f.Debug())
	case frame.WindowUpdate:
		line += fmt.Sprintf(": %d", f.Increment())
	case frame.Settings:
		line += fmt.Sprintf(": %v", f.Settings())
	case frame.Headers, frame.Continuation:
		var fields []string
		for _, field := range f.Fields {
			fields = append(fields, field.Name+"="+field.Value)
		}
		line += ": " + strings.Join(fields, ", ")
	default:
		line += fmt.Sprintf(": %d bytes", len(f.Payload))
	}
	return line
}
