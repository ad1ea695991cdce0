package memstore_test

import (
	"testing"

	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/internal/testgateway"
)

// TestConformanceOnEveryRoute runs the suites through a gateway: what holds for the value holds for its clients.
func TestConformanceOnEveryRoute(t *testing.T) {
	testgateway.EachRoute(t, &configv1.BackendInstance{Name: "m", Type: "memstore"}, func(t *testing.T, open func(t *testing.T) *prism.Interfaces) {
		suites.Run(t, open)
	})
}
