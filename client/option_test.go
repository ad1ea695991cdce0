package client_test

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/client"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/listen"
)

// told is what a server saw of a request.
type told struct {
	proto, host string
	// peers is how many certificates the client has shown; -1 is in clear.
	peers int
}

// teller answers 404 to everything and tells what it was asked over.
func teller(t *testing.T, address string, config *configv1.Tls) (string, <-chan told) {
	t.Helper()
	seen := make(chan told, 1)
	secured, err := front.LoadTLS(config)
	require.NoError(t, err)
	listener, err := listen.Open(t.Context(), address)
	require.NoError(t, err)
	server := listen.New(listen.Config{TLS: secured, HTTP: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		peers := -1
		if request.TLS != nil {
			peers = len(request.TLS.PeerCertificates)
		}
		seen <- told{request.Proto, request.Host, peers}
		http.NotFound(w, request)
	})})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String(), seen
}

// ask makes a call that is answered with an error.
func ask(t *testing.T, address string, options ...client.Option) error {
	t.Helper()
	_, err := testgateway.Dial(t, address, options...).Namespace("default").KeyValue().Get(t.Context(), "k")
	require.Error(t, err)
	return err
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "prism.sock")
	_, seen := teller(t, "unix:"+path, nil)
	for _, address := range []string{"unix:" + path, "unix://" + path} {
		_ = ask(t, address)
		require.Equal(t, told{"HTTP/2.0", "localhost", -1}, <-seen)
		_ = ask(t, address, client.WithProtocol(client.Connect), client.WithHTTP1())
		require.Equal(t, told{"HTTP/1.1", "localhost", -1}, <-seen)
	}
	require.Equal(t, fault.Unavailable, fault.CodeOf(ask(t, "unix:"+filepath.Join(t.TempDir(), "none.sock"))))
}

func TestWithTLS(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Server(t)
	address, seen := teller(t, "127.0.0.1:0", &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key})
	for _, to := range []string{address, "https://" + address} {
		_ = ask(t, to, client.WithTLS(authority.Trust(t)))
		require.Equal(t, told{"HTTP/2.0", address, 0}, <-seen)
	}
	_ = ask(t, address, client.WithTLS(authority.Trust(t)), client.WithProtocol(client.GRPCWeb), client.WithHTTP1())
	require.Equal(t, told{"HTTP/1.1", address, 0}, <-seen)

	for _, untrusting := range [][]client.Option{{client.WithTLS(nil)}, {client.WithTLS(testcert.New(t).Trust(t))}, nil} {
		err := ask(t, "https://"+address, untrusting...)
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		require.ErrorContains(t, err, "certificate signed by unknown authority")
	}
}

func TestWithTLSShowsACertificate(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Server(t)
	path := filepath.Join(t.TempDir(), "prism.sock")
	_, seen := teller(t, "unix:"+path, &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key, ClientCaFile: authority.File})
	// One option serves two clients.
	shown := client.WithTLS(authority.Trust(t, authority.Client(t)))
	for range 2 {
		_ = ask(t, "unix:"+path, shown)
		require.Equal(t, told{"HTTP/2.0", "localhost", 1}, <-seen)
	}
	require.Equal(t, fault.Unavailable, fault.CodeOf(ask(t, "unix:"+path, client.WithTLS(authority.Trust(t)))))
	require.Empty(t, seen)
}

func TestWithRoundTripper(t *testing.T) {
	t.Parallel()
	address := testgateway.Start(t, new(configv1.Config))
	var recorded recorder
	wrap := client.WithRoundTripper(func(next http.RoundTripper) http.RoundTripper {
		recorded.next = next
		return &recorded
	})
	brought := &http.Client{}
	for _, options := range [][]client.Option{
		{wrap},
		{wrap, client.WithProtocol(client.Connect), client.WithHTTPClient(brought)},
	} {
		_, err := testgateway.Dial(t, address, options...).Namespace("default").KeyValue().Get(t.Context(), "k")
		require.NoError(t, err)
	}
	require.Equal(t, []string{"HTTP/2.0 application/grpc default", "HTTP/1.1 application/proto default"}, recorded.seen)
	require.Nil(t, brought.Transport, "the caller's client was changed")
}

func TestOptionsThatContradict(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		address string
		options []client.Option
		says    string
	}{
		{"http://127.0.0.1:8980", []client.Option{client.WithTLS(&tls.Config{})}, "is in clear, and TLS is asked for; write https://127.0.0.1:8980"},
		{"127.0.0.1:8980", []client.Option{client.WithTLS(nil), client.WithHTTPClient(&http.Client{})}, "WithHTTPClient goes neither with WithTLS"},
		{"unix:/run/prism.sock", []client.Option{client.WithHTTPClient(&http.Client{})}, "nor with the address of a Unix socket"},
	} {
		c, err := client.Dial(test.address, test.options...)
		require.Nil(t, c)
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
		require.ErrorContains(t, err, test.says)
	}
}
