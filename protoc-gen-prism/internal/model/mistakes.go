package model

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// SchemaErrors are all that is wrong with a schema, sorted by file and place.
type SchemaErrors []Mistake

// Mistake is one of them.
type Mistake struct {
	// File is the proto file; Line and Column count from 1.
	File         string
	Line, Column int
	// Text says what is wrong and what would be right.
	Text string
}

// Error has a line for each mistake.
func (m SchemaErrors) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "\n")
}

// String is "path/file.proto:LINE:COL: text".
func (m Mistake) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// add notes a mistake at a declaration or, when steps lead on to one of its options, at that option. Steps that the source information does not know are
// ignored from the first such one on.
func (m *SchemaErrors) add(at protoreflect.Descriptor, steps []int32, format string, args ...any) {
	location := locate(at, steps)
	*m = append(*m, Mistake{
		File:   at.ParentFile().Path(),
		Line:   location.StartLine + 1,
		Column: location.StartColumn + 1,
		Text:   fmt.Sprintf(format, args...),
	})
}

func locate(at protoreflect.Descriptor, steps []int32) protoreflect.SourceLocation {
	locations := at.ParentFile().SourceLocations()
	found := locations.ByDescriptor(at)
	for n := len(steps); n > 0 && len(found.Path) > 0; n-- {
		path := append(slices.Clone(found.Path), steps[:n]...)
		if location := locations.ByPath(path); location.Path != nil {
			return location
		}
	}
	return found
}

// sorted are the mistakes by file and place, each once.
func (m SchemaErrors) sorted() SchemaErrors {
	slices.SortFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(m)
}
