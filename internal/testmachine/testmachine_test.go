package testmachine_test

import (
	"testing"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testmachine"
)

// MemStore is the oracle, and must agree with itself.
func TestTheOracleAgreesWithItself(t *testing.T) {
	t.Parallel()
	testmachine.Run(t, func(t *testing.T) *prism.Interfaces { return testmachine.Oracle(t) })
}
