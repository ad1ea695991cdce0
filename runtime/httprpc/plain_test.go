package httprpc_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A plain call is answered without connect-go; accepting gzip takes the way through it. Both ways must look the same from outside.
func TestPlainCallsAreAnsweredAsConnectGoAnswersThem(t *testing.T) {
	base := serve(t)
	type answer struct {
		status                             int
		contentType, header, trailer, body string
	}
	ask := func(header map[string]string, body string, gzip bool) answer {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+unary.Procedure, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("X-Ask", "why")
		request.Header.Set("Accept-Encoding", "identity")
		if gzip {
			request.Header.Set("Accept-Encoding", "gzip")
		}
		for name, value := range header {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return answer{response.StatusCode, response.Header.Get("Content-Type"), response.Header.Get("X-Echo-Header"), response.Header.Get("Trailer-X-Echo-Trailer"), string(content)}
	}
	for _, header := range []map[string]string{
		{"Content-Type": "application/json"},
		{"Content-Type": "application/json; charset=utf-8"},
		{"Content-Type": "application/JSON"},
		{"Content-Type": "application/proto"},
		{"Content-Type": "application/json", "Connect-Timeout-Ms": "5000"},
		{"Content-Type": "application/json", "Connect-Timeout-Ms": "soon"},
		{"Content-Type": "application/json", "Connect-Timeout-Ms": "99999999999"},
		{"Content-Type": "application/json", "Connect-Protocol-Version": "1"},
		{"Content-Type": "application/json", "Connect-Protocol-Version": "2"},
		{"Content-Type": "application/json", "Content-Encoding": "gzip"},
		{"Content-Type": "application/json", "Content-Encoding": "zstd"},
		{"Content-Type": "application/json", "Content-Encoding": "identity"},
		{"Content-Type": "application/json", "Content-Encoding": "br"},
	} {
		for _, body := range []string{`"a"`, `"fail"`, `"defect"`, ``, `{`, `3`, "\n\x01a", "\n\x04fail", "\n\xff", strings.Repeat(" ", 70<<10)} {
			plain, through := ask(header, body, false), ask(header, body, true)
			require.Equal(t, through, plain, "%v %.20q", header, body)
		}
	}
}
