package backend

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// A lane still has a call whose context has ended: it must not be made again, however short the pause was.
func TestAPauseIsOverForNobodyWhoLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		require.False(t, pause(ctx, 0))
	}
}
