package provider_test

import (
	"testing"

	"github.com/prismgate/prism/gen/go/suites"
)

// TestConformance runs the suites of every interface of MemStore on a provider: what holds for the value holds behind the wire.
func TestConformance(t *testing.T) {
	suites.Run(t, fresh(open(t, optionsFor(t, serve(t).address))))
}
