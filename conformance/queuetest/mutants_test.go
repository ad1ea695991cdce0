package queuetest_test

import (
	"testing"

	"github.com/prismgate/prism/conformance/queuetest"
	"github.com/prismgate/prism/internal/testmutants"
)

type mutant = testmutants.Mutant

func suites() []testmutants.Suite {
	return []testmutants.Suite{
		{Name: "queue_basic", Run: queuetest.Basic, Mutants: basicMutants()},
		{Name: "queue_dead_letter", Run: queuetest.DeadLetter, Mutants: deadLetterMutants()},
		{Name: "queue_delayed", Run: queuetest.Delayed, Mutants: delayedMutants()},
		{Name: "queue_priority", Run: queuetest.Priority, Mutants: priorityMutants()},
		{Name: "queue_visibility", Run: queuetest.Visibility, Mutants: visibilityMutants()},
	}
}

func TestSuitesRejectMutants(t *testing.T) { testmutants.Reject(t, suites()) }

func TestSuitesAcceptWhatIsRight(t *testing.T) { testmutants.Accept(t, suites()) }

func TestMutantChild(t *testing.T) { testmutants.Child(t, suites()) }
