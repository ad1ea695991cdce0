package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// hashOf returns the SHA-256, in hex, of what a service is on the wire: itself with its options, and every message and enum that it reaches, sorted by name. Comments are
// no part of it, nor is what the schema has reserved.
func hashOf(service protoreflect.ServiceDescriptor) string {
	reached := make(map[protoreflect.FullName]proto.Message)
	for n := range service.Methods().Len() {
		reach(reached, service.Methods().Get(n).Input())
		reach(reached, service.Methods().Get(n).Output())
	}
	sum := sha256.New()
	add := func(name protoreflect.FullName, m proto.Message) {
		encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m) // a descriptor always encodes
		for _, part := range [][]byte{[]byte(name), encoded} {
			_, _ = sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash takes everything
			_, _ = sum.Write(part)
		}
	}
	add(service.FullName(), protodesc.ToServiceDescriptorProto(service))
	for _, name := range slices.Sorted(maps.Keys(reached)) {
		add(name, reached[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// reach adds a message and all that its fields lead to. What is declared within it counts only when a field leads there.
func reach(reached map[protoreflect.FullName]proto.Message, message protoreflect.MessageDescriptor) {
	if _, known := reached[message.FullName()]; known {
		return
	}
	declared := protodesc.ToDescriptorProto(message)
	declared.NestedType, declared.EnumType, declared.Extension, declared.ReservedName, declared.ReservedRange = nil, nil, nil, nil, nil
	reached[message.FullName()] = declared
	for n := range message.Fields().Len() {
		field := message.Fields().Get(n)
		if field.Message() != nil {
			reach(reached, field.Message())
		}
		if enum := field.Enum(); enum != nil {
			values := protodesc.ToEnumDescriptorProto(enum)
			values.ReservedName, values.ReservedRange = nil, nil
			reached[enum.FullName()] = values
		}
	}
}
