package keyvaluetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// Counter is the suite of keyvalue_counter.
func Counter(t *testing.T, open Open) {
	t.Run("AMissingKeyCountsAsZero", func(t *testing.T) {
		answer, err := open(t).KeyValueCounter.Increment(t.Context(), &keyvaluev1.IncrementRequest{Key: "a", By: 3})
		require.NoError(t, err)
		require.EqualValues(t, 3, answer.GetValue())
	})
	t.Run("ZeroIsRefusedByTheGuard", func(t *testing.T) {
		_, err := open(t).KeyValueCounter.Increment(t.Context(), &keyvaluev1.IncrementRequest{Key: "a"})
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	})
}
