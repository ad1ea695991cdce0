package pubsubtest_test

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
	"github.com/prismgate/prism/conformance/pubsubtest"
	"github.com/prismgate/prism/gen/go/prism"
)

// mutantVariable names the mutant that a child process runs a suite against, as "suite/mutant".
const mutantVariable = "PRISM_PUBSUB_MUTANT"

// childTimeout is generous: a child takes some seconds.
const childTimeout = 90 * time.Second

// suite is a suite with the mutants that it must reject: implementations that are right but for one rule.
type suite struct {
	name    string
	run     func(*testing.T, pubsubtest.Open)
	mutants []mutant
}

// mutant breaks one rule of a namespace's interfaces.
type mutant struct {
	name   string
	mutate func(i *prism.Interfaces)
}

func suites() []suite {
	return []suite{
		{"pubsub_basic", pubsubtest.Basic, basicMutants()},
		{"pubsub_filtering", pubsubtest.Filtering, filteringMutants()},

		{"pubsub_ordering", pubsubtest.Ordering, orderingMutants()},
		{"pubsub_persistent", pubsubtest.Persistent, persistentMutants()},
		{"pubsub_wildcards", pubsubtest.Wildcards, wildcardsMutants()},
	}
}

// failedCase finds the cases that failed in a child's output; a case that failed because of its subtest is on the way to it.
var failedCase = regexp.MustCompile(`(?m)^ +--- FAIL: TestMutantChild/(\S+) `)

// TestSuitesRejectMutants proves that the suites test: every mutant must fail in at least one case, in a process of its own so that its failure is not ours.
func TestSuitesRejectMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("runs every suite once per mutant, which takes a minute")
	}
	type result struct {
		suite, mutant string
		killers       string
		child         chan child
	}
	var results []*result
	turns := make(chan struct{}, 8) // children at a time: most of the time they wait for what does not come
	for _, suite := range suites() {
		require.GreaterOrEqual(t, len(suite.mutants), 5, "mutants of %s", suite.name)
		for _, mutant := range suite.mutants {
			run := &result{suite: suite.name, mutant: mutant.name, child: make(chan child, 1)}
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

// TestSuitesAcceptWhatIsRight runs each suite against what the mutants are made of.
func TestSuitesAcceptWhatIsRight(t *testing.T) {
	for _, suite := range suites() {
		t.Run(suite.name, func(t *testing.T) { suite.run(t, opener(t, func(*prism.Interfaces) {})) })
	}
}

// TestMutantChild is what a child process runs.
func TestMutantChild(t *testing.T) {
	name := os.Getenv(mutantVariable)
	if name == "" {
		t.Skip("is run by TestSuitesRejectMutants, in a process of its own")
	}
	for _, suite := range suites() {
		for _, mutant := range suite.mutants {
			if suite.name+"/"+mutant.name == name {
				suite.run(t, opener(t, mutant.mutate))
				return
			}
		}
	}
	t.Fatalf("there is no mutant %q", name)
}

// opener opens namespaces of one store and changes their interfaces.
func opener(t *testing.T, mutate func(*prism.Interfaces)) pubsubtest.Open {
	t.Helper()
	store, err := memstore.Open(t.Context(), nil)
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
	command.Env = append(os.Environ(), mutantVariable+"="+name)
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
