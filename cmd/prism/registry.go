package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/prismgate/prism/runtime/suggest"
)

func (c *cli) registryCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "registry",
		Short: "Show the interfaces, backends and patterns of this build",
		Example: `  # List available backends
  prism registry backends list

  # Find backends implementing specific interface
  prism registry backends find --interface=keyvalue_scan

  # Show pattern requirements
  prism registry patterns describe multicast-registry`,
	},
		c.interfacesCommand(),
		c.backendsCommand(),
		c.patternsCommand(),
	)
}

// unknownName says that the catalog has no such thing, what may have been meant, and where all are listed.
func unknownName(kind, typed string, names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("no %s %q in this build; it has no %ss", kind, typed, kind)
	}
	return fmt.Errorf("no %s %q in this build%s\n'prism registry %ss list' shows all of them", kind, typed, suggest.DidYouMean(typed, names), kind)
}

// namesOf returns the names of catalog entries.
func namesOf[T any](all []T, name func(T) string) []string {
	names := make([]string, len(all))
	for i, entry := range all {
		names[i] = name(entry)
	}
	return names
}

// messageDetail is a message as describe shows it.
type messageDetail struct {
	Message string        `json:"message"`
	Fields  []fieldDetail `json:"fields"`
}

type fieldDetail struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func detailOf(message proto.Message) messageDetail {
	descriptor := message.ProtoReflect().Descriptor()
	detail := messageDetail{Message: string(descriptor.FullName()), Fields: []fieldDetail{}}
	for i := range descriptor.Fields().Len() {
		field := descriptor.Fields().Get(i)
		detail.Fields = append(detail.Fields, fieldDetail{string(field.Name()), fieldType(field)})
	}
	return detail
}

// fieldType is a field's type as the schema writes it.
func fieldType(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return "map<" + fieldType(field.MapKey()) + ", " + fieldType(field.MapValue()) + ">"
	case field.IsList():
		return "repeated " + kindName(field)
	case field.HasOptionalKeyword():
		return "optional " + kindName(field)
	}
	return kindName(field)
}

func kindName(field protoreflect.FieldDescriptor) string {
	switch {
	case field.Message() != nil:
		return string(field.Message().FullName())
	case field.Enum() != nil:
		return string(field.Enum().FullName())
	}
	return field.Kind().String()
}
