package plan_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bufbuild/protocompile"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

// everyKind has a field of each kind that a configuration message may have.
const everyKind = `
syntax = "proto3";
message Every {
  bool flag = 1;
  string text = 2;
  bytes data = 3;
  Colour colour = 4;
  int32 small = 5;
  sint64 large = 6;
  uint32 count = 7;
  fixed64 size = 8;
  float ratio = 9;
  optional double share = 10;
  repeated string names = 11;
  repeated Every inner = 12;
  map<int32, uint64> by_number = 13;
  map<bool, Every> by_flag = 14;
  Every one = 15;
  oneof choice { string left = 16; uint32 right = 17; }
}
enum Colour { RED = 0; GREEN = 1; }
`

func every(t *testing.T) *catalog.Catalog {
	t.Helper()
	files, err := (&protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"every.proto": everyKind}),
	})}).Compile(context.Background(), "every.proto")
	require.NoError(t, err)
	message, ok := files[0].FindDescriptorByName("Every").(protoreflect.MessageDescriptor)
	require.True(t, ok)
	known, err := catalog.New(nil, []catalog.Backend{{Name: "every", NewConfig: func() proto.Message { return dynamicpb.NewMessage(message) }}}, nil)
	require.NoError(t, err)
	return known
}

func TestSettings(t *testing.T) {
	t.Parallel()
	const text = `
namespaces: [{name: a, backend: every}]
backends:
  - name: every
    config:
      flag: true
      text: "1.20"
      data: aGk=
      colour: GREEN
      small: -2147483648
      large: -9223372036854775808
      count: 4Ki
      size: 18446744073709551615
      ratio: 0.5
      share: 0
      names: [a, b]
      inner: [{text: x}, {inner: [{count: 1}]}]
      by_number: {-1: 1Mi, 2: 3}
      by_flag: {true: {text: y}}
      one: {left: z}
      right: 7
`
	known := every(t)
	p, err := plan.Make(parse(t, text), known)
	require.NoError(t, err)
	want := p.Instances[0].Backend.NewConfig()
	require.NoError(t, prototext.Unmarshal([]byte(`
		flag: true text: "1.20" data: "hi" colour: GREEN small: -2147483648 large: -9223372036854775808 count: 4096 size: 18446744073709551615 ratio: 0.5 share: 0
		names: "a" names: "b" inner { text: "x" } inner { inner { count: 1 } } by_number { key: -1 value: 1048576 } by_number { key: 2 value: 3 }
		by_flag { key: true value { text: "y" } } one { left: "z" } right: 7
	`), want))
	require.True(t, proto.Equal(want, p.Instances[0].Config), "%s", prototext.Format(p.Instances[0].Config))
}

func TestSettingsOfTheWrongKind(t *testing.T) {
	t.Parallel()
	const text = `
namespaces: [{name: a, backend: every}]
backends:
  - name: every
    config:
      flag: "true"
      text: 1.20
      data: "*"
      colour: GREN
      small: 2147483648
      large: 0.5
      count: -1
      size: 1 MiB
      ratio: half
      share: [1]
      names: a
      inner: [{text: x}, {inner: [{count: x}]}, z]
      by_number: {x: 1, 99999999999: 2, 3: x}
      by_flag: {maybe: {}}
      one:
      left: a
      right: 1
      textt: a
`
	_, err := plan.Make(parse(t, text), every(t))
	var problems config.Problems
	require.True(t, errors.As(err, &problems))
	require.Equal(t, config.Problems{
		{Path: "backends[0].config.by_flag.maybe", Message: "must be true or false, is text"},
		{Path: "backends[0].config.by_number.3", Message: "must be a whole number from 0 to 18,446,744,073,709,551,615, such as 100 or 4Ki, is text"},
		{Path: "backends[0].config.by_number.99999999999", Message: "must be a whole number from -2,147,483,648 to 2,147,483,647, such as 100 or 4Ki, is text"},
		{Path: "backends[0].config.by_number.x", Message: "must be a whole number from -2,147,483,648 to 2,147,483,647, such as 100 or 4Ki, is text"},
		{Path: "backends[0].config.colour", Message: "must be one of RED and GREEN; did you mean GREEN or RED?"},
		{Path: "backends[0].config.count", Message: "must be a whole number from 0 to 4,294,967,295, such as 100 or 4Ki, is a negative number"},
		{Path: "backends[0].config.data", Message: "must be bytes in base64, is text"},
		{Path: "backends[0].config.flag", Message: "must be true or false, is text"},
		{Path: "backends[0].config.inner[1].inner[0].count", Message: "must be a whole number from 0 to 4,294,967,295, such as 100 or 4Ki, is text"},
		{Path: "backends[0].config.inner[2]", Message: "must be a mapping of flag, text, data, colour, small, large, count, size, ratio, share, names, inner, by_number, by_flag, one, left and right, is text"},
		{Path: "backends[0].config.large", Message: "must be a whole number from -9,223,372,036,854,775,808 to 9,223,372,036,854,775,807, such as 100 or 4Ki, is a number with a fraction"},
		{Path: "backends[0].config.names", Message: "must be a list, is text"},
		{Path: "backends[0].config.ratio", Message: "must be a number, is text"},
		{Path: "backends[0].config.right", Message: "right excludes left, which is there too; remove one of them"},
		{Path: "backends[0].config.share", Message: "must be a number, is a list"},
		{Path: "backends[0].config.size", Message: "must be a whole number from 0 to 18,446,744,073,709,551,615, such as 100 or 4Ki, is text"},
		{Path: "backends[0].config.small", Message: "must be a whole number from -2,147,483,648 to 2,147,483,647, such as 100 or 4Ki, is a number"},
		{Path: "backends[0].config.text", Message: "must be text, in quotes where it looks like something else, is a number with a fraction"},
		{Path: "backends[0].config.textt", Message: "there is no such field; did you mean text?"},
	}, problems)
}
