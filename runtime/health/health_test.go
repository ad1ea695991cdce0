package health_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestCheckFollowsTheState(t *testing.T) {
	state := health.NewState("a.B")
	conn := rpc.InProcess(state.Handlers())
	check := state.Handlers()[0].Method
	for _, serving := range []bool{false, true, false} {
		state.Set(serving)
		answer, err := rpc.CallUnary[*grpc_health_v1.HealthCheckResponse](t.Context(), conn, check, &grpc_health_v1.HealthCheckRequest{Service: "a.B"})
		require.NoError(t, err)
		require.Equal(t, serving, answer.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING)
	}
	_, err := rpc.CallUnary[*grpc_health_v1.HealthCheckResponse](t.Context(), conn, check, &grpc_health_v1.HealthCheckRequest{Service: "c.D"})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestWatchTellsEachChange(t *testing.T) {
	state := health.NewState()
	conn := rpc.InProcess(state.Handlers())
	watch := state.Handlers()[1].Method
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []grpc_health_v1.HealthCheckResponse_ServingStatus
	err := rpc.CallServerStream(ctx, conn, watch, &grpc_health_v1.HealthCheckRequest{}, func(answer *grpc_health_v1.HealthCheckResponse) error {
		got = append(got, answer.GetStatus())
		if len(got) == 3 {
			return context.Canceled
		}
		state.Set(!state.Serving())
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []grpc_health_v1.HealthCheckResponse_ServingStatus{
		grpc_health_v1.HealthCheckResponse_NOT_SERVING, grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING,
	}, got)
}

func TestWatchOfAnUnknownServiceAnswersAndWaits(t *testing.T) {
	state := health.NewState()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := rpc.CallServerStream(ctx, rpc.InProcess(state.Handlers()), state.Handlers()[1].Method, &grpc_health_v1.HealthCheckRequest{Service: "none"},
		func(answer *grpc_health_v1.HealthCheckResponse) error {
			require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN, answer.GetStatus())
			cancel()
			return nil
		})
	require.Equal(t, fault.Canceled, fault.CodeOf(err))
}

func TestEndTellsTheWatchersAndLetsThemGo(t *testing.T) {
	for _, service := range []string{"", "none"} {
		state := health.NewState()
		state.Set(true)
		var last grpc_health_v1.HealthCheckResponse_ServingStatus
		err := rpc.CallServerStream(t.Context(), rpc.InProcess(state.Handlers()), state.Handlers()[1].Method, &grpc_health_v1.HealthCheckRequest{Service: service},
			func(answer *grpc_health_v1.HealthCheckResponse) error {
				last = answer.GetStatus()
				state.End()
				return nil
			})
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		if service == "" {
			require.Equal(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING, last)
		}
		state.Set(true)
		require.False(t, state.Serving())
	}
}
