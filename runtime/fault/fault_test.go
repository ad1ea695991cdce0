package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
)

func TestCodesHaveTheirNamesAndNumbers(t *testing.T) {
	t.Parallel()
	names := []string{
		"OK", "CANCELED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
	}
	require.Len(t, names, int(fault.MaxCode)+1)
	for number, name := range names {
		require.Equal(t, name, fault.Code(number).String())
	}
	require.Equal(t, "CODE_17", (fault.MaxCode + 1).String())
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	notFound := fault.New(fault.NotFound, "no such thing")
	for _, c := range []struct {
		name string
		err  error
		want fault.Code
	}{
		{"nil", nil, fault.OK},
		{"a fault", notFound, fault.NotFound},
		{"a wrapped fault", fmt.Errorf("reading: %w", notFound), fault.NotFound},
		{"a fault in a fault", fault.Wrap(notFound, fault.Unavailable, "op", "gone"), fault.Unavailable},
		{"a fault around a context error", fault.Wrap(context.Canceled, fault.Unavailable, "op", "gone"), fault.Unavailable},
		{"a joined fault", errors.Join(errors.New("plain"), notFound), fault.NotFound},
		{"canceled", fmt.Errorf("reading: %w", context.Canceled), fault.Canceled},
		{"deadline", fmt.Errorf("reading: %w", context.DeadlineExceeded), fault.DeadlineExceeded},
		{"plain", errors.New("plain"), fault.Internal},
		{"a fault without a code", &fault.Error{Message: "no code"}, fault.Internal},
		{"a fault of an unknown code", fault.New(99, "odd"), fault.Internal},
	} {
		require.Equal(t, c.want, fault.CodeOf(c.err), c.name)
	}
}

func TestErrorsIsAndAsReachTheCause(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", fault.Wrap(io.ErrClosedPipe, fault.Unavailable, "redis.keyvalue.Get", "the backend cannot be reached"))
	require.ErrorIs(t, err, io.ErrClosedPipe)
	var found *fault.Error
	require.ErrorAs(t, err, &found)
	require.Equal(t, "redis.keyvalue.Get", found.Op)
}

func TestErrorIsWhatTheLogShows(t *testing.T) {
	t.Parallel()
	require.Equal(t, "redis.keyvalue.Get: UNAVAILABLE: no answer from 1 server: EOF",
		fault.Wrap(io.EOF, fault.Unavailable, "redis.keyvalue.Get", "no answer from %d server", 1).Error())
	require.Equal(t, "NOT_FOUND: gone", fault.New(fault.NotFound, "gone").Error())
	require.Equal(t, "op: INTERNAL", (&fault.Error{Code: fault.Internal}).WithOp("op").Error())
}

func TestInvalidNamesTheField(t *testing.T) {
	t.Parallel()
	err := fault.Invalid("items[3].key", "must be 1 to %d bytes", 10)
	require.Equal(t, fault.InvalidArgument, err.Code)
	require.Equal(t, "items[3].key: must be 1 to 10 bytes", err.Message)
	require.Len(t, err.Details, 1)
	want := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "items[3].key", Description: "must be 1 to 10 bytes"}}}
	require.True(t, proto.Equal(want, err.Details[0]), "got %v, want %v", err.Details[0], want)
}

func TestDetails(t *testing.T) {
	t.Parallel()
	err := fault.New(fault.ResourceExhausted, "full").WithRetry(1500*time.Millisecond).WithReason("QUOTA", "limit", "10", "odd one out")
	require.Equal(t, "QUOTA", fault.ReasonOf(fmt.Errorf("outer: %w", err)))
	require.Len(t, err.Details, 2)
	require.Equal(t, 1500*time.Millisecond, err.Details[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration())
	info := err.Details[1].(*errdetails.ErrorInfo)
	require.Equal(t, fault.Domain, info.GetDomain())
	require.Equal(t, map[string]string{"limit": "10"}, info.GetMetadata())
	require.Empty(t, fault.ReasonOf(errors.New("plain")))
	require.Empty(t, fault.New(fault.NotFound, "gone").Reason())
}

func TestPublicShowsFaultsAsTheyAre(t *testing.T) {
	t.Parallel()
	err := fault.New(fault.NotFound, "gone")
	require.Same(t, err, fault.Public(fmt.Errorf("outer: %w", err)))
}

func TestPublicKeepsDefectsForTheLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want fault.Code
	}{
		{errors.New("dial tcp 10.0.0.7: password=hunter2"), fault.Internal},
		{fmt.Errorf("reading: %w", context.Canceled), fault.Canceled},
		{fmt.Errorf("reading: %w", context.DeadlineExceeded), fault.DeadlineExceeded},
		{fmt.Errorf("redis: %w", io.ErrUnexpectedEOF), fault.Internal},
	} {
		public := fault.Public(c.err)
		require.Equal(t, c.want, public.Code)
		require.NotEmpty(t, public.Message)
		require.NotContains(t, public.Message, c.err.Error())
		require.ErrorIs(t, public, c.err)
	}
}
