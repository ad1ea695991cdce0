package backend_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/rpc"
)

// served is what a store of the tests gives to a namespace.
type served struct{ namespace string }

func (served) Handlers() []rpc.Handler { return make([]rpc.Handler, 3) }

// store is an open backend whose configuration is a duration.
type store struct {
	seconds int64
	closed  int
	failure error
}

func (s *store) Namespace(_ context.Context, name string) (served, error) {
	return served{name}, s.failure
}

func (s *store) Close(context.Context) error {
	s.closed++
	return s.failure
}

func TestOfOpensWithTheBackendsConfiguration(t *testing.T) {
	t.Parallel()
	var opened *store
	backendType := backend.Of("clock", func(_ context.Context, _ backend.Env, config *durationpb.Duration) (*store, error) {
		opened = &store{seconds: config.GetSeconds()}
		return opened, nil
	})
	require.Equal(t, "clock", backendType.Name)

	instance, err := backendType.Open(t.Context(), backend.Env{}, &durationpb.Duration{Seconds: 7})
	require.NoError(t, err)
	require.Equal(t, int64(7), opened.seconds)

	interfaces, err := instance.Namespace(t.Context(), "orders")
	require.NoError(t, err)
	require.Equal(t, served{"orders"}, interfaces)
	require.Len(t, interfaces.Handlers(), 3)

	require.NoError(t, instance.Close(t.Context()))
	require.Equal(t, 1, opened.closed)
}

func TestOfRefusesAnothersConfiguration(t *testing.T) {
	t.Parallel()
	backendType := backend.Of("clock", func(context.Context, backend.Env, *durationpb.Duration) (*store, error) {
		t.Error("open was called with another backend's configuration")
		return nil, nil
	})
	_, err := backendType.Open(t.Context(), backend.Env{}, timestamppb.Now())
	require.EqualError(t, err, "backend clock: the configuration is a google.protobuf.Timestamp; it must be a google.protobuf.Duration")
}

func TestErrorsOfABackendComeThroughAndTheirValuesDoNot(t *testing.T) {
	t.Parallel()
	failure := errors.New("no such server")
	failing := backend.Of("clock", func(context.Context, backend.Env, *durationpb.Duration) (*store, error) { return nil, failure })
	instance, err := failing.Open(t.Context(), backend.Env{}, &durationpb.Duration{})
	require.Same(t, failure, err)
	require.Nil(t, instance)

	opening := backend.Of("clock", func(context.Context, backend.Env, *durationpb.Duration) (*store, error) {
		return &store{failure: failure}, nil
	})
	instance, err = opening.Open(t.Context(), backend.Env{}, &durationpb.Duration{})
	require.NoError(t, err)
	interfaces, err := instance.Namespace(t.Context(), "orders")
	require.Same(t, failure, err)
	require.Nil(t, interfaces)
	require.Same(t, failure, instance.Close(t.Context()))
}
