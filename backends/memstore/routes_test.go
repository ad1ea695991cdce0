package memstore_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testroutes"
)

// TestRoutes runs the suite of every interface that memstore implements, over every route.
func TestRoutes(t *testing.T) {
	testroutes.Conformance(t, testroutes.Instance(t, "memstore", nil))
}
