package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/httprpc"
)

// dialTimeout bounds how long it takes to reach a socket.
const dialTimeout = 10 * time.Second

// Option changes how a client reaches its gateway.
type Option interface{ apply(*settings) }

type settings struct {
	protocol Protocol
	client   *http.Client
	http1    bool
	// secure tells that WithTLS was given; tls may be nil all the same.
	secure bool
	tls    *tls.Config
	wrap   func(http.RoundTripper) http.RoundTripper
}

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// WithProtocol chooses the protocol; without it a client speaks gRPC.
func WithProtocol(protocol Protocol) Option {
	return optionFunc(func(s *settings) { s.protocol = protocol })
}

// WithTLS secures connections as a configuration says: with the authorities that it trusts, and the certificate that it shows to the gateway. nil is Go's default.
// Without this option https is secured with Go's default too. Over a Unix socket the gateway's certificate is to be for localhost, unless the configuration
// names a server.
func WithTLS(config *tls.Config) Option {
	return optionFunc(func(s *settings) { s.secure, s.tls = true, config })
}

// WithHTTPClient brings an HTTP client of one's own, with its TLS configuration, proxies and timeouts. For gRPC it must speak HTTP/2.
func WithHTTPClient(client *http.Client) Option {
	return optionFunc(func(s *settings) { s.client = client })
}

// WithRoundTripper puts something between calls and the connection: it is given the transport and returns the one that calls go through, which may add headers,
// count or trace.
func WithRoundTripper(wrap func(next http.RoundTripper) http.RoundTripper) Option {
	return optionFunc(func(s *settings) { s.wrap = wrap })
}

// WithHTTP1 speaks HTTP/1.1, for the protocols that can: Connect and gRPC-Web.
func WithHTTP1() Option {
	return optionFunc(func(s *settings) { s.http1 = true })
}

// httpClient returns the client that calls go through.
func (s settings) httpClient(to target) (*http.Client, error) {
	var result http.Client
	if s.client != nil {
		if s.secure || to.socket != "" {
			return nil, fault.New(fault.InvalidArgument, "a client of one's own dials and secures its connections itself: WithHTTPClient goes neither with WithTLS "+
				"nor with the address of a Unix socket")
		}
		if s.wrap == nil {
			return s.client, nil
		}
		result = *s.client
	} else {
		transport := httprpc.NewTransport(s.http1)
		transport.TLSClientConfig = s.tls.Clone() // the transport writes to it, and an option may be given twice
		if to.socket != "" {
			transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", to.socket)
			}
		}
		result.Transport = transport
	}
	if s.wrap != nil {
		next := result.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		result.Transport = s.wrap(next)
	}
	return &result, nil
}
