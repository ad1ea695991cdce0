package oracle_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/prismgate/prism/runtime/fault"
)

// rounds is how many messages of a type are compared.
const rounds = 3000

// checker is the generated check of a message type.
type checker struct {
	message proto.Message
	check   func(proto.Message) error
}

func checkerOf[M proto.Message](check func(M) error) checker {
	var none M
	return checker{
		message: none.ProtoReflect().New().Interface(),
		check:   func(m proto.Message) error { return check(m.(M)) },
	}
}

// compare holds a generated check to protovalidate: on a valid message in which one field after the other gets random values, so that each verdict hangs on
// one field.
func compare(t *testing.T, c checker) {
	t.Helper()
	g := generator{rand.New(rand.NewPCG(1, 2))}
	base := valid(t, g, c.message)
	compareOne(t, c, base)
	compareOne(t, c, c.message)
	fields := base.ProtoReflect().Descriptor().Fields()
	verdicts := make(map[bool]int)
	for range rounds {
		m := proto.Clone(base)
		g.set(m.ProtoReflect(), fields.Get(g.IntN(fields.Len())), 0)
		verdicts[compareOne(t, c, m)]++
		if t.Failed() {
			return
		}
	}
	if verdicts[true] == 0 || verdicts[false] == 0 {
		t.Errorf("all verdicts are the same: %v", verdicts)
	}
}

// compareOne compares verdicts on one message, and returns it.
func compareOne(t *testing.T, c checker, m proto.Message) bool {
	t.Helper()
	got := c.check(m)
	violations := oracle(t, m)
	if (got == nil) != (len(violations) == 0) {
		t.Errorf("%s{%s}\ngenerated: %v\nprotovalidate: %v", m.ProtoReflect().Descriptor().Name(), shorten(m), got, violations)
		return false
	}
	if got == nil {
		return true
	}
	if code := fault.CodeOf(got); code != fault.InvalidArgument {
		t.Errorf("code %v of %v", code, got)
	}
	field, _, cut := strings.Cut(violatedField(t, got), "\"…") // a long key is cut
	for _, violation := range violations {
		path := protovalidate.FieldPathString(violation.Proto.GetField())
		if field == path || cut && strings.HasPrefix(path, field) || strings.HasPrefix(field, path+"[") {
			return false
		}
	}
	t.Errorf("generated: %v names the field %s\nprotovalidate: %v", got, field, violations)
	return false
}

func oracle(t *testing.T, m proto.Message) []*protovalidate.Violation {
	t.Helper()
	err := protovalidate.Validate(m)
	var invalid *protovalidate.ValidationError
	if err != nil && !errors.As(err, &invalid) {
		t.Fatalf("%v of %s", err, shorten(m))
	}
	if invalid == nil {
		return nil
	}
	return invalid.Violations
}

// valid makes a valid message: fields that protovalidate complains about get other values until it does not.
func valid(t *testing.T, g generator, empty proto.Message) proto.Message {
	t.Helper()
	m := empty.ProtoReflect().New()
	for range 100000 {
		violations := oracle(t, m.Interface())
		if len(violations) == 0 {
			return m.Interface()
		}
		for _, violation := range violations {
			name := protoreflect.Name(violation.Proto.GetField().GetElements()[0].GetFieldName())
			field := m.Descriptor().Fields().ByName(name)
			if oneof := m.Descriptor().Oneofs().ByName(name); field == nil && oneof != nil {
				field = oneof.Fields().Get(g.IntN(oneof.Fields().Len()))
			}
			g.set(m, field, 0)
		}
	}
	t.Fatalf("no valid %s was found", m.Descriptor().FullName())
	return nil
}

func violatedField(t *testing.T, err error) string {
	t.Helper()
	var invalid *fault.Error
	if !errors.As(err, &invalid) || len(invalid.Details) != 1 {
		t.Fatalf("%v has no details", err)
	}
	request, ok := invalid.Details[0].(*errdetails.BadRequest)
	if !ok || len(request.GetFieldViolations()) != 1 {
		t.Fatalf("%v names no field", err)
	}
	violation := request.GetFieldViolations()[0]
	if want := violation.GetField() + ": " + violation.GetDescription(); invalid.Message != want {
		t.Errorf("message %q, want %q", invalid.Message, want)
	}
	return violation.GetField()
}

func shorten(m proto.Message) string {
	text := prototext.Format(m)
	return text[:min(len(text), 1000)]
}
