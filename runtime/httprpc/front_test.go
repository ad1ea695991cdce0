package httprpc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestAnOversizedBodyOfUnknownLengthIsRefusedWithTheRemedy(t *testing.T) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serve(t)+unary.Procedure, io.MultiReader(strings.NewReader(`"`+strings.Repeat("x", 1<<20)+`"`)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "resource_exhausted")
	require.Contains(t, string(body), "takes at most 65536: split it")
}

func TestTheDeadlineCoversTheRequest(t *testing.T) {
	for name, header := range map[string]string{
		"connect": "Content-Type: application/json\r\nConnect-Timeout-Ms: 100",
		"grpcweb": "Content-Type: application/grpc-web+proto\r\nGrpc-Timeout: 100m",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t), "http://"))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
			_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n%s\r\n\r\n\"a", unary.Procedure, header)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if name == "connect" {
				require.Contains(t, string(body), "deadline_exceeded")
				require.Contains(t, string(body), "did not arrive in time")
			} else {
				require.Contains(t, fmt.Sprint(response.Header, string(body)), "4") // DEADLINE_EXCEEDED's number, in the header or the trailers
			}
		})
	}
}

func TestADecodingErrorSaysWhereAndNotWhat(t *testing.T) {
	secret := strings.Repeat("swordfish", 1000)
	for _, body := range []string{`{"value": "` + secret + `"}`, `"` + secret, `[` + secret + `]`, secret} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, serve(t)+unary.Procedure, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
		require.NotContains(t, string(answer), "swordfish")
		require.Contains(t, string(answer), "not a valid google.protobuf.StringValue: ")
	}
}

func TestAnAnswerToGETIsCachedByNobody(t *testing.T) {
	readable := *unary
	readable.Idempotency = rpc.NoSideEffects
	h := rpc.Unary(&readable, func(context.Context, *text) (*text, error) { return wrapperspb.String("b"), nil })
	server := httptest.NewServer(httprpc.NewHandler(&readable, func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return h.Serve(ctx, stream) }))
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+unary.Procedure+`?connect=v1&encoding=json&message=%22a%22`, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	require.Contains(t, response.Header.Values("Vary"), "prism-namespace")

	request.Method = http.MethodPut
	response, err = http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

// A connection that is lost is UNAVAILABLE, whatever it looked like: nobody canceled, and the gateway has no defect.
func TestALostConnectionIsUnavailable(t *testing.T) {
	eachProtocol(t, func(t *testing.T, _ rpc.Conn, http1 bool) {
		for name, behave := range map[string]func(net.Conn){
			"reset at once": func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
			"closed after the request": func(c net.Conn) {
				_, _ = c.Read(make([]byte, 64<<10))
			},
		} {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			go func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					behave(c)
					_ = c.Close()
				}
			}()
			for _, protocol := range []httprpc.Protocol{httprpc.GRPC, httprpc.GRPCWeb, httprpc.Connect} {
				conn, err := httprpc.NewConn(httprpc.NewHTTPClient(http1), "http://"+listener.Addr().String(), protocol)
				require.NoError(t, err)
				_, err = rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String("a"))
				require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%s, %s: %v", name, protocol, err)
				require.NotErrorIs(t, err, context.Canceled)
				err = rpc.CallServerStream(t.Context(), conn, down, wrapperspb.String("a"), func(*text) error { return nil })
				require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%s, %s: %v", name, protocol, err)
			}
			_ = listener.Close()
		}
	})
}

func TestAStreamThatIsCutIsUnavailable(t *testing.T) {
	for _, protocol := range []httprpc.Protocol{httprpc.GRPC, httprpc.GRPCWeb, httprpc.Connect} {
		server := httptest.NewUnstartedServer(httprpc.NewHandler(down, func(_ context.Context, _ *rpc.Call, stream rpc.Stream) error {
			_ = stream.Send(wrapperspb.String("one"))
			<-t.Context().Done()
			return nil
		}))
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
		conn, err := httprpc.NewConn(httprpc.NewHTTPClient(false), server.URL, protocol)
		require.NoError(t, err)
		err = rpc.CallServerStream(t.Context(), conn, down, wrapperspb.String("a"), func(*text) error {
			server.CloseClientConnections()
			return nil
		})
		require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%s: %v", protocol, err)
	}
}

// The contract of rpc.ClientCall, on every Conn.
func TestClientCall(t *testing.T) {
	t.Run("inprocess", func(t *testing.T) { clientCall(t, rpc.InProcess(handlers())) })
	eachProtocol(t, func(t *testing.T, conn rpc.Conn, http1 bool) {
		if !http1 {
			clientCall(t, conn)
		}
	})
}

func clientCall(t *testing.T, conn rpc.Conn) {
	for _, m := range []*rpc.Method{down, up, both} {
		call, err := conn.Open(t.Context(), m)
		require.NoError(t, err)
		// Receive may wait before anything was sent, on a goroutine of its own.
		received := make(chan error, 1)
		first := new(text)
		go func() { received <- call.Receive(first) }()
		require.NoError(t, call.Send(wrapperspb.String("a")))
		require.NoError(t, call.CloseSend())
		require.NoError(t, <-received, m.Name)
		require.Equal(t, "echo a", first.GetValue())
		for err = nil; err == nil; {
			err = call.Receive(new(text))
		}
		require.ErrorIs(t, err, io.EOF, m.Name)
		require.NoError(t, call.Close())
		require.NoError(t, call.Close())

		// Close gives up a call that waits.
		call, err = conn.Open(t.Context(), m)
		require.NoError(t, err)
		require.NoError(t, call.Send(wrapperspb.String("wait")))
		go func() { received <- call.Receive(new(text)) }()
		time.AfterFunc(20*time.Millisecond, func() { _ = call.Close() })
		err = <-received
		require.Error(t, err, m.Name)
		require.False(t, errors.Is(err, io.EOF), m.Name)
	}
}
