package main

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/prismgate/prism/gen/go/prism/admin/v1"
	"github.com/prismgate/prism/internal/testcatalog"
	"github.com/prismgate/prism/runtime/admin"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/httprpc"
)

// gatewayWith is the admin address of a gateway that serves a configuration.
func gatewayWith(t *testing.T, text string) string {
	t.Helper()
	source, err := config.Read("running", strings.NewReader(text))
	require.NoError(t, err)
	server := httptest.NewServer(httprpc.NewMux(admin.Routes(func() *adminv1.GetConfigResponse {
		return &adminv1.GetConfigResponse{
			Config: source.Config, Since: timestamppb.New(time.Unix(1_700_000_000, 0)), Build: &adminv1.Build{Version: "v1.2.3"},
			ReloadProblem: &adminv1.ReloadProblem{Message: "a.yaml:1:1: it was wrong"},
		}
	})))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

const (
	runningText = `
backends: [{name: small, type: memstore}]
namespaces:
  - {name: kept, backend: redis}
  - {name: gone, backend: nats}
  - {name: changed, backend: small}
`
	wantedText = `
server: {listen: "127.0.0.1:1"}
backends: [{name: small, type: memstore, config: {max_bytes: 1Ki}}]
namespaces:
  - {name: kept, backend: redis}
  - {name: new, backend: postgres}
  - {name: changed, backend: small, limits: {max_concurrent_calls: 5}}
`
)

func planLine(t *testing.T, text string, args ...string) result {
	t.Helper()
	d := built(t)
	d.catalog = testcatalog.New(t)
	d.stdin = strings.NewReader(text)
	return runLine(t, d, append([]string{"plan", "-"}, args...)...)
}

func TestPlanShowsTheDifference(t *testing.T) {
	t.Parallel()
	address := gatewayWith(t, runningText)
	got := planLine(t, wantedText, "--admin", address, "--require-running")
	require.Equal(t, exitOK, got.exit, got.stderr)
	_, difference, found := strings.Cut(got.stdout, "Compared with ")
	require.True(t, found, got.stdout)
	require.Equal(t, "the gateway at "+address+`, v1.2.3, which serves its configuration since 2023-11-14T22:13:20Z:
Its last reload failed: a.yaml:1:1: it was wrong

Namespaces:
  + new      served
  ~ changed  served anew: limits; backend small is opened anew
  - gone     served no more
  1 not changed

Backend instances:
  + postgres  opened
  ~ small     closed and opened anew: config
  - nats      closed
  1 carried over

Data in memory would be lost: small

A reload would be refused, since these need a restart: server.listen
`, difference)

	got = planLine(t, wantedText, "--admin", address, "-o", "json")
	require.Equal(t, exitOK, got.exit, got.stderr)
	var shown struct{ Difference differenceShown }
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &shown))
	require.Equal(t, differenceShown{
		Namespaces: changesShown{
			Added: []string{"new"}, Removed: []string{"gone"}, Changed: []changeShown{{"changed", []string{"limits", "backend small is opened anew"}}}, Same: []string{"kept"},
		},
		Backends: changesShown{Added: []string{"postgres"}, Removed: []string{"nats"}, Changed: []changeShown{{"small", []string{"config"}}}, Same: []string{"redis"}},
		Lost:     []string{"small"},
		Restart:  []string{"server.listen"},
	}, shown.Difference)
}

func TestPlanOfWhatIsServed(t *testing.T) {
	t.Parallel()
	got := planLine(t, runningText, "--admin", gatewayWith(t, runningText))
	require.Equal(t, exitOK, got.exit, got.stderr)
	require.True(t, strings.HasSuffix(got.stdout, "\nNothing would change.\n"), got.stdout)
}

// TestPlanAsksWhereTheConfigurationSays finds the gateway at server.admin, also where that listens everywhere.
func TestPlanAsksWhereTheConfigurationSays(t *testing.T) {
	t.Parallel()
	_, port, _ := strings.Cut(gatewayWith(t, runningText), ":")
	for _, host := range []string{"127.0.0.1", "0.0.0.0", "", "[::]"} {
		got := planLine(t, "server: {admin: \""+host+":"+port+"\"}\n"+runningText)
		require.Equal(t, exitOK, got.exit, got.stderr)
		require.Contains(t, got.stdout, "Compared with the gateway at 127.0.0.1:"+port)
	}
}

// TestPlanOfAnotherBuild is compared with a gateway whose configuration this build does not know.
func TestPlanOfAnotherBuild(t *testing.T) {
	t.Parallel()
	address := gatewayWith(t, "namespaces: [{name: a, backend: cassandra}]")
	got := planLine(t, runningText, "--admin", address)
	require.Equal(t, exitOK, got.exit, got.stderr)
	require.Contains(t, got.stdout, "Compared with nothing, since at "+address+" the gateway serves what this build does not know: namespaces[0].backend: ")
	require.Contains(t, got.stdout, "  + kept     served\n")

	got = planLine(t, runningText, "--admin", address, "--require-running")
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stderr, "prism: "+address+": the gateway serves what this build does not know: ")
}
