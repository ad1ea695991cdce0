package client_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/client"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestDialTakesAnAddressOrAURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"127.0.0.1:8980", "localhost:0", "gateway.example.com:65535", "[::1]:8980", "http://127.0.0.1:8980", "http://127.0.0.1:8980/", "https://gateway.example.com",
		"unix:/run/prism.sock", "unix:///run/prism.sock", "unix:prism.sock", "unix:/run/a?b#c@d",
	} {
		c, err := client.Dial(address)
		require.NoError(t, err, address)
		require.NoError(t, c.Close())
	}
}

func TestDialRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	const (
		form   = "is not the address of a gateway; it is host:port, http://host:port, https://host:port or unix:/path"
		extra  = "the address of a gateway has no user, no query and no fragment; it is host:port, http://host:port, https://host:port or unix:/path"
		socket = "names no socket; it is host:port, http://host:port, https://host:port or unix:/path"
		port   = "is not a number from 0 to 65535"
	)
	for _, test := range []struct{ address, says string }{
		{"", form},
		{"http://", form},
		{"ftp://example.com", form},
		{"http://127.0.0.1:8980/prism", form},
		{"127.0.0.1:port", form},
		{"127.0.0.1:-1", form},
		{"a b:8980", form},
		{"127.0.0.1:8980\n", form},
		{"127.0.0.1:65536", port},
		{"https://127.0.0.1:99999999999999999999", port},
		{"ada@127.0.0.1:8980", extra},
		{"https://ada:secret@127.0.0.1:8980", extra},
		{"http://127.0.0.1:8980?", extra},
		{"http://127.0.0.1:8980/?namespace=default", extra},
		{"127.0.0.1:8980#", extra},
		{"http://127.0.0.1:8980/#top", extra},
		{"unix:", socket},
		{"unix://", socket},
		{"unix://run/prism.sock", socket},
		{"unix:/run/\x00", socket},
	} {
		c, err := client.Dial(test.address)
		require.Nil(t, c, test.address)
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), test.address)
		require.ErrorContains(t, err, test.says, test.address)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := client.Dial("127.0.0.1:8980", client.WithProtocol("soap"))
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	require.ErrorContains(t, err, `unknown protocol "soap"; it is one of grpc, grpcweb, connect`)
}

// recorder is an HTTP client's transport that remembers what it was given.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []string
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, response.Proto+" "+request.Header.Get("Content-Type")+" "+request.Header.Get(rpc.NamespaceHeader))
	}
	return response, err
}

func TestProtocolsAndHTTPClients(t *testing.T) {
	t.Parallel()
	address := testgateway.Start(t, new(configv1.Config))
	for _, test := range []struct {
		name    string
		options []client.Option
		http1   bool
		want    string
	}{
		{"gRPC is the default", nil, false, "HTTP/2.0 application/grpc default"},
		{"gRPC", []client.Option{client.WithProtocol(client.GRPC)}, false, "HTTP/2.0 application/grpc default"},
		{"gRPC-Web", []client.Option{client.WithProtocol(client.GRPCWeb)}, false, "HTTP/2.0 application/grpc-web+proto default"},
		{"Connect", []client.Option{client.WithProtocol(client.Connect)}, false, "HTTP/2.0 application/proto default"},
		{"gRPC-Web over HTTP/1.1", []client.Option{client.WithProtocol(client.GRPCWeb)}, true, "HTTP/1.1 application/grpc-web+proto default"},
		{"Connect over HTTP/1.1", []client.Option{client.WithProtocol(client.Connect)}, true, "HTTP/1.1 application/proto default"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			httpClient := httprpc.NewHTTPClient(test.http1)
			recorded := &recorder{next: httpClient.Transport}
			httpClient.Transport = recorded
			kv := testgateway.Dial(t, address, append(test.options, client.WithHTTPClient(httpClient))...).Namespace("default").KeyValue()
			key := test.name + "/key"
			_, err := kv.Set(t.Context(), key, []byte("value"))
			require.NoError(t, err)
			require.Equal(t, []string{test.want}, recorded.seen)
			answer, err := kv.Get(t.Context(), key)
			require.NoError(t, err)
			require.Equal(t, []byte("value"), answer.GetValue())
			keys := 0
			for entry, err := range kv.Scan(t.Context(), test.name+"/") {
				require.NoError(t, err)
				require.Equal(t, key, entry.GetKey())
				keys++
			}
			require.Equal(t, 1, keys)
		})
	}
}

func TestWithHTTP1SpeaksHTTP1(t *testing.T) {
	t.Parallel()
	protocols := make(chan string, 1)
	server := http1Server(t, protocols)
	for _, protocol := range []client.Protocol{client.Connect, client.GRPCWeb} {
		c := testgateway.Dial(t, server, client.WithProtocol(protocol), client.WithHTTP1())
		_, err := c.Namespace("default").KeyValue().Get(t.Context(), "k")
		require.Error(t, err) // the server knows no RPC
		require.Equal(t, "HTTP/1.1", <-protocols)
	}
	c := testgateway.Dial(t, server, client.WithProtocol(client.Connect))
	_, err := c.Namespace("default").KeyValue().Get(t.Context(), "k")
	require.Error(t, err)
	require.Equal(t, "HTTP/2.0", <-protocols)
}

// http1Server answers 404 to everything and tells the protocol that it was asked over.
func http1Server(t *testing.T, protocols chan<- string) string {
	t.Helper()
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		Protocols: new(http.Protocols),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			protocols <- request.Proto
			http.NotFound(w, request)
		}),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func TestNamespaceAndConnAddressANamespace(t *testing.T) {
	t.Parallel()
	c := testgateway.Dial(t, testgateway.Start(t, new(configv1.Config)))
	_, err := c.Namespace("default").KeyValue().Set(t.Context(), "k", []byte("v"))
	require.NoError(t, err)

	// A generated client over the bare connection sees the same data.
	answer, err := keyvaluerpc.NewBasicClient(c.Conn("default")).Get(t.Context(), &keyvaluev1.GetRequest{Key: "k"})
	require.NoError(t, err)
	require.Equal(t, []byte("v"), answer.GetValue())

	// Two namespaces of one client do not get in each other's way.
	_, err = c.Namespace("nowhere").KeyValue().Get(t.Context(), "k")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.ErrorContains(t, err, `"nowhere"`)
	_, err = c.Namespace("").KeyValue().Get(t.Context(), "k")
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	_, err = c.Namespace("default").KeyValue().Get(t.Context(), "k")
	require.NoError(t, err)
}

func TestACallGoesOnAfterClose(t *testing.T) {
	t.Parallel()
	c := testgateway.Dial(t, testgateway.Start(t, new(configv1.Config)))
	kv := c.Namespace("default").KeyValue()
	_, err := kv.Set(t.Context(), "k", []byte("v"))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = kv.Get(t.Context(), "k")
	require.NoError(t, err, "Close closes idle connections; a call dials anew")
}

func TestAGatewayThatIsNotThereIsUnavailable(t *testing.T) {
	t.Parallel()
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	_, err = testgateway.Dial(t, listener.Addr().String()).Namespace("default").KeyValue().Get(t.Context(), "k")
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
}
