package plan

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/suggest"
)

const (
	// mostNames is how many names a problem lists. More would hide the problem.
	mostNames = 20
	// mostQuoted is how many bytes a problem quotes of a name that the configuration has.
	mostQuoted = 64
	// mostSuggestions is how many problems come with a suggestion: to find one, a name is compared with all others, which a file with a hundred thousand
	// mistakes could make a gateway do for minutes.
	mostSuggestions = 200
)

// maker makes one plan.
type maker struct {
	config   *configv1.Config
	catalog  *catalog.Catalog
	problems config.Problems
	// refused are the paths that have a problem.
	refused map[string]bool
	// declared are the configured instances by name; nil is one whose backend is not known.
	declared map[string]*Instance
	// used are the instances that namespaces use.
	used map[string]*Instance
}

func newMaker(c *configv1.Config, known *catalog.Catalog) *maker {
	return &maker{config: c, catalog: known, refused: map[string]bool{}, declared: map[string]*Instance{}, used: map[string]*Instance{}}
}

// refuse adds a problem. Two about one field would be one mistake told twice.
func (m *maker) refuse(path, format string, args ...any) {
	if !m.refused[path] {
		m.refused[path] = true
		m.problems = append(m.problems, config.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
}

// violation adds what a check of the schema's constraints says of what is at a path.
func (m *maker) violation(path string, err error) {
	var invalid *fault.Error
	if !errors.As(err, &invalid) {
		if err != nil {
			m.refuse(path, "%s", err)
		}
		return
	}
	for _, detail := range invalid.Details {
		if request, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range request.GetFieldViolations() {
				m.refuse(strings.TrimPrefix(path+"."+keysAsFields(violation.GetField()), "."), "%s", violation.GetDescription())
			}
		}
	}
}

// keysAsFields writes an entry of a map as [join] does: slots["registry"] is slots.registry.
func keysAsFields(path string) string {
	if !strings.Contains(path, `["`) {
		return path
	}
	return regexp.MustCompile(`\["(?:[^"\\]|\\.)*"\]`).ReplaceAllStringFunc(path, func(quoted string) string {
		if key, err := strconv.Unquote(quoted[1 : len(quoted)-1]); err == nil {
			return join("", key)
		}
		return quoted
	})
}

// join is the path of a field, or of a map's entry by its key.
func join(path, key string) string {
	plain := key != "" && len(key) <= mostQuoted && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	if plain {
		return path + "." + key
	}
	return path + "[" + quote(key) + "]"
}

// didYouMean suggests what a mistyped name may stand for.
func (m *maker) didYouMean(typed string, names []string) string {
	if len(m.refused) >= mostSuggestions || len(typed) > mostQuoted {
		return ""
	}
	return suggest.DidYouMean(typed, names)
}

// checkWhole checks what the checks of the parts did not: how many there are of them.
func (m *maker) checkWhole() {
	if len(m.problems) == 0 && m.config != nil {
		m.violation("", configv1.CheckConfig(m.config))
	}
}

// instances are those that namespaces use.
func (m *maker) instances() []*Instance {
	var all []*Instance
	for _, name := range slices.Sorted(maps.Keys(m.used)) {
		all = append(all, m.used[name])
	}
	return all
}

// quote quotes a name of the configuration, and cuts it where it is long.
func quote(name string) string {
	if len(name) > mostQuoted {
		return strconv.Quote(name[:mostQuoted]) + "..."
	}
	return strconv.Quote(name)
}

// list lists names as a sentence does, as many as one reads.
func list(names []string, conjunction string) string {
	if len(names) > mostNames {
		more := len(names) - mostNames
		names = append(slices.Clone(names[:mostNames]), fmt.Sprintf("%d more", more))
		conjunction = "and"
	}
	return suggest.Enumerate(names, conjunction)
}

func namesOf[T any](all []T, name func(T) string) []string {
	names := make([]string, len(all))
	for i, entry := range all {
		names[i] = name(entry)
	}
	return names
}

func backendNames(backends []catalog.Backend) []string {
	return namesOf(backends, func(b catalog.Backend) string { return b.Name })
}

// messageOf is what an error says, without its code.
func messageOf(err error) string {
	var invalid *fault.Error
	if errors.As(err, &invalid) {
		return invalid.Message
	}
	return err.Error()
}
