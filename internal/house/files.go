package house

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// MaxLines bounds a hand-written Go file. A file over 500 lines asks a question; one over 1,000 needs an answer.
const MaxLines = 1000

const (
	lengthReason  = "a file is one noun; split it, so that the list of files is the table of contents"
	machineReason = "what lies elsewhere on one machine is not there on the next; use a path in the repository, a temporary folder or a variable"
)

// skippedFolders hold what is not ours to keep.
var skippedFolders = []string{".git", ".build", "bin", "third_party", "node_modules"}

// Lengths demands that hand-written Go files are at most limit lines long.
func Lengths(m *Module, limit int) []Violation {
	var violations []Violation
	for _, p := range m.Packages {
		for _, file := range slices.Concat(p.Files, p.TestFiles) {
			lines := m.Fset.File(file.Syntax.FileStart).LineCount()
			if !file.Generated && lines > limit {
				violations = append(violations, Violation{file.Path, limit, fmt.Sprintf("the file has %d lines, more than %d", lines, limit), lengthReason})
			}
		}
	}
	return violations
}

// MachinePaths demands that no text file below a folder names one of the given places, which are paths of the machine that the check runs on: where the
// repository lies, and its user's home. A place with less than two elements, such as / or /app, is not looked for: too many texts have it and mean another.
// Where there is git, only what it tracks or would track is checked.
func MachinePaths(ctx context.Context, dir string, places ...string) ([]Violation, error) {
	names := placePattern(places)
	if names == nil {
		return nil, nil
	}
	known := gitFiles(ctx, dir)
	var violations []Violation
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		switch {
		case entry.IsDir() && slices.Contains(skippedFolders, entry.Name()):
			return filepath.SkipDir
		case entry.Type().IsRegular() && (known == nil || known[relative]):
			found, err := machinePathsIn(name, relative, names)
			violations = append(violations, found...)
			return err
		}
		return nil
	})
	return violations, err
}

// placePattern matches the places that say something about a machine, as whole paths or their beginnings; nil when there is none.
func placePattern(places []string) *regexp.Regexp {
	var alternatives []string
	for _, place := range places {
		place = path.Clean(filepath.ToSlash(place))
		if path.IsAbs(place) && strings.Count(place, "/") >= 2 {
			alternatives = append(alternatives, regexp.QuoteMeta(place))
		}
	}
	if alternatives == nil {
		return nil
	}
	return regexp.MustCompile(`(?:^|[^A-Za-z0-9._/-])(?:` + strings.Join(alternatives, "|") + `)(?:[/"'\s` + "`" + `)]|$)`)
}

// gitFiles are the files below a folder that git tracks or would track, relative to it; nil when git does not know.
func gitFiles(ctx context.Context, dir string) map[string]bool {
	command := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir, command.Env = dir, outsideGit()
	output, err := command.Output()
	if err != nil || len(output) == 0 {
		return nil
	}
	known := make(map[string]bool)
	for name := range strings.SplitSeq(string(output), "\x00") {
		known[name] = true
	}
	return known
}

// outsideGit is the environment without what git tells its hooks, which is about their repository and not about a folder's.
func outsideGit() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "GIT_") })
}

func machinePathsIn(name, relative string, places *regexp.Regexp) ([]Violation, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(content, 0) >= 0 {
		return nil, nil
	}
	var violations []Violation
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		if places.MatchString(line) {
			violations = append(violations, Violation{relative, n, "a path of one machine: " + strings.TrimSpace(line[:min(len(line), 100)]), machineReason})
		}
	}
	return violations, nil
}
