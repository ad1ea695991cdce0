package emit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/prismgate/prism/protoc-gen-prism/internal/model"
)

// durationName is the proto name of the one message type that a role is visited on.
const durationName = "google.protobuf.Duration"

// visit is what a visitor visits: the fields of one role and one type.
type visit struct {
	role string
	kind model.Type // TypeString, TypeBytes, or TypeMessage for durations
}

// name is the visitor's method: Visit and the role. A type that is not the role's usual one is named too: VisitComparedString.
func (v visit) name() string {
	usual, suffix := model.TypeString, map[model.Type]string{model.TypeString: "String", model.TypeBytes: "Bytes"}[v.kind]
	switch v.role {
	case "Payload", "Compared":
		usual = model.TypeBytes
	case "TTL":
		usual = model.TypeMessage
	}
	if v.kind == usual {
		suffix = ""
	}
	return "Visit" + v.role + suffix
}

// of tells whether a field itself is visited.
func (v visit) of(field *model.Field) bool {
	own, ok := visitOf(field)
	return ok && own == v
}

// visitOf is what visits a field. Roles of other types, such as numbers, are not visited.
func visitOf(field *model.Field) (visit, bool) {
	switch {
	case field.Role == "":
		return visit{}, false
	case field.Type == model.TypeString, field.Type == model.TypeBytes:
		return visit{field.Role, field.Type}, true
	case field.Role == "TTL" && field.Message != nil && field.Message.FullName == durationName:
		return visit{field.Role, model.TypeMessage}, true
	}
	return visit{}, false
}

// visitor is a message's method for one visit.
type visitor struct {
	visit
	message *model.Message
}

// fileVisitors are the visitors of a file's messages, in the order of the file and then by name.
func fileVisitors(file *model.File) []visitor {
	var visitors []visitor
	for _, message := range file.Messages {
		for _, v := range visitsOf(message) {
			visitors = append(visitors, visitor{v, message})
		}
	}
	return visitors
}

// visitsOf are the visits of a message's fields and of those of the messages in it, sorted by name.
func visitsOf(message *model.Message) []visit {
	var visits []visit
	seen := map[*model.Message]bool{}
	var walk func(*model.Message)
	walk = func(m *model.Message) {
		if seen[m] {
			return
		}
		seen[m] = true
		for _, field := range m.Fields {
			if v, ok := visitOf(field); ok && !slices.Contains(visits, v) {
				visits = append(visits, v)
			}
			if field.Message != nil {
				walk(field.Message)
			}
		}
	}
	walk(message)
	slices.SortFunc(visits, func(a, b visit) int { return strings.Compare(a.name(), b.name()) })
	return visits
}

func (v visitor) doc() string {
	return fmt.Sprintf("%s calls visit with every field of the role %s, nested ones too, until visit fails. What visit changes is changed in the message.",
		v.name(), roleWords(v.role))
}

// method declares the visitor.
func (v visitor) method() jen.Code {
	body := []jen.Code{jen.If(jen.Id("x").Op("==").Nil()).Block(jen.Return(jen.Nil()))}
	result := jen.Nil()
	steps := v.steps()
	for n, s := range steps {
		switch {
		case s.statement != nil:
			body = append(body, s.statement)
		case n+1 < len(steps):
			body = append(body, ifErr(s.call))
		default:
			result = s.call
		}
	}
	body = append(body, jen.Return(result))
	return jen.Func().Params(jen.Id("x").Add(pointer(v.message))).Id(v.name()).
		Params(jen.Id("visit").Func().Params(jen.Op("*").Add(v.goType())).Error()).Error().Block(body...)
}

// step visits one field: by a call that returns an error, or by a statement around such a call.
type step struct{ call, statement *jen.Statement }

func (v visitor) steps() []step {
	var steps []step
	for _, field := range v.message.Fields {
		switch {
		case v.of(field):
			steps = append(steps, v.visitField(field))
		case field.Message != nil && slices.Contains(visitsOf(field.Message), v.visit):
			steps = append(steps, v.visitNested(field))
		}
	}
	return steps
}

// goType is the type of the values that are visited.
func (v visit) goType() *jen.Statement {
	switch v.kind {
	case model.TypeBytes:
		return jen.Index().Byte()
	case model.TypeString:
		return jen.String()
	default:
		return jen.Op("*").Qual("google.golang.org/protobuf/types/known/durationpb", "Duration")
	}
}

// visitField visits a field that has the role.
func (v visit) visitField(field *model.Field) step {
	at := jen.Id("x").Dot(field.GoName)
	call := func(value jen.Code) *jen.Statement { return jen.Id("visit").Call(value) }
	address := func(of *jen.Statement) *jen.Statement { return jen.Op("&").Add(of) }
	switch {
	case field.Map:
		return step{statement: jen.For(jen.List(jen.Id("key"), jen.Id("value")).Op(":=").Range().Add(at)).Block(
			ifErr(call(jen.Op("&").Id("value"))),
			jen.Add(at).Index(jen.Id("key")).Op("=").Id("value"),
		)}
	case field.Repeated:
		return step{statement: jen.For(jen.Id("i").Op(":=").Range().Add(at)).Block(ifErr(call(address(at).Index(jen.Id("i")))))}
	case field.Oneof != nil:
		member := jen.List(jen.Id("member"), jen.Id("ok")).Op(":=").Id("x").Dot(field.Oneof.GoName).Assert(jen.Op("*").Add(ident(field.OneofWrapper)))
		return step{statement: jen.If(member, jen.Id("ok")).Block(ifErr(call(address(jen.Id("member").Dot(field.GoName)))))}
	case field.Optional && v.kind == model.TypeString: // a pointer already
		return step{statement: jen.If(jen.Add(at).Op("!=").Nil()).Block(ifErr(call(at)))}
	case field.Optional:
		return step{statement: jen.If(jen.Add(at).Op("!=").Nil()).Block(ifErr(call(address(at))))}
	}
	return step{call: call(address(at))}
}

// visitNested visits the messages in a field.
func (v visit) visitNested(field *model.Field) step {
	if field.Map || field.Repeated {
		nested := jen.Id("nested").Dot(v.name()).Call(jen.Id("visit"))
		return step{statement: jen.For(jen.List(jen.Id("_"), jen.Id("nested")).Op(":=").Range().Id("x").Dot(field.GoName)).Block(ifErr(nested))}
	}
	return step{call: jen.Id("x").Dot("Get" + field.GoName).Call().Dot(v.name()).Call(jen.Id("visit"))}
}
