// Package client is Prism's Go SDK: it dials a gateway and calls its namespaces with typed methods.
//
//	c, err := client.Dial("127.0.0.1:8980")
//	...
//	videos := c.Namespace("videos").KeyValue()
//	_, err = videos.Set(ctx, "intro", []byte("..."))
//	for entry, err := range videos.Scan(ctx, "in") { ... }
//
// Errors carry a gRPC code: [fault.CodeOf].
package client

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/prismgate/prism/gen/go/sdk"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// Protocol is what a client speaks to the gateway.
type Protocol = httprpc.Protocol

// The protocols. The gateway speaks all of them on its one port.
const (
	GRPC    = httprpc.GRPC
	GRPCWeb = httprpc.GRPCWeb
	Connect = httprpc.Connect
)

// Client calls one gateway. It may be used by many goroutines at once, and should be shared by them.
type Client struct{ conn *httprpc.Conn }

// Dial returns a client of the gateway at an address: "host:port" in clear, or a URL with the scheme http or https. It does not connect; the first call does.
func Dial(address string, options ...Option) (*Client, error) {
	var settings settings
	for _, option := range options {
		option.apply(&settings)
	}
	base, err := baseURL(address)
	if err != nil {
		return nil, err
	}
	if settings.protocol == "" {
		settings.protocol = GRPC
	}
	if settings.client == nil {
		settings.client = httprpc.NewHTTPClient(settings.http1)
	}
	conn, err := httprpc.NewConn(settings.client, base, settings.protocol)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn}, nil
}

// Namespace returns the typed methods of a namespace.
func (c *Client) Namespace(name string) *sdk.Namespace { return sdk.NewNamespace(c.Conn(name)) }

// Conn returns a connection whose calls address a namespace, for clients that are generated elsewhere.
func (c *Client) Conn(namespace string) rpc.Conn {
	return c.conn.WithHeader(rpc.NamespaceHeader, namespace)
}

// Close closes idle connections. Calls under way go on.
func (c *Client) Close() error { return c.conn.Close() }

// addressForm says what an address looks like.
const addressForm = "it is host:port, http://host:port or https://host:port"

func baseURL(address string) (string, error) {
	if strings.ContainsAny(address, "@?#") {
		// The address is not repeated: a user may come with a password.
		return "", fault.New(fault.InvalidArgument, "the address of a gateway has no user, no query and no fragment; %s", addressForm)
	}
	full := address
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return "", fault.New(fault.InvalidArgument, "%q is not the address of a gateway; %s", address, addressForm)
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return "", fault.New(fault.InvalidArgument, "the port of %q is not a number from 0 to 65535", address)
		}
	}
	return u.Scheme + "://" + u.Host, nil
}

// Option changes how a client reaches its gateway.
type Option interface{ apply(*settings) }

type settings struct {
	protocol Protocol
	client   *http.Client
	http1    bool
}

type optionFunc func(*settings)

func (f optionFunc) apply(s *settings) { f(s) }

// WithProtocol chooses the protocol; without it a client speaks gRPC.
func WithProtocol(protocol Protocol) Option {
	return optionFunc(func(s *settings) { s.protocol = protocol })
}

// WithHTTPClient brings an HTTP client of one's own, with its TLS configuration, proxies and timeouts. For gRPC it must speak HTTP/2.
func WithHTTPClient(client *http.Client) Option {
	return optionFunc(func(s *settings) { s.client = client })
}

// WithHTTP1 speaks HTTP/1.1, for the protocols that can: Connect and gRPC-Web.
func WithHTTP1() Option {
	return optionFunc(func(s *settings) { s.http1 = true })
}
