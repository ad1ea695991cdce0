package nats_test

import (
	"testing"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testfault"
)

// TestFaults stops, kills and freezes the server, and cuts and slows the way to it, under load.
func TestFaults(t *testing.T) {
	testfault.Run(t, testfault.Subject{
		Type: "nats", Kind: testenv.NATS, Options: []string{"max_payload: 8MB", "sync_interval: always"},
		Config: func(_ *testing.T, address string) map[string]any {
			return map[string]any{"urls": []any{"nats://" + address}}
		},
	})
}
