// Package testmutants proves that conformance suites test: each suite must reject every one of its mutants, implementations that are right but for one rule.
//
// A mutant runs in a process of its own, so that its failure is not the test's. A package of suites therefore has three tests: one calls [Reject], one [Accept], and one, whose name
// must be TestMutantChild, [Child].
package testmutants

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testrace"
	"github.com/prismgate/prism/runtime/backend"
)

const (
	// variable names the mutant that a child process runs a suite against, as "suite/mutant".
	variable = "PRISM_MUTANT"
	// childTimeout is generous: a child takes some seconds.
	childTimeout = 5 * time.Minute
	// leastMutants is how many mutants a suite has at least.
	leastMutants = 5
)

// Suite is a suite with the mutants that it must reject.
type Suite struct {
	// Name is the catalog name of the interface.
	Name string
	// Run runs the suite.
	Run func(t *testing.T, open func(t *testing.T) *prism.Interfaces)
	// Mutants are at least five.
	Mutants []Mutant
}

// Mutant breaks one rule of a namespace's interfaces.
type Mutant struct {
	// Name says which.
	Name string
	// Mutate breaks it.
	Mutate func(i *prism.Interfaces)
}

// failedCase finds the cases that failed in a child's output; a case that failed because of its subtest is on the way to it.
var failedCase = regexp.MustCompile(`(?m)^ +--- FAIL: TestMutantChild/(\S+) `)

// Reject runs every suite against its mutants: each must fail in at least one case, in a process of its own so that its failure is not ours.
func Reject(t *testing.T, suites []Suite) {
	t.Helper()
	if testing.Short() || testrace.Enabled {
		t.Skip("runs every suite once per mutant, which takes a minute; `go test` without -short and -race does it, and `make mutants`")
	}
	type result struct {
		suite, mutant string
		killers       string
		child         chan child
	}
	var results []*result
	turns := make(chan struct{}, 8) // children at a time: most of the time they wait for what does not come
	for _, suite := range suites {
		require.GreaterOrEqual(t, len(suite.Mutants), leastMutants, "mutants of %s", suite.Name)
		for _, mutant := range suite.Mutants {
			run := &result{suite: suite.Name, mutant: mutant.Name, child: make(chan child, 1)}
			results = append(results, run)
			go func() {
				turns <- struct{}{}
				defer func() { <-turns }()
				run.child <- runChild(t.Context(), run.suite+"/"+run.mutant)
			}()
		}
	}
	for _, result := range results {
		t.Run(result.suite+"/"+result.mutant, func(t *testing.T) {
			child := <-result.child
			var exit *exec.ExitError
			require.ErrorAs(t, child.err, &exit, "the mutant survives")
			killers := killersIn(child.output)
			require.NotEmpty(t, killers, "the child failed without naming a case:\n%s", child.output)
			result.killers = describe(killers)
		})
	}
	var table strings.Builder
	writer := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, result := range results {
		_, _ = fmt.Fprintf(writer, "%s\t%s\t%s\n", result.suite, result.mutant, result.killers)
	}
	require.NoError(t, writer.Flush())
	t.Logf("suite, mutant, and the cases that rejected it:\n%s", table.String())
}

// Accept runs each suite against what the mutants are made of.
func Accept(t *testing.T, suites []Suite) {
	t.Helper()
	for _, suite := range suites {
		t.Run(suite.Name, func(t *testing.T) { suite.Run(t, opener(t, func(*prism.Interfaces) {})) })
	}
}

// Child is what a child process runs.
func Child(t *testing.T, suites []Suite) {
	t.Helper()
	name := os.Getenv(variable)
	if name == "" {
		t.Skip("is run by the test that calls Reject, in a process of its own")
	}
	for _, suite := range suites {
		for _, mutant := range suite.Mutants {
			if suite.Name+"/"+mutant.Name == name {
				suite.Run(t, opener(t, mutant.Mutate))
				return
			}
		}
	}
	t.Fatalf("there is no mutant %q", name)
}

// opener opens namespaces of one store and changes their interfaces.
func opener(t *testing.T, mutate func(*prism.Interfaces)) func(t *testing.T) *prism.Interfaces {
	t.Helper()
	store, err := memstore.Open(t.Context(), backend.Env{}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	var names atomic.Int64
	return func(t *testing.T) *prism.Interfaces {
		opened, err := store.Namespace(t.Context(), strconv.FormatInt(names.Add(1), 10))
		require.NoError(t, err)
		mutated := *opened.Interfaces()
		mutate(&mutated)
		return &mutated
	}
}

// child is what a child process printed, and how it ended.
type child struct {
	output string
	err    error
}

// runChild runs TestMutantChild in a process of its own.
func runChild(ctx context.Context, name string) child {
	executable, err := os.Executable()
	if err != nil {
		return child{err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, childTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, executable, "-test.run=^TestMutantChild$", "-test.parallel=64") // cases that wait in vain wait together
	command.Env = append(os.Environ(), variable+"="+name, expect.Hurry+"=1")
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("the child does not end: %w", ctx.Err())
	}
	return child{string(output), err}
}

// killersIn returns the innermost cases that failed.
func killersIn(output string) []string {
	var failed []string
	for _, match := range failedCase.FindAllStringSubmatch(output, -1) {
		failed = append(failed, match[1])
	}
	return slices.DeleteFunc(failed, func(name string) bool {
		return slices.ContainsFunc(failed, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
}

// describe names the first killers and counts the others.
func describe(killers []string) string {
	if len(killers) > 2 {
		return fmt.Sprintf("%s and %d more", strings.Join(killers[:2], ", "), len(killers)-2)
	}
	return strings.Join(killers, ", ")
}
