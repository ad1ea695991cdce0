package pubsubtest_test

import (
	"testing"

	"github.com/prismgate/prism/conformance/pubsubtest"
	"github.com/prismgate/prism/internal/testmutants"
)

type mutant = testmutants.Mutant

func suites() []testmutants.Suite {
	return []testmutants.Suite{
		{Name: "pubsub_basic", Run: pubsubtest.Basic, Mutants: basicMutants()},
		{Name: "pubsub_filtering", Run: pubsubtest.Filtering, Mutants: filteringMutants()},
		{Name: "pubsub_ordering", Run: pubsubtest.Ordering, Mutants: orderingMutants()},
		{Name: "pubsub_persistent", Run: pubsubtest.Persistent, Mutants: persistentMutants()},
		{Name: "pubsub_wildcards", Run: pubsubtest.Wildcards, Mutants: wildcardsMutants()},
	}
}

func TestSuitesRejectMutants(t *testing.T) { testmutants.Reject(t, suites()) }

func TestSuitesAcceptWhatIsRight(t *testing.T) { testmutants.Accept(t, suites()) }

func TestMutantChild(t *testing.T) { testmutants.Child(t, suites()) }
