package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/suggest"
)

// maxDepth is how deep lists and mappings may lie in each other. The schema needs less than ten, and a backend's or pattern's configuration is not much deeper.
const maxDepth = 64

// mostMistakes is how many mistakes of a file are looked into. The others are counted, so that a file of millions does not take a gateway's memory.
const mostMistakes = 10_000

// mostSuggestions is how many mistakes come with a suggestion: to find one, a key is compared with all others, and a file may have a million mistakes.
const mostSuggestions = 200

const noAliases = "anchors (&), aliases (*) and merge keys (<<) are not supported; write out what is meant"

// walker goes through a file's nodes along the descriptors of what they must be, and notes what is wrong.
type walker struct {
	file     *file
	mistakes mistakes
	// more is how many mistakes there are besides.
	more int
}

// walk returns what is wrong with a file, in the order of the file, and how much more is.
func walk(f *file) (mistakes, int) {
	w := &walker{file: f}
	w.message(f.root, "", new(configv1.Config).ProtoReflect().Descriptor(), 1)
	return w.mistakes, w.more
}

func (w *walker) add(n *yaml.Node, path, format string, args ...any) {
	if len(w.mistakes) == mostMistakes {
		w.more++
		return
	}
	w.mistakes.add(w.file.place(n), path, format, args...)
}

// message takes what must be a message.
func (w *walker) message(n *yaml.Node, path string, message protoreflect.MessageDescriptor, depth int) {
	switch message.FullName() {
	case durationName:
		w.duration(n, path)
		return
	case secretName:
		w.secret(n, path)
		return
	case structName:
		if w.is(n, path, yaml.MappingNode, "a mapping") {
			w.free(n, path, depth)
		}
		return
	}
	if !w.is(n, path, yaml.MappingNode, "a mapping of fields") {
		return
	}
	chosen := make(map[protoreflect.FullName]string)
	w.entries(n, path, func(key, value *yaml.Node, path string) {
		field := message.Fields().ByName(protoreflect.Name(key.Value))
		if field == nil {
			w.add(key, path, "there is no such field%s", w.fieldsLike(key.Value, message))
			return
		}
		if oneof := field.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
			if other := chosen[oneof.FullName()]; other != "" {
				w.add(key, path, "%s excludes %s, which is there too; remove one of them", key.Value, other)
			}
			chosen[oneof.FullName()] = key.Value
		}
		w.field(value, path, field, depth+1)
	})
}

// fieldsLike suggests what a key that is no field may stand for.
func (w *walker) fieldsLike(key string, message protoreflect.MessageDescriptor) string {
	var names []string
	for i := range message.Fields().Len() {
		names = append(names, string(message.Fields().Get(i).Name()))
	}
	if len(w.mistakes) < mostSuggestions && len(key) > 1 && len(key) <= mostQuoted {
		if suggestion := suggest.DidYouMean(key, names); suggestion != "" {
			return suggestion
		}
	}
	return "; the fields here are " + suggest.Enumerate(names, "and")
}

// field takes the value of a field.
func (w *walker) field(n *yaml.Node, path string, field protoreflect.FieldDescriptor, depth int) {
	switch {
	case !w.plain(n, path, depth):
	case field.IsMap():
		if w.is(n, path, yaml.MappingNode, "a mapping") {
			w.entries(n, path, func(_, value *yaml.Node, path string) { w.single(value, path, field.MapValue(), depth+1) })
		}
	case field.IsList():
		if w.is(n, path, yaml.SequenceNode, "a list") {
			first := 0
			if depth == 2 {
				first = w.file.first[string(field.Name())]
			}
			for i, item := range n.Content {
				w.single(item, indexPath(path, first+i), field, depth+1)
			}
		}
	default:
		w.single(n, path, field, depth)
	}
}

// single takes the value of a field that is neither list nor map, or an item of one that is.
func (w *walker) single(n *yaml.Node, path string, field protoreflect.FieldDescriptor, depth int) {
	switch {
	case !w.plain(n, path, depth):
	case field.Message() != nil:
		w.message(n, path, field.Message(), depth)
	default:
		w.scalar(n, path, field)
	}
}

// free takes what the schema leaves open.
func (w *walker) free(n *yaml.Node, path string, depth int) {
	inside := func(n *yaml.Node, path string) {
		if w.plain(n, path, depth+1) {
			w.free(n, path, depth+1)
		}
	}
	if n.Kind == yaml.MappingNode {
		w.entries(n, path, func(_, value *yaml.Node, path string) { inside(value, path) })
		return
	}
	for i, item := range n.Content {
		inside(item, indexPath(path, i))
	}
}

// secret takes what must name a secret. Whatever else stands there may be the secret, so that nothing of it is told.
func (w *walker) secret(n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Value != "env" && n.Content[0].Value != "file" {
		w.add(n, path, "must be {env: NAME} or {file: PATH}, which says where the secret is; the secret itself does not belong here")
		return
	}
	if value, path := n.Content[1], fieldPath(path, n.Content[0].Value); w.plain(value, path, 1) && (value.Kind != yaml.ScalarNode || value.Tag != strTag) {
		w.add(value, path, "must be text")
	}
}

// plain takes away what YAML has and a configuration has not. It tells whether the node can be looked at.
func (w *walker) plain(n *yaml.Node, path string, depth int) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		w.add(n, path, noAliases)
	case n.Style&yaml.TaggedStyle != 0:
		w.add(n, path, "tags (!) are not supported; leave it out")
	case n.Tag == nullTag:
		w.add(n, path, "there is no value; give it one, or leave it out")
	case depth > maxDepth:
		w.add(n, path, "lists and mappings lie in each other more than %d deep, which no configuration needs", maxDepth)
	default:
		return true
	}
	return false
}

// is tells whether a node has a kind, and notes it when it has not.
func (w *walker) is(n *yaml.Node, path string, kind yaml.Kind, wanted string) bool {
	if n.Kind != kind {
		w.add(n, path, "must be %s, is %s", wanted, describe(n))
	}
	return n.Kind == kind
}

// entries visits the entries of a mapping whose keys are right, each with its path.
func (w *walker) entries(n *yaml.Node, path string, visit func(key, value *yaml.Node, path string)) {
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == mergeTag || key.Kind == yaml.AliasNode || key.Anchor != "" {
			w.add(key, path, noAliases)
			continue
		}
		if key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0 {
			w.add(key, path, "a key must be text, is %s", describe(key))
			continue
		}
		path := fieldPath(path, key.Value)
		if first := seen[key.Value]; first != nil {
			w.add(key, path, "the key is given twice, first at %s; remove one of them", w.file.place(first))
			continue
		}
		seen[key.Value] = key
		visit(key, value, path)
	}
}

// mostQuoted is how many bytes of a key or a value an error quotes: enough to recognize it, too few to fill a screen.
const mostQuoted = 64

// plainKey are the keys that a path has as they are.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// fieldPath is the path of a field, or of a map's entry by its key.
func fieldPath(path, key string) string {
	switch {
	case !plainKey.MatchString(key) || len(key) > mostQuoted:
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// indexPath is the path of a list's item.
func indexPath(path string, index int) string { return fmt.Sprintf("%s[%d]", path, index) }

// quote quotes a text, and cuts it where it is long.
func quote(text string) string {
	if len(text) > mostQuoted {
		return strconv.Quote(strings.ToValidUTF8(text[:mostQuoted], "")) + "..."
	}
	return strconv.Quote(text)
}
