package observe_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testgateway"
)

// Calls of a real gateway whose keys, values and headers are marked, well-formed and not: no mark gets into the log, the traces or the metrics, though all that can be
// told is told.
func TestPayloadsKeysAndHeadersAreToldNowhere(t *testing.T) {
	t.Setenv("PRISM_TEST_COLLECTOR_KEY", "mark-collector-key")
	collector := newCollectorServer(t)
	log := new(buffer)
	ratio := 1.0
	config := oneNamespace()
	config.Observability = &configv1.Observability{
		AccessLog: &configv1.AccessLog{Calls: "all"},
		Tracing: &configv1.Tracing{
			Endpoint: collector.URL, SampleRatio: &ratio,
			Headers: map[string]*configv1.Secret{"x-key": {Source: &configv1.Secret_Env{Env: "PRISM_TEST_COLLECTOR_KEY"}}},
		},
	}
	s := testgateway.StartWith(t, testgateway.Options{
		Config: config, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	address := testgateway.Address(s)

	const basic = "/prism.keyvalue.v1.KeyValueBasicInterface/"
	marked := base64.StdEncoding.EncodeToString([]byte("mark-payload"))
	var calls int
	for _, procedure := range []string{"Get", "Set", "Delete", "Exists"} {
		for _, body := range []string{
			`{"key": "mark-key", "value": "` + marked + `"}`,
			`{"key": "` + strings.Repeat("mark-key", 10_000) + `"}`,
			`{"key": "mark-key`,
			`{"mark-key": "mark-payload"}`,
			`"mark-payload"`,
			`{"key": {"mark-key": 1}}`,
			`mark-payload`,
			``,
		} {
			for _, namespace := range []string{"default", "nowhere"} {
				post(t, address, basic+procedure, body,
					"prism-namespace", namespace, "authorization", "Bearer mark-header", "cookie", "mark=mark-header", "x-mark-header", "mark-header",
					"user-agent", "mark-header", "x-request-id", "mark header of two words")
				calls++
			}
		}
	}
	response, err := http.Get("http://" + s.Front().AdminAddress() + "/metrics")
	require.NoError(t, err)
	metrics, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.NoError(t, s.Shutdown(t.Context()))

	require.Len(t, collector.spans(t), calls)
	require.GreaterOrEqual(t, len(log.lines()), calls)
	require.Contains(t, log.String(), "INVALID_ARGUMENT")
	require.Contains(t, log.String(), "code=OK")
	told := map[string]string{"the log": log.String(), "the metrics": string(metrics), "the traces": fmt.Sprintf("%s", collector.bodies)}
	for where, text := range told {
		for _, mark := range []string{"mark-", "mark=", "mark header", marked} {
			require.NotContains(t, text, mark, where)
		}
	}
}
