package model

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

// hashed is the hash of a service whose request reaches an enum in a nested message.
func hashed(t *testing.T, change func(*descriptorpb.FileDescriptorProto)) string {
	t.Helper()
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, typeName string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(number), Type: kind.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if typeName != "" {
			f.TypeName = proto.String(typeName)
		}
		return f
	}
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("a.proto"), Package: proto.String("a"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Request"), Field: []*descriptorpb.FieldDescriptorProto{
				field("inner", 1, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".a.Inner"), field("again", 2, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, ".a.Request"),
			}},
			{Name: proto.String("Inner"), Field: []*descriptorpb.FieldDescriptorProto{field("colour", 1, descriptorpb.FieldDescriptorProto_TYPE_ENUM, ".a.Colour")}},
			{Name: proto.String("Stranger")},
		},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("Colour"), Value: []*descriptorpb.EnumValueDescriptorProto{{Name: proto.String("RED"), Number: proto.Int32(0)}}}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Service"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: proto.String("Do"), InputType: proto.String(".a.Request"), OutputType: proto.String(".a.Inner")},
		}}},
	}
	change(file)
	built, err := protodesc.NewFile(file, nil)
	require.NoError(t, err)
	return hashOf(built.Services().Get(0))
}

func TestTheHashIsOfWhatAnInterfaceReaches(t *testing.T) {
	t.Parallel()
	plain := hashed(t, func(*descriptorpb.FileDescriptorProto) {})
	require.Len(t, plain, 64)
	same := map[string]func(*descriptorpb.FileDescriptorProto){
		"a comment": func(f *descriptorpb.FileDescriptorProto) {
			f.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{Path: []int32{6, 0}, Span: []int32{1, 1, 1}, LeadingComments: proto.String("c")}}}
		},
		"what is not reached": func(f *descriptorpb.FileDescriptorProto) { f.MessageType[2].Name = proto.String("Other") },
		"what is reserved":    func(f *descriptorpb.FileDescriptorProto) { f.MessageType[1].ReservedName = []string{"old"} },
	}
	for name, change := range same {
		require.Equal(t, plain, hashed(t, change), name)
	}
	other := map[string]func(*descriptorpb.FileDescriptorProto){
		"a field's number": func(f *descriptorpb.FileDescriptorProto) { f.MessageType[1].Field[0].Number = proto.Int32(2) },
		"an enum's value":  func(f *descriptorpb.FileDescriptorProto) { f.EnumType[0].Value[0].Name = proto.String("BLUE") },
		"a method's shape": func(f *descriptorpb.FileDescriptorProto) { f.Service[0].Method[0].ServerStreaming = proto.Bool(true) },
		"an option": func(f *descriptorpb.FileDescriptorProto) {
			f.Service[0].Method[0].Options = &descriptorpb.MethodOptions{Deprecated: proto.Bool(true)}
		},
		"a method's response": func(f *descriptorpb.FileDescriptorProto) {
			f.Service[0].Method[0].OutputType = proto.String(".a.Stranger")
		},
	}
	for name, change := range other {
		require.NotEqual(t, plain, hashed(t, change), name)
	}
}
