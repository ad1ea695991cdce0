package rpc

import "google.golang.org/protobuf/proto"

// Shape tells which side of a call streams.
type Shape uint8

// The four shapes of an RPC.
const (
	ShapeUnary Shape = iota
	ShapeServerStream
	ShapeClientStream
	ShapeBidi
)

// String returns the shape as people call it: "unary", "server stream".
func (s Shape) String() string {
	switch s {
	case ShapeUnary:
		return "unary"
	case ShapeServerStream:
		return "server stream"
	case ShapeClientStream:
		return "client stream"
	case ShapeBidi:
		return "bidirectional stream"
	}
	return "unknown shape"
}

// Idempotency is protobuf's idempotency_level: what a repeated call does.
type Idempotency uint8

const (
	// IdempotencyUnknown says nothing: a call must not be repeated.
	IdempotencyUnknown Idempotency = iota
	// NoSideEffects changes nothing: a call may be repeated, cached, and made by HTTP GET.
	NoSideEffects
	// Idempotent makes a repeated call count once.
	Idempotent
)

// String returns the level's name in the schema.
func (i Idempotency) String() string {
	switch i {
	case NoSideEffects:
		return "NO_SIDE_EFFECTS"
	case Idempotent:
		return "IDEMPOTENT"
	case IdempotencyUnknown:
	}
	return "IDEMPOTENCY_UNKNOWN"
}

// DefaultMaxMessageBytes bounds a message of a method that states no limit of its own.
const DefaultMaxMessageBytes = 4 << 20

// Method is what the schema says about one RPC. The generated tables hold one value per RPC, which is never changed; its address identifies the RPC.
type Method struct {
	// Procedure is the RPC's path on the wire: "/prism.keyvalue.v1.KeyValueBasicInterface/Get".
	Procedure string
	// Service is the full name of the service: "prism.keyvalue.v1.KeyValueBasicInterface".
	Service string
	// Name is the RPC's name: "Get".
	Name string
	// Interface is the catalog name of the interface ("keyvalue_basic"); empty for a service that is not one.
	Interface string
	// Shape tells which side streams.
	Shape Shape
	// Idempotency tells what a repeated call does.
	Idempotency Idempotency
	// Blocking tells that a call may wait for something to happen.
	Blocking bool
	// Destructive tells that a lost answer is lost data.
	Destructive bool
	// MaxMessageBytes bounds each message of a call, after inflating. 0 means DefaultMaxMessageBytes; see [Method.MessageLimit].
	MaxMessageBytes int
	// NewRequest returns an empty request message.
	NewRequest func() proto.Message
	// NewResponse returns an empty response message.
	NewResponse func() proto.Message
}

// MessageLimit returns the bound on each message of a call in bytes.
func (m *Method) MessageLimit() int {
	if m.MaxMessageBytes > 0 {
		return m.MaxMessageBytes
	}
	return DefaultMaxMessageBytes
}
