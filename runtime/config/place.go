package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// mostReported is how many mistakes an error shows: who has made more repairs these first.
const mostReported = 20

// file is one file of a source.
type file struct {
	name string
	// order is its place among the source's files.
	order int
	// root is the node of the configuration; nil in a file that could not be parsed.
	root *yaml.Node
	// first are the indexes that the file's first items have in the lists of the whole configuration, by the field's name; absent means 0.
	first map[string]int
}

func (f *file) place(n *yaml.Node) place { return place{f, n.Line, n.Column} }

// place is where something stands. Line and column count from 1.
type place struct {
	file         *file
	line, column int
}

func (p place) String() string { return fmt.Sprintf("%s:%d:%d", p.file.name, p.line, p.column) }

// mistake is a problem and where it stands.
type mistake struct {
	place
	problem Problem
}

func (m mistake) Error() string { return m.String() + ": " + m.problem.Error() }

// Unwrap returns the problem.
func (m mistake) Unwrap() error { return m.problem }

// mistakes are in the order in which they were found.
type mistakes []mistake

func (m *mistakes) add(at place, path, format string, args ...any) {
	*m = append(*m, mistake{at, Problem{path, fmt.Sprintf(format, args...)}})
}

// report is the error of mistakes in the order of their places, and of more that were only counted; nil when there are none.
func (m mistakes) report(more int) error {
	sorted := slices.Clone(m)
	slices.SortStableFunc(sorted, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.file.order, b.file.order), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var errs []error
	for _, found := range sorted[:min(len(sorted), mostReported)] {
		errs = append(errs, found)
	}
	if more += max(0, len(sorted)-mostReported); more > 0 {
		errs = append(errs, fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}
