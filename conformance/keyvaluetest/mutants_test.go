package keyvaluetest_test

import (
	"testing"

	"github.com/prismgate/prism/conformance/keyvaluetest"
	"github.com/prismgate/prism/internal/testmutants"
)

type mutant = testmutants.Mutant

func suites() []testmutants.Suite {
	return []testmutants.Suite{
		{Name: "keyvalue_basic", Run: keyvaluetest.Basic, Mutants: basicMutants()},
		{Name: "keyvalue_batch", Run: keyvaluetest.Batch, Mutants: batchMutants()},
		{Name: "keyvalue_cas", Run: keyvaluetest.CAS, Mutants: casMutants()},
		{Name: "keyvalue_scan", Run: keyvaluetest.Scan, Mutants: scanMutants()},
		{Name: "keyvalue_transactional", Run: keyvaluetest.Transactional, Mutants: transactionalMutants()},
		{Name: "keyvalue_ttl", Run: keyvaluetest.TTL, Mutants: ttlMutants()},
	}
}

func TestSuitesRejectMutants(t *testing.T) { testmutants.Reject(t, suites()) }

func TestSuitesAcceptWhatIsRight(t *testing.T) { testmutants.Accept(t, suites()) }

func TestMutantChild(t *testing.T) { testmutants.Child(t, suites()) }
