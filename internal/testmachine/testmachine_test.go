package testmachine_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testmachine"
)

// MemStore is the oracle, and must agree with itself.
func TestTheOracleAgreesWithItself(t *testing.T) {
	t.Parallel()
	for _, machine := range testmachine.Machines() {
		t.Run(machine.Model, func(t *testing.T) {
			t.Parallel()
			machine.Run(t, testmachine.Oracle(t), testmachine.Oracle(t))
		})
	}
}
