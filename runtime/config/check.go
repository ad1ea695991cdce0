package config

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/suggest"
)

// mostViolations is how many violations one item of a list, or one field that is none, is looked through for.
const mostViolations = 100

// violations are what the schema's constraints say of the configuration. A check stops at the first violation that it meets, so that each part of the configuration is
// checked alone, and once more after what was found is mended. What follows from mistakes that are known is left out.
func (s *Source) violations(known mistakes) mistakes {
	if configv1.CheckConfig(s.Config) == nil {
		return nil
	}
	aftermath := newAftermath(known)
	var found mistakes
	s.Config.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		for _, problem := range fieldProblems(field, value) {
			problem = ofOneof(problem)
			problem.Path = plainPath(problem.Path)
			at, exact := s.find(problem.Path)
			if !aftermath.has(problem.Path, exact) {
				found = append(found, mistake{at, problem})
			}
		}
		return true
	})
	return found
}

// fieldProblems checks one field of the configuration.
func fieldProblems(field protoreflect.FieldDescriptor, value protoreflect.Value) Problems {
	whole := new(configv1.Config)
	whole.ProtoReflect().Set(field, value)
	problem, ok := check(whole)
	if !ok {
		return nil
	}
	if !field.IsList() {
		return partProblems(proto.CloneOf(whole))
	}
	if problem.Path == string(field.Name()) {
		return Problems{problem} // There are too many; so many need not be looked at.
	}
	var found Problems
	for i := range value.List().Len() {
		part := new(configv1.Config)
		part.ProtoReflect().Mutable(field).List().Append(value.List().Get(i))
		if configv1.CheckConfig(part) == nil {
			continue
		}
		for _, problem := range partProblems(proto.CloneOf(part)) {
			problem.Path = indexPath(string(field.Name()), i) + strings.TrimPrefix(problem.Path, indexPath(string(field.Name()), 0))
			found = append(found, problem)
		}
	}
	return found
}

// partProblems checks a part of the configuration, and changes it until it passes or cannot be mended.
func partProblems(part *configv1.Config) Problems {
	var found Problems
	for attempt := 0; len(found) < mostViolations; attempt++ {
		problem, ok := check(part)
		if !ok {
			break
		}
		if len(found) == 0 || found[len(found)-1].Path != problem.Path {
			found = append(found, problem)
			attempt = 0
		}
		if !mend(part.ProtoReflect(), problem.Path, attempt) {
			break
		}
	}
	return found
}

// check returns the first violation.
func check(c *configv1.Config) (Problem, bool) {
	var invalid *fault.Error
	if errors.As(configv1.CheckConfig(c), &invalid) {
		for _, detail := range invalid.Details {
			if request, ok := detail.(*errdetails.BadRequest); ok && len(request.GetFieldViolations()) > 0 {
				violation := request.GetFieldViolations()[0]
				return Problem{violation.GetField(), violation.GetDescription()}, true
			}
		}
	}
	return Problem{}, false
}

// mend changes the field at a path so that it may meet its constraints: it is taken away, then given a value that most fields allow, then what it is in is taken away. It
// tells whether there was something to change.
func mend(m protoreflect.Message, path string, attempt int) bool {
	name, rest := cutField(strings.TrimPrefix(path, "."))
	field := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	switch {
	case field == nil || attempt > 1 && rest == "" || attempt > 2:
		return false // What it is in goes; for a oneof, which is no field, at once.
	case field.IsMap() && rest != "":
		return mendEntry(m.Mutable(field).Map(), field.MapValue(), rest, attempt)
	case field.IsList() && rest != "":
		index, rest, ok := cutIndex(rest)
		if list := m.Mutable(field).List(); ok && index < list.Len() {
			if field.Message() != nil {
				return mend(list.Get(index).Message(), rest, attempt)
			}
			list.Set(index, likely(field))
		}
		return ok
	case rest != "" && mend(m.Mutable(field).Message(), rest, attempt):
	case (attempt == 1 || field.ContainingOneof() != nil) && field.Message() == nil && !field.IsList() && !field.IsMap():
		m.Set(field, likely(field))
	default:
		m.Clear(field)
	}
	return true
}

// mendEntry is [mend] in an entry of a map, which has messages for values.
func mendEntry(entries protoreflect.Map, value protoreflect.FieldDescriptor, path string, attempt int) bool {
	mended := false
	entries.Range(func(key protoreflect.MapKey, entry protoreflect.Value) bool {
		rest, ok := strings.CutPrefix(path, "["+quote(key.String())+"]")
		if ok && (value.Message() == nil || !mend(entry.Message(), rest, attempt)) {
			entries.Clear(key)
		}
		mended = ok
		return !ok
	})
	return mended
}

// likely is a value that most fields allow.
func likely(field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("x")
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	default:
		return field.Default()
	}
}

// aftermath tells which violations follow from mistakes that are known: a field whose value could not be understood is absent, and so is one whose key is mistyped.
type aftermath struct {
	// broken are the paths of mistakes, incomplete those of what they are in.
	broken, incomplete map[string]bool
}

func newAftermath(known mistakes) aftermath {
	a := aftermath{make(map[string]bool), make(map[string]bool)}
	for _, mistake := range known {
		a.broken[mistake.problem.Path] = true
		a.incomplete[parentPath(mistake.problem.Path)] = true
	}
	return a
}

// has tells whether the violation at a path is aftermath. Exact tells that the field is there.
func (a aftermath) has(path string, exact bool) bool {
	if !exact && a.incomplete[parentPath(path)] {
		return true
	}
	for ; path != ""; path = parentPath(path) {
		if a.broken[path] {
			return true
		}
	}
	return false
}

// ofOneof words the problem of a oneof by the fields that it has, since a file never names the oneof.
func ofOneof(problem Problem) Problem {
	message := new(configv1.Config).ProtoReflect().Descriptor()
	for rest := problem.Path; message != nil && rest != ""; {
		name, behind := cutField(strings.TrimPrefix(rest, "."))
		if oneof := message.Oneofs().ByName(protoreflect.Name(name)); oneof != nil {
			var names []string
			for i := range oneof.Fields().Len() {
				names = append(names, string(oneof.Fields().Get(i).Name()))
			}
			return Problem{strings.TrimSuffix(problem.Path, rest), "must have " + suggest.Enumerate(names, "or")}
		}
		field := message.Fields().ByName(protoreflect.Name(name))
		switch {
		case field == nil:
			return problem
		case field.IsMap():
			message = field.MapValue().Message()
		default:
			message = field.Message()
		}
		if quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(behind, "[")); err == nil {
			behind = behind[1+len(quoted):]
		}
		if strings.HasPrefix(behind, "[") || strings.HasPrefix(behind, "]") {
			_, behind, _ = strings.Cut(behind, "]")
		}
		rest = behind
	}
	return problem
}

// quotedKey is the key of a map's entry as checks write it, if it is one that a path has as it is.
var quotedKey = regexp.MustCompile(`\["([A-Za-z0-9_-]+)"\]`)

// plainPath writes the entries of maps as fields by their keys, where that can be: slots["registry"] is slots.registry.
func plainPath(path string) string { return quotedKey.ReplaceAllString(path, ".$1") }

// parentPath is the path of what a field is in.
func parentPath(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
