package httprpc_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// BenchmarkUnary compares a unary call through this package with the same call through connect-go's own typed handler, without a network.
func BenchmarkUnary(b *testing.B) {
	answer := wrapperspb.String(string(make([]byte, 100)))
	ours := rpc.Unary(unary, func(context.Context, *text) (*text, error) { return answer, nil })
	for name, handler := range map[string]http.Handler{
		"prism": httprpc.NewHandler(unary, func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return ours.Serve(ctx, stream) }),
		"connect": connect.NewUnaryHandler(unary.Procedure, func(context.Context, *connect.Request[text]) (*connect.Response[text], error) {
			return connect.NewResponse(answer), nil
		}),
	} {
		b.Run(name, func(b *testing.B) {
			body, err := proto.Marshal(wrapperspb.String("a key"))
			if err != nil {
				b.Fatal(err)
			}
			reader := bytes.NewReader(body)
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, unary.Procedure, nil)
				request.Header["Content-Type"] = []string{"application/proto"}
				request.Body, request.ContentLength = io.NopCloser(reader), int64(len(body))
				handler.ServeHTTP(httptest.NewRecorder(), request)
			}
		})
	}
}
