package config

import (
	"path/filepath"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// namesFile tells whether a field holds the path of a file. The address of a Unix socket is none: it is a name on the machine.
func namesFile(field protoreflect.FieldDescriptor) bool {
	switch field.FullName() {
	case "prism.config.v1.Tls.cert_file", "prism.config.v1.Tls.key_file", "prism.config.v1.Tls.client_ca_file", "prism.config.v1.Secret.file",
		"prism.config.v1.ClientTls.ca_file", "prism.config.v1.ClientTls.cert_file", "prism.config.v1.ClientTls.key_file":
		return true
	}
	return false
}

// ResolveFiles makes the relative paths in a message, which was made of what stands at a path of the configuration, begin at the folder of the file that has it there.
// [Load] does it with everything whose message it knows: it is for the configurations of backends and patterns, with "backends[2].config" as the path.
func (s *Source) ResolveFiles(path string, message proto.Message) {
	if at, _ := s.find(path); at.file != nil {
		resolveFiles(message.ProtoReflect(), filepath.Dir(at.file.name))
	}
}

func resolveFiles(message protoreflect.Message, folder string) {
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, entry protoreflect.Value) bool {
					resolveFiles(entry.Message(), folder)
					return true
				})
			}
		case field.IsList():
			for i := range value.List().Len() {
				if field.Message() != nil {
					resolveFiles(value.List().Get(i).Message(), folder)
				}
			}
		case field.Message() != nil:
			resolveFiles(value.Message(), folder)
		case namesFile(field) && value.String() != "" && !filepath.IsAbs(value.String()):
			message.Set(field, protoreflect.ValueOfString(filepath.Join(folder, value.String())))
		}
		return true
	})
}
