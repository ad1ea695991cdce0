// Package suggest finds what somebody may have meant who mistyped a name.
package suggest

import (
	"cmp"
	"slices"
	"strings"
)

// mostSuggestions is how many names a suggestion holds: more would be a list, and there are commands for that.
const mostSuggestions = 3

// DidYouMean returns the suggestion for a mistyped name, such as "; did you mean keyvalue_scan?", or "" when nothing is near.
func DidYouMean(typed string, names []string) string {
	suggested := nearest(strings.ToLower(typed), names)
	if len(suggested) == 0 {
		return ""
	}
	return "; did you mean " + Enumerate(suggested, "or") + "?"
}

// nearest returns the names that are about as near as the nearest one, or else those that contain what was typed.
func nearest(typed string, names []string) []string {
	distances := make(map[string]int, len(names))
	best := max(2, len(typed)/4) // farther is something else
	for _, name := range names {
		distances[name] = editDistance(typed, strings.ToLower(name))
		best = min(best, distances[name])
	}
	near := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return distances[name] > best+1 })
	if len(near) == 0 && len(typed) > 2 {
		near = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.Contains(strings.ToLower(name), typed) })
	}
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(distances[a], distances[b]) })
	return near[:min(len(near), mostSuggestions)]
}

// Enumerate joins names as a sentence does: "a, b or c".
func Enumerate(names []string, conjunction string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + conjunction + " " + names[last]
}

// editDistance counts the bytes to insert, delete, replace or swap with their neighbour that make one string the other.
func editDistance(a, b string) int {
	// Three rows of the matrix are enough: a swap looks back two.
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
