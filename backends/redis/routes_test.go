package redis_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testroutes"
)

// TestRoutes runs the suite of every interface that redis implements, over every route.
func TestRoutes(t *testing.T) {
	testroutes.Conformance(t, testroutes.Instance(t, "redis", map[string]any{
		"address": testenv.Shared(t, testenv.Redis).Address(),
		"timeout": "30s", // machines that run tests are busy
	}))
}
