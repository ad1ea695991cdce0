package testroutes

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/suites"
)

// gapsChild tells a child process which cell it runs.
const gapsChild = "PRISM_KNOWN_GAPS_CELL"

// Gaps are the cases that a backend does not pass yet, by interface and case, each with the reason. A file of them has one on each line,
//
//	queue_basic/DequeueWaits the server has no blocking read (https://...)
//
// besides empty lines and comments, which begin with #. A listed case is run, and its failure is tolerated on every route; when it passes, the run fails, so that the list holds
// nothing but gaps. Whoever has gaps should rather not declare the interface: the list is for what is under way.
type Gaps map[string]map[string]string

// ReadGaps reads a file of gaps, which need not be there.
func ReadGaps(file string) (Gaps, error) {
	content, err := os.ReadFile(file) //nolint:gosec // it is a constant but for tests
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	gaps := Gaps{}
	for n, line := range strings.Split(string(content), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name := strings.Fields(line)[0]
		reason := strings.TrimSpace(line[len(name):])
		suite, of, ok := strings.Cut(name, "/")
		switch {
		case !ok || suite == "" || of == "":
			return nil, fmt.Errorf("%s:%d: a gap is written as interface/Case and a reason", file, n+1)
		case reason == "":
			return nil, fmt.Errorf("%s:%d: %s needs a reason", file, n+1, name)
		case gaps[suite][of] != "":
			return nil, fmt.Errorf("%s:%d: %s is listed twice", file, n+1, name)
		case gaps[suite] == nil:
			gaps[suite] = map[string]string{}
		}
		gaps[suite][of] = reason
	}
	return gaps, nil
}

// run runs a suite. One with gaps runs in a process of its own, whose failure is not the test's.
func (g Gaps) run(t *testing.T, suite suites.Suite, open opener) {
	t.Helper()
	if len(g[suite.Interface]) == 0 || os.Getenv(gapsChild) == t.Name() {
		suite.Run(t, open)
		return
	}
	executable, err := os.Executable()
	require.NoError(t, err)
	var path []string
	for _, part := range strings.Split(t.Name(), "/") {
		path = append(path, "^"+regexp.QuoteMeta(part)+"$")
	}
	command := exec.CommandContext(t.Context(), executable, "-test.v", "-test.run="+strings.Join(path, "/")) //nolint:gosec // it is this program
	command.Env = append(os.Environ(), gapsChild+"="+t.Name())
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	for _, problem := range judge(g[suite.Interface], string(output), t.Name(), err != nil) {
		t.Errorf("%s: %s", suite.Interface, problem)
	}
	if t.Failed() {
		t.Logf("the suite ran in a process of its own, because %s lists gaps of it, and said:\n%s", gapsFile, output)
	}
}

// outcome finds how subtests ended in what a test process printed.
var outcome = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+) \(`)

// died finds that a process ended before all its cases had.
var died = regexp.MustCompile(`(?m)^(panic|fatal error): `)

// judge compares how the cases of a cell ended with the gaps that are known, and returns what is wrong.
func judge(gaps map[string]string, output, cell string, failed bool) (problems []string) {
	ended := map[string]string{}
	for _, match := range outcome.FindAllStringSubmatch(output, -1) {
		name, ok := strings.CutPrefix(match[2], cell+"/")
		if !ok || strings.Contains(name, "/") {
			continue // a case has failed when a subtest of it has
		}
		ended[name] = match[1]
	}
	var known int
	for _, name := range slices.Sorted(maps.Keys(ended)) {
		_, gap := gaps[name]
		switch {
		case ended[name] == "SKIP":
			problems = append(problems, name+" was skipped")
		case ended[name] == "FAIL" && gap:
			known++
		case ended[name] == "FAIL":
			problems = append(problems, name+" fails and is no known gap")
		case gap:
			problems = append(problems, name+" passes; remove it from "+gapsFile)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gaps)) {
		if ended[name] == "" {
			problems = append(problems, fmt.Sprintf("%s lists %s, which did not run; is the name right?", gapsFile, name))
		}
	}
	if failed && known == 0 && len(problems) == 0 || died.MatchString(output) {
		problems = append(problems, "the process failed, and not by a case")
	}
	return problems
}
