package httprpc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// serveOne serves one handler over HTTP/1.1 and HTTP/2.
func serveOne(t *testing.T, h rpc.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(httprpc.NewMux([]rpc.Route{{Method: h.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
		return h.Serve(ctx, stream)
	}}}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func TestANameMayHaveSeveralValues(t *testing.T) {
	h := rpc.Unary(unary, func(ctx context.Context, request *text) (*text, error) {
		response := rpc.CallFrom(ctx).Response
		response.SetHeader("x-many", "zero")
		response.SetHeader("x-many", "one")
		response.AddHeader("x-many", "two")
		response.AddTrailer("x-late", "three")
		response.AddTrailer("x-late", "four")
		if request.GetValue() == "fail" {
			return nil, errAsk
		}
		return request, nil
	})
	base := serveOne(t, h)
	for name, option := range map[string]connect.ClientOption{
		"grpc": connect.WithGRPC(), "grpcweb": connect.WithGRPCWeb(), "connect": connect.WithClientOptions(), "plain": connect.WithAcceptCompression("gzip", nil, nil),
	} {
		t.Run(name, func(t *testing.T) {
			client := connect.NewClient[text, text](httprpc.NewHTTPClient(false), base+unary.Procedure, option)
			response, err := client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("a")))
			require.NoError(t, err)
			require.Equal(t, []string{"one", "two"}, response.Header().Values("X-Many"))
			require.Equal(t, []string{"three", "four"}, response.Trailer().Values("X-Late"))

			_, err = client.CallUnary(t.Context(), connect.NewRequest(wrapperspb.String("fail")))
			var wire *connect.Error
			require.ErrorAs(t, err, &wire)
			require.Equal(t, []string{"one", "two"}, wire.Meta().Values("X-Many"))
			require.Equal(t, []string{"three", "four"}, wire.Meta().Values("X-Late"))
		})
	}
}

// A detail of a type that nobody here knows goes through as it came, on both sides.
func TestADetailOfAnUnknownTypeIsKept(t *testing.T) {
	known, err := anypb.New(wrapperspb.String("known"))
	require.NoError(t, err)
	unknown := &anypb.Any{TypeUrl: "type.googleapis.com/acme.Unheard", Value: []byte{0x0a, 0x01, 'x'}}
	elsewhere := &anypb.Any{TypeUrl: "example.org/acme.Unheard", Value: []byte{0xff}}
	h := rpc.Unary(unary, func(context.Context, *text) (*text, error) {
		failure := fault.New(fault.Aborted, "no")
		failure.Details = append(failure.Details, known, unknown, elsewhere)
		return nil, failure
	})
	base := serveOne(t, h)
	for _, protocol := range []httprpc.Protocol{httprpc.GRPC, httprpc.GRPCWeb, httprpc.Connect} {
		conn, err := httprpc.NewConn(httprpc.NewHTTPClient(false), base, protocol)
		require.NoError(t, err)
		_, err = rpc.CallUnary[*text](t.Context(), conn, unary, wrapperspb.String("a"))
		var got *fault.Error
		require.ErrorAs(t, err, &got)
		require.Len(t, got.Details, 3, protocol)
		require.Equal(t, "known", got.Details[0].(*text).GetValue())
		require.Equal(t, unknown.GetTypeUrl(), got.Details[1].(*anypb.Any).GetTypeUrl())
		require.Equal(t, unknown.GetValue(), got.Details[1].(*anypb.Any).GetValue())
		require.Equal(t, elsewhere.GetValue(), got.Details[2].(*anypb.Any).GetValue())
	}
}

func TestAnUnknownProcedureIsUnimplementedInEveryProtocol(t *testing.T) {
	base := serveOne(t, rpc.Unary(unary, func(context.Context, *text) (*text, error) { return new(text), nil }))
	for _, protocol := range []httprpc.Protocol{httprpc.GRPC, httprpc.GRPCWeb, httprpc.Connect} {
		conn, err := httprpc.NewConn(httprpc.NewHTTPClient(false), base, protocol)
		require.NoError(t, err)
		_, err = rpc.CallUnary[*text](t.Context(), conn, method("Missing", rpc.ShapeUnary), new(text))
		require.Equal(t, fault.Unimplemented, fault.CodeOf(err))
		require.Contains(t, err.Error(), "unknown procedure")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/test.v1.Echo/Missing", strings.NewReader("{}"))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNotFound, response.StatusCode)
}

// HTTP/1.1 carries a stream each way, also for a client that waits for an answer before it sends the next request.
func TestAStreamEachWayOverHTTP1(t *testing.T) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(serve(t), "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/connect+json\r\n\r\n", both.Procedure)
	require.NoError(t, err)
	body := httputil.NewChunkedWriter(conn)
	envelope := func(message string) string { return string([]byte{0, 0, 0, 0, byte(len(message))}) + message }
	_, err = io.WriteString(body, envelope(`"a"`))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	expect := func(want string) {
		got := make([]byte, len(want))
		_, err := io.ReadFull(response.Body, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	expect(envelope(`"echo a"`))
	_, err = io.WriteString(body, envelope(`"b"`))
	require.NoError(t, err)
	expect(envelope(`"echo b"`))
	require.NoError(t, body.Close())
	_, err = io.WriteString(conn, "\r\n")
	require.NoError(t, err)
	rest, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(rest), "\x02"), "%q", rest) // the end of the stream
	require.NotContains(t, string(rest), "error")
}

// A call that ends before its requests do is answered all the same, and net/http has no trouble with what the client sends on.
func TestAStreamEachWayOverHTTP1MayEndEarly(t *testing.T) {
	h := rpc.Bidi(both, func(context.Context, func() (*text, error), func(*text) error) error { return errors.New("at once") })
	var complaints lockedBuffer
	server := httptest.NewUnstartedServer(httprpc.NewHandler(both, func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return h.Serve(ctx, stream) }))
	server.Config.ErrorLog = log.New(&complaints, "", 0)
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/connect+json\r\n\r\n", both.Procedure)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.True(t, response.Close)
	rest, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(rest), "internal")
	_, err = io.WriteString(conn, "3\r\nabc\r\n0\r\n\r\n")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Empty(t, complaints.String())
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
