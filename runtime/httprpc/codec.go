package httprpc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/rpc"
)

// frame is a received message on its way from connect-go to the rpc tables. It is kept encoded until the handler asks for it, so that a call can be refused before
// its message is decoded, and so that one Go type serves every method.
type frame struct {
	encoded []byte
	codec   frameCodec
	// small holds an encoded message that fits: most requests are a key, and need no memory of their own.
	small [128]byte
}

// reply is a message to be sent: message, or the same as it is on the wire.
type reply struct {
	message proto.Message
	encoded []byte
}

// decode decodes a received frame.
func (f *frame) decode(message proto.Message) error {
	if f.codec == nil {
		return nil // connect-go leaves the message of an empty body untouched: the empty message
	}
	return f.codec.decode(f.encoded, message)
}

// frameCodec is a connect codec that makes frames.
type frameCodec interface {
	connect.Codec
	MarshalAppend(dst []byte, message any) ([]byte, error)
	decode(data []byte, message proto.Message) error
}

// protoCodec is the binary encoding.
type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (c protoCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

func (protoCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	if r, ok := message.(*reply); ok && r.message == nil {
		return append(dst, r.encoded...), nil
	}
	m, err := protoMessage(message)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// MarshalStable is what connect-go asks for when a message becomes part of a URL.
func (protoCodec) MarshalStable(message any) ([]byte, error) {
	m, err := protoMessage(message)
	if err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

func (protoCodec) IsBinary() bool { return true }

func (c protoCodec) Unmarshal(data []byte, message any) error { return unmarshal(c, data, message) }

func (protoCodec) decode(data []byte, message proto.Message) error {
	return proto.Unmarshal(data, message)
}

// jsonCodec is protobuf's JSON. Fields that the schema does not know are ignored, so that clients and gateways need not be of one version.
type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }

func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

func (jsonCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, err := protoMessage(message)
	if err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{}.MarshalAppend(dst, m)
}

// MarshalStable takes out the white space that protojson varies on purpose.
func (c jsonCodec) MarshalStable(message any) ([]byte, error) {
	data, err := c.Marshal(message)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

func (jsonCodec) IsBinary() bool { return false }

func (c jsonCodec) Unmarshal(data []byte, message any) error { return unmarshal(c, data, message) }

func (jsonCodec) decode(data []byte, message proto.Message) error {
	return rpc.ParseJSON(data, message)
}

// unmarshal keeps the bytes of a frame, which connect-go reuses, and decodes anything else: connect-go's own messages, such as a status.
func unmarshal(c frameCodec, data []byte, message any) error {
	switch m := message.(type) {
	case *frame:
		m.encoded, m.codec = append(m.small[:0], data...), c
		return nil
	case proto.Message:
		return c.decode(data, m)
	}
	return fmt.Errorf("%T is not a protobuf message", message)
}

func protoMessage(message any) (proto.Message, error) {
	switch m := message.(type) {
	case *reply:
		return m.message, nil
	case proto.Message:
		return m, nil
	}
	return nil, fmt.Errorf("%T is not a protobuf message", message)
}

// withCodecs lets a handler take and give all encodings.
func withCodecs() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCodec(protoCodec{}),
		connect.WithCodec(jsonCodec{"json"}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
	)
}
