package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/fault"
)

func TestErrorsAreMapped(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	said := func(code string) error { return &pgconn.PgError{Severity: "ERROR", Code: code, Message: "a secret"} }
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want fault.Code
	}{
		{"none", t.Context(), nil, fault.OK},
		{"the caller has gone", ended, said("57014"), fault.Canceled},
		{"the configured timeout", t.Context(), fmt.Errorf("timeout: %w", context.DeadlineExceeded), fault.Unavailable},
		{"the statement's timeout", t.Context(), said("57014"), fault.Unavailable},
		{"shutting down", t.Context(), said("57P01"), fault.Unavailable},
		{"crashed", t.Context(), said("57P02"), fault.Unavailable},
		{"starting", t.Context(), said("57P03"), fault.Unavailable},
		{"too many connections", t.Context(), said("53300"), fault.Unavailable},
		{"a connection's failure", t.Context(), said("08006"), fault.Unavailable},
		{"a standby", t.Context(), said("25006"), fault.Unavailable},
		{"a transaction that was idle for too long", t.Context(), said("25P03"), fault.Unavailable},
		{"a transaction that took too long", t.Context(), said("25P04"), fault.Unavailable},
		{"disk full", t.Context(), said("53100"), fault.ResourceExhausted},
		{"a deadlock", t.Context(), said("40P01"), fault.Aborted},
		{"not serializable", t.Context(), said("40001"), fault.Aborted},
		{"no right", t.Context(), said("42501"), fault.Internal},
		{"no table", t.Context(), said("42P01"), fault.Internal},
		{"wrong password", t.Context(), said("28P01"), fault.Internal},
		{"the end of the connection", t.Context(), io.ErrUnexpectedEOF, fault.Unavailable},
		{"a closed connection", t.Context(), pgconn.ErrConnClosed, fault.Unavailable},
		{"reset", t.Context(), &net.OpError{Op: "read", Err: errors.New("reset")}, fault.Unavailable},
		{"a defect", t.Context(), errors.New("cannot scan"), fault.Internal},
		{"the backend's own", t.Context(), fmt.Errorf("in a row: %w", fault.New(fault.FailedPrecondition, "not open")), fault.FailedPrecondition},
	} {
		mapped := failure(c.ctx, "postgres.test", c.err)
		require.Equal(t, c.want, fault.CodeOf(mapped), c.name)
		if mapped != nil {
			require.NotContains(t, fault.Public(mapped).Message, "secret", c.name)
		}
	}
}

func TestOldServerIsRefused(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkVersion("db:5432", 140000, "14.0"))
	require.EqualError(t, checkVersion("db:5432", 130022, "13.22"), "postgres: the server at db:5432 is PostgreSQL 13.22; it must be 14 or newer")
}

func TestPrefixEndsBeforeItsSuccessor(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "user:": "user;", "日": "日"[:2] + "\xa6", "a\xff\xff": "b"} {
		require.Equal(t, want, string(successor(prefix)), "%q", prefix)
	}
	for _, prefix := range []string{"", "\xff"} {
		require.Len(t, successor(prefix), maxKey+1)
	}
}

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	t.Parallel()
	all, err := migrations()
	require.NoError(t, err)
	require.NotEmpty(t, all)
}
