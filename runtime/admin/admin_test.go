package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/client"
	adminv1 "github.com/prismgate/prism/gen/go/prism/admin/v1"
	"github.com/prismgate/prism/gen/go/prism/admin/v1/adminrpc"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcatalog"
	"github.com/prismgate/prism/runtime/admin"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/plan"
)

// serve serves an answer and returns the address.
func serve(t *testing.T, status func() *adminv1.GetConfigResponse) string {
	server := httptest.NewServer(httprpc.NewMux(admin.Routes(status)))
	t.Cleanup(server.Close)
	return server.URL
}

func TestGetConfig(t *testing.T) {
	t.Parallel()
	status := &adminv1.GetConfigResponse{
		Config:        &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "a", Backend: "memstore"}}},
		Files:         []string{"a.yaml", "b.yaml"},
		Since:         timestamppb.New(time.Unix(1_700_000_000, 0)),
		ReloadProblem: &adminv1.ReloadProblem{Message: "a.yaml:1:1: no", Time: timestamppb.New(time.Unix(1_700_000_001, 0))},
		Build:         &adminv1.Build{Version: "v1.2.3", Revision: "abc", GoVersion: "go1.26.0"},
	}
	address := serve(t, func() *adminv1.GetConfigResponse { return status })
	for _, protocol := range []client.Protocol{client.Connect, client.GRPCWeb} {
		c, err := client.Dial(address, client.WithProtocol(protocol), client.WithHTTP1())
		require.NoError(t, err)
		got, err := adminrpc.NewAdminServiceClient(c.Conn("")).GetConfig(t.Context(), new(adminv1.GetConfigRequest))
		require.NoError(t, err, protocol)
		require.True(t, proto.Equal(status, got), "%s: %s", protocol, got)
		require.NoError(t, c.Close())
	}
}

func TestGetConfigIsJSONToo(t *testing.T) {
	t.Parallel()
	address := serve(t, func() *adminv1.GetConfigResponse { return &adminv1.GetConfigResponse{Files: []string{"a.yaml"}} })
	response, err := http.Post(address+"/prism.admin.v1.AdminService/GetConfig", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"files": ["a.yaml"]}`, string(body))
}

// TestNoSecretIsTold shows that what is told of a configuration names secrets and holds none: one that holds a secret is refused and never in force.
func TestNoSecretIsTold(t *testing.T) {
	const secret = "hunter2"
	t.Setenv("COLLECTOR_KEY", secret)
	key := func(value any) *configv1.Config {
		settings, err := structpb.NewStruct(map[string]any{"endpoint": "http://a", "headers": map[string]any{"key": value}})
		require.NoError(t, err)
		return &configv1.Config{Backends: []*configv1.BackendInstance{{Name: "redis", Config: settings}}}
	}
	named := key(map[string]any{"env": "COLLECTOR_KEY"})
	named.Observability = &configv1.Observability{Tracing: &configv1.Tracing{
		Endpoint: "http://a", Headers: map[string]*configv1.Secret{"key": {Source: &configv1.Secret_Env{Env: "COLLECTOR_KEY"}}},
	}}
	planned, err := plan.Make(named, testcatalog.New(t))
	require.NoError(t, err)
	address := serve(t, func() *adminv1.GetConfigResponse { return &adminv1.GetConfigResponse{Config: planned.Config} })
	c, err := client.Dial(address, client.WithProtocol(client.Connect), client.WithHTTP1())
	require.NoError(t, err)
	got, err := adminrpc.NewAdminServiceClient(c.Conn("")).GetConfig(t.Context(), new(adminv1.GetConfigRequest))
	require.NoError(t, err)
	require.Contains(t, protojson.Format(got), "COLLECTOR_KEY")
	require.NotContains(t, protojson.Format(got), secret)
	require.NoError(t, c.Close())

	for _, held := range []any{secret, map[string]any{"value": secret}, []any{secret}} {
		_, err := plan.Make(key(held), testcatalog.New(t))
		var problems config.Problems
		require.ErrorAs(t, err, &problems)
		require.NotContains(t, err.Error(), secret)
	}
}
