package testenv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestServersStartStopFreezeAndStartAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			s := testenv.Start(t, kind)
			require.NotZero(t, s.PID())
			require.NoError(t, s.Freeze())
			require.NoError(t, s.Thaw())
			require.NoError(t, s.Kind.Ready(t.Context(), s))
			require.NoError(t, s.Kill())
			require.Error(t, s.Kind.Ready(t.Context(), s))
			require.NoError(t, s.Start(t.Context()))
			require.NoError(t, s.Stop())
			require.NoError(t, s.Start(t.Context()))
			require.NoError(t, s.Freeze()) // and is stopped by its Cleanup all the same
		})
	}
}
