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
	"github.com/prismgate/prism/gen/go/sdk"
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

// Dial returns a client of the gateway at an address: "host:port", a URL with the scheme http or https, or "unix:" and the path of a socket. Without a scheme it
// is in clear unless [WithTLS] is given. Dial does not connect; the first call does.
func Dial(address string, options ...Option) (*Client, error) {
	var settings settings
	for _, option := range options {
		option.apply(&settings)
	}
	to, err := parseTarget(address, settings.secure)
	if err != nil {
		return nil, err
	}
	httpClient, err := settings.httpClient(to)
	if err != nil {
		return nil, err
	}
	if settings.protocol == "" {
		settings.protocol = GRPC
	}
	conn, err := httprpc.NewConn(httpClient, to.base, settings.protocol)
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
