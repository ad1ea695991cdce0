package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Locate puts the place before each of an error's problems: file, line and column. A problem is a [Problem], one of [Problems], or one of those that [errors.Join] put
// together; they come out sorted by place, and behind them the errors that are none, as they were. Of more than twenty problems the rest is counted.
//
// A field that is not there has the place of what it would be in. One that something else than a file has set is called by that, see [Source.Overridden]. A source
// without either returns the error as it is.
func (s *Source) Locate(err error) error {
	if len(s.files) == 0 && len(s.by) == 0 {
		return err
	}
	var found mistakes
	var others []error
	told := false
	for _, err := range flatten(err) {
		var problems Problems
		switch e := err.(type) { //nolint:errorlint // What wraps a problem says more than the problem, and stays.
		case Problem:
			problems = Problems{e}
		case Problems:
			problems = e
		default:
			others = append(others, err)
		}
		for _, problem := range problems {
			if by, ok := s.by[problem.Path]; ok {
				others, told = append(others, fmt.Errorf("%s: %s", by, problem.Message)), true
				continue
			}
			if len(s.files) == 0 {
				others = append(others, problem)
				continue
			}
			at, _ := s.find(problem.Path)
			found, told = append(found, mistake{at, problem}), true
		}
	}
	if !told {
		return err
	}
	return errors.Join(append([]error{found.report(0)}, others...)...)
}

// flatten returns the errors that [errors.Join] put together, or the error alone.
func flatten(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(several.Unwrap()...).Error() {
		return []error{err}
	}
	var flat []error
	for _, part := range several.Unwrap() {
		flat = append(flat, flatten(part)...)
	}
	return flat
}

// find returns the place of a field, and whether it is there. The place of a field that is not there is that of the nearest one around it.
func (s *Source) find(path string) (place, bool) {
	field, rest := cutField(path)
	for _, f := range s.files {
		key, value := entryOf(f.root, field)
		if key == nil {
			continue
		}
		index, inside, ok := cutIndex(rest)
		if !ok || value.Kind != yaml.SequenceNode {
			at, exact := descend(key, value, rest)
			return f.place(at), exact
		}
		if local := index - f.first[field]; local >= 0 && local < len(value.Content) {
			at, exact := descend(value.Content[local], value.Content[local], inside)
			return f.place(at), exact
		}
	}
	for _, f := range s.files {
		if f.root != nil {
			return f.place(f.root), path == ""
		}
	}
	return place{}, false
}

// fileWith returns the first file before another that has a field.
func (s *Source) fileWith(field string, before int) *file {
	for _, f := range s.files[:before] {
		if key, _ := entryOf(f.root, field); key != nil {
			return f
		}
	}
	return nil
}

// descend follows a path below a node, and returns the node that stands for what it leads to, or for the last that is there. A value stands for itself; a list or a mapping
// by its key, which is above it.
func descend(key, n *yaml.Node, path string) (*yaml.Node, bool) {
	if n.Kind == yaml.ScalarNode {
		return n, path == ""
	}
	if path == "" {
		return key, true
	}
	if index, rest, ok := cutIndex(path); ok && n.Kind == yaml.SequenceNode && index < len(n.Content) {
		return descend(n.Content[index], n.Content[index], rest)
	}
	if n.Kind == yaml.MappingNode {
		if key, value, rest := longestEntry(n, path); key != nil {
			return descend(key, value, rest)
		}
	}
	return key, false
}

// longestEntry returns the entry of a mapping whose key a path begins with. Keys may have dots and brackets in them, so that the longest is meant.
func longestEntry(n *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	if quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(path, "[")); err == nil && path[0] == '[' {
		text, _ := strconv.Unquote(quoted) // it was found to be quoted
		key, value = entryOf(n, text)
		return key, value, strings.TrimPrefix(path[1+len(quoted):], "]")
	}
	path = strings.TrimPrefix(path, ".")
	for i := 0; i+1 < len(n.Content); i += 2 {
		after, ok := strings.CutPrefix(path, n.Content[i].Value)
		if ok && (after == "" || after[0] == '.' || after[0] == '[') && (key == nil || len(after) < len(rest)) {
			key, value, rest = n.Content[i], n.Content[i+1], after
		}
	}
	return key, value, rest
}

// entryOf returns a mapping's entry; nil when there is none.
func entryOf(n *yaml.Node, key string) (*yaml.Node, *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// cutField cuts a path behind its first field.
func cutField(path string) (field, rest string) {
	if at := strings.IndexAny(path, ".["); at >= 0 {
		return path[:at], path[at:]
	}
	return path, ""
}

// cutIndex cuts the index of a list from a path: "[3].name" is 3 and ".name".
func cutIndex(path string) (index int, rest string, ok bool) {
	inside, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
	if !ok || path[0] != '[' {
		return 0, "", false
	}
	index, err := strconv.Atoi(inside)
	return index, rest, err == nil && index >= 0
}
