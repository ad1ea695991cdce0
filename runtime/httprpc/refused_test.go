package httprpc_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// Every request is either a call, which the pipeline counts, or refused before it is one, and then it is counted as such.
func TestRequestsThatAreNoCallsAreCounted(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	refused := make(chan string, 10)
	var routes []rpc.Route
	readable := *unary
	readable.Procedure, readable.Idempotency = "/test.v1.Echo/Read", rpc.NoSideEffects
	all := append(handlers(), rpc.Unary(&readable, func(_ context.Context, request *text) (*text, error) { return request, nil }))
	for _, h := range all {
		routes = append(routes, rpc.Route{Method: h.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
			calls.Add(1)
			return h.Serve(ctx, stream)
		}})
	}
	mux := httprpc.NewMux(routes)
	mux.Refused = func(protocol, reason string) { refused <- protocol + " " + reason }
	server := httptest.NewServer(mux)
	defer server.Close()

	const json, proto, grpc, stream = "application/json", "application/proto", "application/grpc", "application/connect+json"
	for _, c := range []struct {
		name, method, path, content string
		header                      []string
		body                        string
		want                        string // why it is refused; empty for a call
	}{
		{"a call", "POST", unary.Procedure, json, nil, `"a"`, ""},
		{"a call that fails", "POST", unary.Procedure, json, nil, `"fail"`, ""},
		{"a call through connect-go", "POST", unary.Procedure, json, []string{"Accept-Encoding", "gzip"}, `"a"`, ""},
		{"a message that does not decode", "POST", unary.Procedure, json, nil, `{`, ""},
		{"a message that is too large", "POST", unary.Procedure, proto, nil, strings.Repeat("a", 5<<20), ""},
		{"a stream", "POST", down.Procedure, stream, nil, "\x00\x00\x00\x00\x03\"a\"", ""},
		{"a GET that may be", "GET", readable.Procedure + "?connect=v1&encoding=json&message=%22a%22", "", nil, "", ""},
		{"a GET that asks nothing", "GET", readable.Procedure, "", nil, "", "http malformed"},
		{"an unknown procedure", "POST", "/test.v1.Echo/Nothing", json, nil, `"a"`, "connect unknown_procedure"},
		{"an unknown procedure of gRPC", "POST", "/nothing", grpc, nil, "", "grpc unknown_procedure"},
		{"an unknown procedure of gRPC-Web", "POST", "/nothing", "application/grpc-web+proto", nil, "", "grpcweb unknown_procedure"},
		{"a browser's visit", "GET", "/favicon.ico", "", nil, "", "http unknown_procedure"},
		{"GET", "GET", unary.Procedure, "", nil, "", "http http_method"},
		{"PUT", "PUT", unary.Procedure, json, nil, `"a"`, "connect http_method"},
		{"a content type of another world", "POST", unary.Procedure, "text/html", nil, "a", "http content_type"},
		{"a content type of another shape", "POST", unary.Procedure, stream, nil, "a", "connect content_type"},
		{"a timeout that is none", "POST", unary.Procedure, json, []string{"Connect-Timeout-Ms", "soon"}, `"a"`, "connect malformed"},
		{"a compression that nobody knows", "POST", unary.Procedure, json, []string{"Content-Encoding", "br"}, `"a"`, "connect malformed"},
		{"a version of tomorrow", "POST", unary.Procedure, json, []string{"Connect-Protocol-Version", "2"}, `"a"`, "connect malformed"},
		{"a stream with a timeout that is none", "POST", down.Procedure, stream, []string{"Connect-Timeout-Ms", "soon"}, "\x00\x00\x00\x00\x03\"a\"", "connect malformed"},
	} {
		calls.Store(0)
		request, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		request.Header.Set("Accept-Encoding", "identity")
		if c.content != "" {
			request.Header.Set("Content-Type", c.content)
		}
		for i := 0; i < len(c.header); i += 2 {
			request.Header.Set(c.header[i], c.header[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err, c.name)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err, c.name)
		require.NoError(t, response.Body.Close())
		if c.want == "" {
			require.Equal(t, int64(1), calls.Load(), c.name)
			require.Empty(t, refused, c.name)
			continue
		}
		require.Equal(t, c.want, <-refused, c.name)
		require.Zero(t, calls.Load(), c.name)
		require.Empty(t, refused, c.name)
	}
}
