package httprpc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

type text = wrapperspb.StringValue

func method(name string, shape rpc.Shape) *rpc.Method {
	return &rpc.Method{
		Procedure:       "/test.v1.Echo/" + name,
		Service:         "test.v1.Echo",
		Name:            name,
		Shape:           shape,
		MaxMessageBytes: 64 << 10,
		NewRequest:      func() proto.Message { return new(text) },
		NewResponse:     func() proto.Message { return new(text) },
	}
}

var (
	unary  = method("Unary", rpc.ShapeUnary)
	down   = method("Down", rpc.ShapeServerStream)
	up     = method("Up", rpc.ShapeClientStream)
	both   = method("Both", rpc.ShapeBidi)
	errAsk = fault.Wrap(errors.New("password=hunter2"), fault.FailedPrecondition, "echo", "not now").WithReason("BUSY", "who", "test").WithRetry(time.Second)
)

// handlers echo. The request "fail" makes a fault, "defect" an error that is none, "wait" waits for the call to end.
func handlers() []rpc.Handler {
	answer := func(ctx context.Context, request *text) (*text, error) {
		call := rpc.CallFrom(ctx)
		call.Response.SetHeader("x-echo-header", call.Header.Get("X-Ask"))
		call.Response.SetTrailer("x-echo-trailer", call.Method.Name)
		switch request.GetValue() {
		case "fail":
			return nil, errAsk
		case "defect":
			return nil, errors.New("dial tcp 10.0.0.7: secret")
		case "wait":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return wrapperspb.String("echo " + request.GetValue()), nil
	}
	return []rpc.Handler{
		rpc.Unary(unary, answer),
		rpc.ServerStream(down, func(ctx context.Context, request *text, send func(*text) error) error {
			for range 3 {
				response, err := answer(ctx, request)
				if err != nil {
					return err
				}
				if err := send(response); err != nil {
					return err
				}
			}
			return nil
		}),
		rpc.ClientStream(up, func(ctx context.Context, receive func() (*text, error)) (*text, error) {
			var all []string
			for {
				request, err := receive()
				if errors.Is(err, io.EOF) {
					return answer(ctx, wrapperspb.String(strings.Join(all, "+")))
				}
				if err != nil {
					return nil, err
				}
				all = append(all, request.GetValue())
			}
		}),
		rpc.Bidi(both, func(ctx context.Context, receive func() (*text, error), send func(*text) error) error {
			for {
				request, err := receive()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				response, err := answer(ctx, request)
				if err != nil {
					return err
				}
				if err := send(response); err != nil {
					return err
				}
			}
		}),
	}
}

func serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	for _, h := range handlers() {
		mux.Handle(h.Method.Procedure, httprpc.NewHandler(h.Method, func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
			return h.Serve(ctx, stream)
		}))
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// eachProtocol runs a test over every protocol, HTTP/1.1 included where it can carry the shape.
func eachProtocol(t *testing.T, test func(t *testing.T, conn rpc.Conn, http1 bool)) {
	base := serve(t)
	for _, c := range []struct {
		name     string
		protocol httprpc.Protocol
		http1    bool
	}{
		{"grpc", httprpc.GRPC, false},
		{"grpcweb", httprpc.GRPCWeb, false},
		{"grpcweb-http1", httprpc.GRPCWeb, true},
		{"connect", httprpc.Connect, false},
		{"connect-http1", httprpc.Connect, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := httprpc.NewConn(httprpc.NewHTTPClient(c.http1), base, c.protocol)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, conn.Close()) })
			test(t, conn.WithHeader("X-Ask", "why"), c.http1)
		})
	}
}

func requests(values ...string) func() (*text, error) {
	return func() (*text, error) {
		if len(values) == 0 {
			return nil, io.EOF
		}
		next := wrapperspb.String(values[0])
		values = values[1:]
		return next, nil
	}
}

func TestEveryShapeOverEveryProtocol(t *testing.T) {
	eachProtocol(t, func(t *testing.T, conn rpc.Conn, http1 bool) {
		response, err := rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String("a"))
		require.NoError(t, err)
		require.Equal(t, "echo a", response.GetValue())

		var got []string
		collect := func(m *text) error { got = append(got, m.GetValue()); return nil }
		require.NoError(t, rpc.CallServerStream(t.Context(), conn, down, wrapperspb.String("b"), collect))
		require.Equal(t, []string{"echo b", "echo b", "echo b"}, got)

		response, err = rpc.CallClientStream[*text, *text](t.Context(), conn, up, requests("c", "d"))
		require.NoError(t, err)
		require.Equal(t, "echo c+d", response.GetValue())

		if http1 {
			return // connect-go's client does not
		}
		got = nil
		require.NoError(t, rpc.CallBidi(t.Context(), conn, both, requests("e", "f"), collect))
		require.Equal(t, []string{"echo e", "echo f"}, got)
	})
}

