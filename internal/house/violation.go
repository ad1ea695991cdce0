package house

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Violation is one place that breaks a rule.
type Violation struct {
	// File is relative to the module's root, with slashes.
	File string
	// Line counts from 1.
	Line int
	// Wrong says what is there, Reason why it must not be and what to do instead.
	Wrong, Reason string
}

// String is the violation as a test prints it: file:line, what is wrong, and why.
func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", v.File, v.Line, v.Wrong, v.Reason)
}

// Report is violations as text, sorted, one to a line; empty when there are none.
func Report(violations []Violation) string {
	slices.SortFunc(violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Wrong, b.Wrong))
	})
	var b strings.Builder
	for _, v := range violations {
		b.WriteString(v.String() + "\n")
	}
	return b.String()
}

// matches tells whether a path is meant by a pattern: itself, "*" for any text in one segment, and "/..." for everything below and the path before it.
func matches(pattern, path string) bool {
	prefix, below := strings.CutSuffix(pattern, "...")
	if below && prefix == "" {
		return true
	}
	want := strings.Split(strings.TrimSuffix(prefix, "/"), "/")
	have := strings.Split(path, "/")
	if len(have) < len(want) || len(have) > len(want) && !below {
		return false
	}
	for n, segment := range want {
		before, after, star := strings.Cut(segment, "*")
		if !star && segment != have[n] {
			return false
		}
		if star && (len(have[n]) <= len(before)+len(after) || !strings.HasPrefix(have[n], before) || !strings.HasSuffix(have[n], after)) {
			return false
		}
	}
	return true
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
}
