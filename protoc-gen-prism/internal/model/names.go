package model

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The syntax of names.
var (
	modelSyntax   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	flavourSyntax = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	leafSyntax    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	versionSyntax = regexp.MustCompile(`^v[1-9][0-9]*$`)
)

// packageVersion is the last part of a proto package that names a version.
var packageVersion = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)

// packageModel is the last part of a proto package that is not a version: prism.keyvalue.v1 is "keyvalue".
func packageModel(protoPackage string) string {
	parts := strings.Split(protoPackage, ".")
	for len(parts) > 1 && packageVersion.MatchString(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	return parts[len(parts)-1]
}

// folded is a name without case and separators, so that names that differ in nothing else are one.
func folded(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// nearest returns the name that is nearest to a misspelled one, or "" when none is near.
func nearest(name string, names []string) string {
	best, bestDistance := "", min(max(2, len(name)/3)+1, len(name))
	for _, candidate := range slices.Sorted(slices.Values(names)) {
		if d := distance(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// misspelled tells whether a name that may be unknown is so like a known one that it was meant: one letter off. Short names are too like each other to tell.
func misspelled(name string, known []string) bool {
	return len(name) >= 5 && slices.ContainsFunc(known, func(candidate string) bool { return distance(name, candidate) == 1 })
}

// didYouMean is a remedy for a misspelled name, or another remedy when no name is near.
func didYouMean(name string, names []string, otherwise string) string {
	if near := nearest(name, names); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	return otherwise
}

// distance is the number of letters to insert, delete or replace to make one name of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// byName compares named things.
func byName[T any](name func(T) string) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(name(a), name(b)) }
}
