// Package frame is the wire format of HTTP/2 frames (RFC 9113, sections 4 and 6): parsing a header, and appending whole frames to a buffer.
//
// It knows no connection and keeps no state, so that a server, a load generator and a hostile test peer share it. What is appended is not checked: a test
// must be able to write what is wrong.
package frame

import "encoding/binary"

// Preface is what a client sends first (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	// HeaderSize is the size of a frame's header.
	HeaderSize = 9
	// DefaultMaxSize is how large a frame's payload may be until a peer allows more.
	DefaultMaxSize = 1 << 14
	// MaxSize is the largest payload that a length can say.
	MaxSize = 1<<24 - 1
	// DefaultWindow is the flow-control window that a connection and its streams begin with.
	DefaultWindow = 1<<16 - 1
	// MaxWindow is the largest flow-control window.
	MaxWindow = 1<<31 - 1
	// MaxStreamID is the largest stream identifier.
	MaxStreamID = 1<<31 - 1
)

// Type is the type of a frame. A peer may send types that are not named here; they are ignored.
type Type uint8

// The types of RFC 9113.
const (
	Data         Type = 0
	Headers      Type = 1
	Priority     Type = 2
	RSTStream    Type = 3
	Settings     Type = 4
	PushPromise  Type = 5
	Ping         Type = 6
	GoAway       Type = 7
	WindowUpdate Type = 8
	Continuation Type = 9
)

// Flags are a frame's flags; which are defined depends on its type.
type Flags uint8

// The flags. Ack and EndStream are the same bit on different types.
const (
	EndStream   Flags = 0x1
	Ack         Flags = 0x1
	EndHeaders  Flags = 0x4
	Padded      Flags = 0x8
	HasPriority Flags = 0x20
)

// Has tells whether all of some flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

// Header is a frame's header.
type Header struct {
	// Length is the size of the payload, which follows.
	Length uint32
	Type   Type
	Flags  Flags
	// StreamID is the stream, or 0 for the connection. The reserved bit is cleared.
	StreamID uint32
}

// ParseHeader reads a frame's header from the first [HeaderSize] bytes of b, which must be there.
func ParseHeader(b []byte) Header {
	_ = b[HeaderSize-1]
	return Header{
		Length:   uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		Type:     Type(b[3]),
		Flags:    Flags(b[4]),
		StreamID: binary.BigEndian.Uint32(b[5:]) & MaxStreamID,
	}
}

// AppendHeader appends a frame's header; its payload is for the caller to append.
func AppendHeader(b []byte, h Header) []byte {
	return append(b,
		byte(h.Length>>16), byte(h.Length>>8), byte(h.Length), byte(h.Type), byte(h.Flags),
		byte(h.StreamID>>24), byte(h.StreamID>>16), byte(h.StreamID>>8), byte(h.StreamID))
}

// PutHeader writes a frame's header over the first [HeaderSize] bytes of b, which must be there: for a payload that was appended before its size was known.
func PutHeader(b []byte, h Header) { AppendHeader(b[:0:HeaderSize], h) }
