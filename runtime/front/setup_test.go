package front_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/rpc"
)

// patience is how long a test waits for what must come. It tells a hang from a machine that is busy, and nothing else.
const patience = 30 * time.Second

const procedure = "/test.v1.Echo/Say"

// routes is a service that repeats what it is told.
func routes() []rpc.Route {
	m := &rpc.Method{
		Procedure: procedure, Service: "test.v1.Echo", Name: "Say", Idempotency: rpc.NoSideEffects,
		NewRequest:  func() proto.Message { return new(wrapperspb.StringValue) },
		NewResponse: func() proto.Message { return new(wrapperspb.StringValue) },
	}
	h := rpc.Unary(m, func(_ context.Context, request *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
		return request, nil
	})
	return []rpc.Route{{Method: m, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return h.Serve(ctx, stream) }}}
}

// served is a front that serves until the test ends.
type served struct {
	*front.Front
	state   *health.State
	metrics *prometheus.Registry
	log     *log
	ended   chan error
}

// log keeps what is logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve serves a configuration; addresses that it does not name are the loopback's, on any port.
func serve(t *testing.T, server *configv1.Server, insecure bool) *served {
	t.Helper()
	if server.GetListen() == "" {
		server.Listen = "127.0.0.1:0"
	}
	if server.GetAdmin() == "" {
		server.Admin = "127.0.0.1:0"
	}
	s := &served{state: health.NewState(), metrics: prometheus.NewRegistry(), log: new(log), ended: make(chan error, 1)}
	var err error
	s.Front, err = front.Open(t.Context(), server, front.Options{Insecure: insecure, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	require.NoError(t, err)
	require.NoError(t, s.metrics.Register(s.Collector()))
	rest := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "rest") })
	go func() {
		s.ended <- s.Serve(routes(), front.NewAdminHandler(s.state, s.metrics, func(func(string) bool) {}, rest))
	}()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		select {
		case err := <-s.ended:
			require.NoError(t, err)
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
	})
	return s
}

// address is the first one of clients.
func (s *served) address() string { return s.Addresses()[0].Address }

// refuses opens a configuration that must not be served, and returns what is wrong by path.
func refuses(t *testing.T, server *configv1.Server) map[string]string {
	t.Helper()
	if server.GetAdmin() == "" {
		server.Admin = "127.0.0.1:0"
	}
	f, err := front.Open(t.Context(), server, front.Options{})
	require.Nil(t, f)
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	by := make(map[string]string)
	for _, problem := range problems {
		require.NotContains(t, by, problem.Path)
		by[problem.Path] = problem.Message
	}
	return by
}

// protocol is a way to make the call.
type protocol struct {
	name, contentType string
	http2, get        bool
}

var protocols = []protocol{
	{"grpc", "application/grpc", true, false},
	{"grpc-web", "application/grpc-web", true, false},
	{"grpc-web over HTTP/1.1", "application/grpc-web", false, false},
	{"connect", "application/json", true, false},
	{"connect over HTTP/1.1", "application/json", false, false},
	{"connect by GET", "", true, true},
	{"connect by GET over HTTP/1.1", "", false, true},
}

// outcome is what came of a call.
type outcome struct {
	status int
	// code is gRPC's, by its number or Connect's name; "" is success. reason is of the ErrorInfo.
	code, reason, message string
	header                http.Header
}

var codeNames = map[string]string{"0": "", "7": "permission_denied", "8": "resource_exhausted"}

// dialer returns a client's transport to an address as a front gives it.
func dialer(address string, http2 bool) *http.Transport {
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	return transport
}

// call makes a call in clear, with a Host of choice and further fields.
func (p protocol) call(t *testing.T, address, host string, fields ...string) outcome {
	t.Helper()
	method, target, body := http.MethodPost, "http://"+host+procedure, []byte(`"hello"`)
	switch {
	case p.get:
		method, target, body = http.MethodGet, target+"?connect=v1&encoding=json&message=%22hello%22", nil
	case p.contentType != "application/json":
		message, err := proto.Marshal(wrapperspb.String("hello"))
		require.NoError(t, err)
		body = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	require.NoError(t, err)
	if p.contentType != "" {
		request.Header.Set("Content-Type", p.contentType)
	}
	request.Header.Set("Te", "trailers")
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	transport := dialer(address, p.http2)
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	got := outcome{status: response.StatusCode, header: response.Header}
	if strings.HasPrefix(p.contentType, "application/grpc") {
		p.grpc(t, response, answer, &got)
		return got
	}
	if response.StatusCode == http.StatusOK {
		require.Equal(t, `"hello"`, string(answer))
		return got
	}
	var wire struct {
		Code, Message string
		Details       []struct{ Value string }
	}
	require.NoError(t, json.Unmarshal(answer, &wire), string(answer))
	got.code, got.message = wire.Code, wire.Message
	for _, detail := range wire.Details {
		value, err := base64.RawStdEncoding.DecodeString(detail.Value)
		require.NoError(t, err)
		info := new(errdetails.ErrorInfo)
		require.NoError(t, proto.Unmarshal(value, info))
		got.reason = info.GetReason()
	}
	return got
}

// grpc reads the outcome off trailers, wherever they are.
func (p protocol) grpc(t *testing.T, response *http.Response, body []byte, got *outcome) {
	t.Helper()
	trailers := response.Trailer.Clone()
	if response.Header.Get("Grpc-Status") != "" {
		trailers = response.Header
	} else if p.contentType == "application/grpc-web" {
		trailers = make(http.Header)
		at := prefixSize + int(binary.BigEndian.Uint32(body[1:]))
		require.Equal(t, byte(0x80), body[at])
		for line := range strings.Lines(string(body[at+prefixSize:])) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			trailers.Set(name, strings.TrimSpace(value))
		}
	}
	name, known := codeNames[trailers.Get("Grpc-Status")]
	require.True(t, known, "%v", trailers)
	got.code, got.message = name, trailers.Get("Grpc-Message")
	if encoded := trailers.Get("Grpc-Status-Details-Bin"); encoded != "" {
		value, err := base64.RawStdEncoding.DecodeString(encoded)
		require.NoError(t, err)
		s := new(status.Status)
		require.NoError(t, proto.Unmarshal(value, s))
		info := new(errdetails.ErrorInfo)
		require.NoError(t, s.GetDetails()[0].UnmarshalTo(info))
		got.reason = info.GetReason()
	}
}

const prefixSize = 5
