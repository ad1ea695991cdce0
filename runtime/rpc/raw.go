package rpc

import "context"

// RawStream is a [Stream] whose messages can be had as they are on the wire. Transports implement it, for handlers that pass messages on without a look at them.
type RawStream interface {
	Stream
	// Raw tells whether the call's messages are in protobuf's binary encoding. If not, the other two must not be called.
	Raw() bool
	// ReceiveRaw returns the next request, which is valid until the next one is received or the call is over. It returns io.EOF after the last one.
	ReceiveRaw() ([]byte, error)
	// SendRaw writes a response, which may be used again when it returns.
	SendRaw(message []byte) error
}

// Relay passes calls on as they are.
type Relay interface {
	// Relay serves a call of a method whose messages are raw.
	Relay(ctx context.Context, m *Method, stream RawStream) error
}

// Relayed returns handlers that pass calls on by a relay where the transport allows it. All other calls are served as before.
func Relayed(handlers []Handler, relay Relay) []Handler {
	relayed := make([]Handler, len(handlers))
	for i, h := range handlers {
		h.relay = relay
		relayed[i] = h
	}
	return relayed
}

// relayable returns a stream as one that can be passed on, if it can.
func (h Handler) relayable(stream Stream) (RawStream, bool) {
	if h.relay == nil {
		return nil, false
	}
	raw, ok := stream.(RawStream)
	return raw, ok && raw.Raw()
}
