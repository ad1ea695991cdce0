package redis_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testfault"
)

// TestFaults stops, kills and freezes the server, and cuts and slows the way to it, under load.
func TestFaults(t *testing.T) {
	testfault.Run(t, testfault.Subject{
		Type: "redis", Kind: testenv.Redis, Options: []string{"--appendonly", "yes", "--appendfsync", "always"},
		Config: func(_ *testing.T, address string) map[string]any { return map[string]any{"address": address} },
	})
}
