package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/prismgate/prism/runtime/fault"
)

// What the server says in five characters, where something depends on it.
const (
	insufficientPrivilege = "42501"
	invalidCatalogName    = "3D000"
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	tooManyConnections    = "53300"
	diskFull              = "53100"
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	lockNotAvailable      = "55P03"
	queryCanceled         = "57014"
	readOnlyTransaction   = "25006"
	idleTransaction       = "25P03" // the gateway hung, and the server has ended the connection
	longTransaction       = "25P04" // the same, of a server with transaction_timeout
)

// failure maps an error of a call to what its caller is told. ctx is the caller's own: when it has ended, that is the error. The cause never travels.
func failure(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if known := (*fault.Error)(nil); errors.As(err, &known) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return serverSaid(op, said)
	}
	if unreachable(err) {
		return fault.Wrap(err, fault.Unavailable, op, "the database did not answer; try again later")
	}
	return fault.Wrap(err, fault.Internal, op, "internal error; the gateway's log has the cause")
}

// serverSaid maps an error that the server has reported.
func serverSaid(op string, said *pgconn.PgError) error {
	switch said.Code {
	case serializationFailure, deadlockDetected:
		return fault.Wrap(said, fault.Aborted, op, "the call met another one, and nothing was changed; try again")
	case diskFull:
		return fault.Wrap(said, fault.ResourceExhausted, op, "the database has no room left")
	case tooManyConnections, lockNotAvailable, queryCanceled, readOnlyTransaction, idleTransaction, longTransaction:
		return fault.Wrap(said, fault.Unavailable, op, "the database cannot serve the call now; try again later")
	}
	switch {
	case strings.HasPrefix(said.Code, "08"), strings.HasPrefix(said.Code, "57P"): // the connection is gone; the server starts, or shuts down
		return fault.Wrap(said, fault.Unavailable, op, "the database cannot serve the call now; try again later")
	}
	return fault.Wrap(said, fault.Internal, op, "internal error; the gateway's log has the cause")
}

// unreachable tells whether an error is about the way to the server. A context's error is one too: when the caller's own has not ended, it was the configured timeout.
func unreachable(err error) bool {
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &connecting) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, puddle.ErrClosedPool) || pgconn.SafeToRetry(err)
}

// isCode tells whether the server has reported an error with one of some codes.
func isCode(err error, codes ...string) bool {
	if err == nil {
		return false // before there is a variable for it, which would be on the heap for each call
	}
	var said *pgconn.PgError
	return errors.As(err, &said) && slices.Contains(codes, said.Code)
}
