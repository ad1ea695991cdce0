package provider

import (
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec is grpc-go's way to messages: frames are sent and received as they are, anything else as protobuf.
type codec struct{}

// Name is what the content type says.
func (codec) Name() string { return "proto" }

// Marshal copies a frame: grpc-go keeps it until it was written.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *frame:
		return mem.BufferSlice{mem.Copy(m.b, mem.DefaultBufferPool())}, nil
	case proto.Message:
		data, err := proto.Marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(data)}, err
	}
	return nil, fmt.Errorf("%T is no message", v)
}

// Unmarshal copies into a frame's own memory.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *frame:
		m.b = m.b[:0]
		for _, part := range data {
			m.b = append(m.b, part.ReadOnlyData()...)
		}
		return nil
	case proto.Message:
		return proto.Unmarshal(data.Materialize(), m)
	}
	return fmt.Errorf("%T is no message", v)
}
