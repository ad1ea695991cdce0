package front_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

type text = wrapperspb.StringValue

// limitedRoutes are a method of each shape that takes 64 KiB, in a namespace that allows 1,000 bytes.
func limitedRoutes() []rpc.Route {
	method := func(name string, shape rpc.Shape) *rpc.Method {
		message := func() proto.Message { return new(text) }
		return &rpc.Method{
			Procedure: "/test.v1.Limited/" + name, Service: "test.v1.Limited", Name: name, Shape: shape, MaxMessageBytes: 64 << 10, NewRequest: message, NewResponse: message,
		}
	}
	drain := func(receive func() (*text, error)) error {
		for {
			if _, err := receive(); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
	}
	handlers := []rpc.Handler{
		rpc.Unary(method("Unary", rpc.ShapeUnary), func(context.Context, *text) (*text, error) { return new(text), nil }),
		rpc.ServerStream(method("Down", rpc.ShapeServerStream), func(_ context.Context, _ *text, send func(*text) error) error { return send(new(text)) }),
		rpc.ClientStream(method("Up", rpc.ShapeClientStream), func(_ context.Context, receive func() (*text, error)) (*text, error) {
			return new(text), drain(receive)
		}),
		rpc.Bidi(method("Both", rpc.ShapeBidi), func(_ context.Context, receive func() (*text, error), _ func(*text) error) error {
			return drain(receive)
		}),
	}
	var routes []rpc.Route
	for _, h := range handlers {
		routes = append(routes, rpc.Route{Method: h.Method, Serve: func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
			call.Namespace, call.MaxMessageBytes = "tenant", 1000 // as the gateway's pipeline does
			return h.Serve(ctx, stream)
		}})
	}
	return routes
}

// callShape makes a call whose last message is the given one.
func callShape(ctx context.Context, client *connect.Client[text, text], shape rpc.Shape, message *text) error {
	switch shape {
	case rpc.ShapeServerStream:
		stream, err := client.CallServerStream(ctx, connect.NewRequest(message))
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
		}
		return stream.Err()
	case rpc.ShapeClientStream:
		stream := client.CallClientStream(ctx)
		for _, m := range []*text{wrapperspb.String("small"), message} {
			if err := stream.Send(m); err != nil {
				break // CloseAndReceive tells why
			}
		}
		_, err := stream.CloseAndReceive()
		return err
	case rpc.ShapeBidi:
		stream := client.CallBidiStream(ctx)
		defer func() { _ = stream.CloseResponse() }()
		for _, m := range []*text{wrapperspb.String("small"), message} {
			if err := stream.Send(m); err != nil {
				break // Receive tells why
			}
		}
		if err := stream.CloseRequest(); err != nil {
			return err
		}
		if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	default:
		_, err := client.CallUnary(ctx, connect.NewRequest(message))
		return err
	}
}

func TestAMessageIsHeldToTheLimitOfItsNamespace(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, http2 string) {
		server := front.NewServer(limitedRoutes(), front.ServerOptions{Standard: http2 == "standard"})
		listener, err := listen.Open(t.Context(), "127.0.0.1:0")
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		t.Cleanup(func() {
			require.NoError(t, server.Close())
			require.ErrorIs(t, <-ended, listen.ErrClosed)
		})
		plain := connect.WithAcceptCompression("gzip", nil, nil)
		for name, options := range map[string][]connect.ClientOption{
			"grpc":                {connect.WithGRPC()},
			"grpc, compressed":    {connect.WithGRPC(), connect.WithSendGzip()},
			"grpc-web":            {connect.WithGRPCWeb()},
			"connect, plain":      {plain},
			"connect, compressed": {connect.WithSendGzip()},
		} {
			t.Run(name, func(t *testing.T) {
				for _, route := range limitedRoutes() {
					client := connect.NewClient[text, text](httprpc.NewHTTPClient(false), "http://"+listener.Addr().String()+route.Method.Procedure, options...)
					largest := wrapperspb.String(strings.Repeat("x", 1000-3))
					require.Equal(t, 1000, proto.Size(largest))
					require.NoError(t, callShape(t.Context(), client, route.Method.Shape, largest), route.Method.Name)

					refuses := func(size int, says string) *connect.Error {
						var refusal *connect.Error
						require.ErrorAs(t, callShape(t.Context(), client, route.Method.Shape, wrapperspb.String(strings.Repeat("x", size))), &refusal, route.Method.Name)
						require.Equal(t, connect.CodeResourceExhausted, refusal.Code())
						require.Contains(t, refusal.Message(), says, route.Method.Name)
						return refusal
					}
					refusal := refuses(1000-2, "namespaces[].limits.max_message_bytes of namespace tenant allows at most 1000: split it")
					require.Len(t, refusal.Details(), 1)
					detail, err := refusal.Details()[0].Value()
					require.NoError(t, err)
					require.Equal(t, "MESSAGE_TOO_LARGE", detail.(*errdetails.ErrorInfo).GetReason())
					_ = refuses(70_000, "at most") // more than the method takes: whichever limit was found first
				}
			})
		}
	})
}
