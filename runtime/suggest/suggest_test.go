package suggest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEditDistance(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"kitten", "sitting", 3},
		{"keyvalue_sacn", "keyvalue_scan", 1},
		{"scan", "scan", 0},
	} {
		require.Equal(t, test.want, editDistance(test.a, test.b), "%q to %q", test.a, test.b)
		require.Equal(t, test.want, editDistance(test.b, test.a), "%q to %q", test.b, test.a)
	}
}

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	names := []string{"keyvalue_basic", "keyvalue_scan", "list_basic", "list_range", "set_basic"}
	require.Equal(t, "; did you mean keyvalue_scan?", DidYouMean("keyvalue_sacn", names))
	require.Equal(t, "; did you mean keyvalue_scan?", DidYouMean("KEYVALUE-SCAN", names))
	require.Equal(t, "; did you mean set_basic, list_basic or keyvalue_basic?", DidYouMean("basic", names))
	require.Empty(t, DidYouMean("quux", names))
	require.Empty(t, DidYouMean("", nil))
}
