package scratch_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testroutes"
)

// The suites run on the value and through a gateway; `make cells` counts them.
func TestRoutes(t *testing.T) {
	testroutes.Conformance(t, testroutes.Instance(t, "scratch", nil))
}
