package gateway_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testgateway"
)

// dialGRPC connects with grpc-go, a client that is not ours.
func dialGRPC(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(testgateway.Start(t, &configv1.Config{}), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestReflectionListsEveryInterface(t *testing.T) {
	stream, err := reflectionv1.NewServerReflectionClient(dialGRPC(t)).ServerReflectionInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
	answer, err := stream.Recv()
	require.NoError(t, err)
	var names []string
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	require.Contains(t, names, "prism.keyvalue.v1.KeyValueBasicInterface")
	require.Contains(t, names, "prism.graph.v1.GraphQueryInterface")
	require.Contains(t, names, "grpc.health.v1.Health")

	require.NoError(t, stream.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "prism.keyvalue.v1.KeyValueBasicInterface"},
	}))
	answer, err = stream.Recv()
	require.NoError(t, err)
	require.NotEmpty(t, answer.GetFileDescriptorResponse().GetFileDescriptorProto())
}

func TestHealthAnswersAndWatches(t *testing.T) {
	health := grpc_health_v1.NewHealthClient(dialGRPC(t))
	for _, service := range []string{"", "prism.keyvalue.v1.KeyValueBasicInterface"} {
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		require.NoError(t, err)
		require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, answer.GetStatus())
	}
	_, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "none.such"})
	require.ErrorContains(t, err, "NotFound")

	watch, err := health.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	first := make(chan grpc_health_v1.HealthCheckResponse_ServingStatus, 1)
	go func() {
		if answer, err := watch.Recv(); err == nil {
			first <- answer.GetStatus()
		}
	}()
	select {
	case status := <-first:
		require.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, status)
	case <-time.After(30 * time.Second):
		t.Fatal("no status within 30 s")
	}
}
