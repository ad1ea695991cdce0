package house

import (
	"strconv"
	"strings"
)

const testingReason = "testing adds flags and weight to every program that links it; put what needs it in a _test.go file or a package for tests"

// TestPackages are the packages for tests, which may import testing though their files are not tests themselves.
var TestPackages = []Allowed{
	{"gen/go/suites", "the list of conformance suites is called by tests only"},
	{"conformance/...", "conformance suites are called by tests only"},
	{"protoc-gen-prism/internal/plugintest", "runs the plugin in tests"},
	{"internal/test*/...", "aids of tests"},
}

// Testing demands that production code does not import testing, nor what is made for it.
func Testing(m *Module, allowed []Allowed) []Violation {
	var violations []Violation
	for _, p := range m.Packages {
		for _, file := range p.Files {
			for _, spec := range file.Syntax.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if isTesting(path) && !excepted(allowed, p, file) {
					violations = append(violations, m.at(file, spec.Pos(), testingReason, "%s is imported", path))
				}
			}
		}
	}
	return violations
}

func isTesting(path string) bool {
	return path == "testing" || strings.HasPrefix(path, "testing/") || strings.HasPrefix(path, "github.com/stretchr/testify")
}