func TestAFaultArrivesWithCodeMessageAndDetailsButWithoutItsCause(t *testing.T) {
	eachProtocol(t, func(t *testing.T, conn rpc.Conn, http1 bool) {
		check := func(err error) {
			t.Helper()
			require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
			require.Equal(t, "BUSY", fault.ReasonOf(err))
			require.Contains(t, err.Error(), "not now")
			require.NotContains(t, err.Error(), "hunter2")
		}
		_, err := rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String("fail"))
		check(err)
		check(rpc.CallServerStream(t.Context(), conn, down, wrapperspb.String("fail"), func(*text) error { return nil }))
		_, err = rpc.CallClientStream[*text, *text](t.Context(), conn, up, requests("fail"))
		check(err)
		if !http1 {
			check(rpc.CallBidi(t.Context(), conn, both, requests("fail"), func(*text) error { return nil }))
		}
	})
}

func TestADefectIsInternalAndTellsNothing(t *testing.T) {
	eachProtocol(t, func(t *testing.T, conn rpc.Conn, _ bool) {
		_, err := rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String("defect"))
		require.Equal(t, fault.Internal, fault.CodeOf(err))
		require.NotContains(t, err.Error(), "secret")
	})
}

func TestAMessageOverTheLimitIsResourceExhausted(t *testing.T) {
	eachProtocol(t, func(t *testing.T, conn rpc.Conn, _ bool) {
		_, err := rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String(strings.Repeat("x", 64<<10)))
		require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
		require.Contains(t, err.Error(), "Echo/Unary takes at most 65536")
		err = rpc.CallServerStream(t.Context(), conn, down, wrapperspb.String(strings.Repeat("x", 1<<20)), func(*text) error { return nil })
		require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
		require.Contains(t, err.Error(), "takes at most 65536")
		_, err = rpc.CallClientStream[*text, *text](t.Context(), conn, up, requests("a", strings.Repeat("x", 1<<20)))
		require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
		_, err = rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String(strings.Repeat("x", 60<<10)))
		require.NoError(t, err)
	})
}

func TestDeadlineAndCancelReachTheHandler(t *testing.T) {
	eachProtocol(t, func(t *testing.T, conn rpc.Conn, _ bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := rpc.CallUnary[*text](ctx, conn, unary, wrapperspb.String("wait"))
		require.Equal(t, fault.DeadlineExceeded, fault.CodeOf(err))
		require.ErrorIs(t, err, context.DeadlineExceeded)

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		err = rpc.CallServerStream(ctx, conn, down, wrapperspb.String("wait"), func(*text) error { return nil })
		require.Equal(t, fault.Canceled, fault.CodeOf(err))
	})
}

func TestTheErrorOfSendEndsTheCallAndComesBack(t *testing.T) {
	eachProtocol(t, func(t *testing.T, conn rpc.Conn, _ bool) {
		enough := errors.New("enough")
		calls := 0
		err := rpc.CallServerStream(t.Context(), conn, down, wrapperspb.String("a"), func(*text) error { calls++; return enough })
		require.ErrorIs(t, err, enough)
		require.Equal(t, 1, calls)
	})
}

func TestAClientSendsTheBinaryEncoding(t *testing.T) {
	for protocol, want := range map[httprpc.Protocol]string{
		httprpc.GRPC:    "application/grpc+proto",
		httprpc.GRPCWeb: "application/grpc-web+proto",
		httprpc.Connect: "application/proto",
	} {
		got := make(chan string, 1)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got <- r.Header.Get("Content-Type")
			w.WriteHeader(http.StatusNotImplemented)
		}))
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
		conn, err := httprpc.NewConn(httprpc.NewHTTPClient(false), server.URL, protocol)
		require.NoError(t, err)
		_, err = rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String("a"))
		require.Error(t, err)
		require.Contains(t, []string{want, strings.TrimSuffix(want, "+proto")}, <-got)
		server.Close()
	}
}

func TestHeaderNamesAreComparedWithoutCase(t *testing.T) {
	base := serve(t)
	for _, name := range []string{"x-ask", "X-Ask", "X-ASK"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+unary.Procedure, strings.NewReader(`"a"`))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(name, "why")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "why", response.Header.Get("X-Echo-Header"))
	}
}

func TestPlainHTTP(t *testing.T) {
	base := serve(t)
	post := func(contentType, body string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+unary.Procedure, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("X-Ask", "why")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(answer)
	}

	response, body := post("application/json", `"a"`)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.JSONEq(t, `"echo a"`, body)
	require.Equal(t, "why", response.Header.Get("X-Echo-Header"))
	require.Equal(t, "Unary", response.Header.Get("Trailer-X-Echo-Trailer"))

	response, body = post("application/json", `{"no": "string"}`)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.Contains(t, body, "invalid_argument")
	require.Contains(t, body, "not a valid google.protobuf.StringValue")

	response, _ = post("application/json", ``)
	require.Equal(t, http.StatusBadRequest, response.StatusCode)

	for _, contentType := range []string{"text/plain", "", "application/grpcfoo", "application/grpc-web-text", "application/connect+json", "application/x-www-form-urlencoded"} {
		response, body = post(contentType, strings.Repeat("A", 1<<20))
		require.Equal(t, http.StatusUnsupportedMediaType, response.StatusCode, contentType)
		require.Contains(t, body, "it takes application/json", contentType)
	}
}
