package nats_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testroutes"
)

// TestRoutes runs the suite of every interface that nats implements, over every route.
func TestRoutes(t *testing.T) {
	testroutes.Conformance(t, testroutes.Instance(t, "nats", map[string]any{
		"urls":    []any{"nats://" + testenv.Shared(t, testenv.NATS).Address()},
		"timeout": "30s", // machines that run tests are busy
	}))
}
