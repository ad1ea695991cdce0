// Package tilltest is the suites of Till.
package tilltest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.org/shop/gen/prism"
	tillv1 "example.org/shop/gen/shop/till/v1"
)

// Basic tests till_basic.
func Basic(t *testing.T, open func(t *testing.T) *prism.Interfaces) {
	require.NoError(t, open(t).TillBasic.Watch(t.Context(), &tillv1.WatchRequest{}, nil))
}
