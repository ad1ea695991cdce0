package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

// TestCallInCompanyIsNotRepeatedForever: a call that has taken the configured timeout does not take it again.
func TestCallInCompanyIsNotRepeatedForever(t *testing.T) {
	t.Parallel()
	s := &Store{timeout: time.Nanosecond, breaker: backend.NewBreaker(t.Context(), backend.Env{Instance: "test"}, func(context.Context) error { return nil })}
	t.Cleanup(s.breaker.Close)
	attempts := 0
	failing := func(ctx context.Context) error {
		if attempts++; attempts > 1 {
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
		}
		return fault.New(fault.Unavailable, "no answer")
	}
	err := s.together(t.Context(), "postgres.test", true, failing)
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	require.Equal(t, 1, attempts)

	s.timeout, attempts = time.Hour, 0
	err = s.together(t.Context(), "postgres.test", true, failing)
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	require.Equal(t, 3, attempts)
}
