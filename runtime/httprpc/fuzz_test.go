package httprpc_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// FuzzRequest sends bodies of every kind to every shape: whatever comes, a handler answers and does not panic.
func FuzzRequest(f *testing.F) {
	types := []string{
		"application/grpc", "application/grpc+json", "application/grpc-web+proto", "application/json", "application/proto",
		"application/connect+proto", "application/connect+json", "text/plain", "",
	}
	for i := range types {
		f.Add(uint8(i), uint8(i), "", []byte("\x00\x00\x00\x00\x03\x0a\x01a"))
		f.Add(uint8(i), uint8(i+1), "gzip", []byte(`"a"`))
		f.Add(uint8(i), uint8(i+1), "zstd", []byte("\x01\x00\x00\x00\x04\x28\xb5\x2f\xfd"))
		f.Add(uint8(i), uint8(i+2), "", []byte("\x01\xff\xff\xff\xff"))
	}
	var served []http.Handler
	for _, h := range handlers() {
		served = append(served, httprpc.NewHandler(h.Method, func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
			return h.Serve(ctx, stream)
		}))
	}
	f.Fuzz(func(t *testing.T, shape, contentType uint8, encoding string, body []byte) {
		if bytes.Contains(body, []byte("wait")) {
			return // the one request that does not return by itself
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
		request.ProtoMajor, request.ProtoMinor = 2, 0
		request.Header["Content-Type"] = []string{types[int(contentType)%len(types)]}
		request.Header["Content-Encoding"] = []string{encoding}
		request.Header["Grpc-Encoding"] = []string{encoding}
		answer := httptest.NewRecorder()
		served[int(shape)%len(served)].ServeHTTP(answer, request)
		if answer.Code < 200 || answer.Code > 599 {
			t.Fatalf("status %d", answer.Code)
		}
	})
}
