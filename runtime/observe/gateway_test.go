package observe_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testgateway"
)

// What a caller sees of it, of a real gateway.
func TestAnswersOfAGateway(t *testing.T) {
	t.Parallel()
	log := new(buffer)
	config := oneNamespace()
	config.Server = &configv1.Server{Explain: true}
	s := testgateway.StartWith(t, testgateway.Options{Config: config, Log: slog.New(slog.NewTextHandler(log, nil))})
	ask := func(header ...string) http.Header {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			"http://"+testgateway.Address(s)+"/prism.keyvalue.v1.KeyValueBasicInterface/Exists", strings.NewReader(`{"key": "a"}`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.Header
	}
	well := ask("prism-namespace", "default")
	require.Empty(t, well.Values("X-Request-Id"))
	require.Empty(t, well.Values("Prism-Explain"))

	named := ask("prism-namespace", "default", "x-request-id", "r-1", "prism-explain", "1")
	require.Equal(t, []string{"r-1"}, named.Values("X-Request-Id"))
	require.Contains(t, named.Get("Prism-Explain"), "namespace=default, ")
	require.Contains(t, named.Get("Server-Timing"), "total;dur=")

	failed := ask("prism-namespace", "nowhere")
	require.Len(t, failed.Values("X-Request-Id"), 1)
	require.Contains(t, log.String(), "request_id="+failed.Get("X-Request-Id"))
	require.Equal(t, []string{"r-2"}, ask("prism-namespace", "nowhere", "x-request-id", "r-2").Values("X-Request-Id"))
}
