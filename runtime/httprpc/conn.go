package httprpc

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// Protocol is what a client speaks.
type Protocol string

// The protocols.
const (
	GRPC    Protocol = "grpc"
	GRPCWeb Protocol = "grpcweb"
	Connect Protocol = "connect"
)

// Conn is an rpc.Conn over HTTP. It dials when it is first used and redials by itself.
type Conn struct {
	shared *shared
	header http.Header
}

// shared is what a Conn and those derived from it have in common.
type shared struct {
	client  connect.HTTPClient
	base    string
	options []connect.ClientOption
	// methods holds a *connect.Client[reply, frame] per *rpc.Method.
	methods sync.Map
}

// NewConn returns a connection to a base URL such as "http://127.0.0.1:8980". It calls through the client, which must speak HTTP/2 for gRPC; see
// [NewHTTPClient].
func NewConn(client connect.HTTPClient, base string, protocol Protocol) (*Conn, error) {
	// One codec: a client sends what its last codec encodes.
	options := []connect.ClientOption{
		connect.WithCodec(protoCodec{}),
		// Values are as often compressed already, and a gateway is near.
		connect.WithAcceptCompression("gzip", nil, nil),
	}
	switch protocol {
	case GRPC:
		options = append(options, connect.WithGRPC())
	case GRPCWeb:
		options = append(options, connect.WithGRPCWeb())
	case Connect:
	default:
		return nil, fault.New(fault.InvalidArgument, "unknown protocol %q; it is one of grpc, grpcweb, connect", string(protocol))
	}
	return &Conn{shared: &shared{client: client, base: base, options: options}}, nil
}

// NewHTTPClient returns an HTTP client for a Conn: HTTP/2 in clear for http URLs and by ALPN for https, or HTTP/1.1 alone.
func NewHTTPClient(http1 bool) *http.Client { return &http.Client{Transport: NewTransport(http1)} }

// NewTransport returns the transport of [NewHTTPClient], for those who dial or secure connections in their own way.
func NewTransport(http1 bool) *http.Transport {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     5 * time.Minute,
		MaxIdleConnsPerHost: 64,
		DisableCompression:  true,
		Protocols:           new(http.Protocols),
		// A peer that is gone without a word is noticed by a ping that it does not answer.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	if http1 {
		transport.Protocols.SetHTTP1(true)
	} else {
		transport.Protocols.SetHTTP2(true)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return transport
}

// WithHeader returns a connection that sends a header field with every call. The two share everything else.
func (c *Conn) WithHeader(name, value string) *Conn {
	header := c.header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	header.Set(name, value)
	return &Conn{shared: c.shared, header: header}
}

// Close closes the connections that are idle.
func (c *Conn) Close() error {
	if closer, ok := c.shared.client.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
	return nil
}

// Invoke makes a unary call.
func (c *Conn) Invoke(ctx context.Context, m *rpc.Method, request, response proto.Message) error {
	reply, err := c.method(m).CallUnary(ctx, c.request(request))
	if err != nil {
		return callError(ctx, err)
	}
	return decode(reply.Msg, response)
}

// Open starts a call of any other shape.
func (c *Conn) Open(ctx context.Context, m *rpc.Method) (rpc.ClientCall, error) {
	switch m.Shape {
	case rpc.ShapeServerStream:
		return newServerStreamCall(ctx, c, m), nil
	case rpc.ShapeClientStream:
		return newClientStreamCall(ctx, c, m), nil
	case rpc.ShapeBidi:
		return newBidiCall(ctx, c, m), nil
	case rpc.ShapeUnary:
	}
	return nil, fault.New(fault.Internal, "%s is unary; it is called with Invoke", m.Procedure)
}

func (c *Conn) method(m *rpc.Method) *connect.Client[reply, frame] {
	if client, ok := c.shared.methods.Load(m); ok {
		return client.(*connect.Client[reply, frame])
	}
	options := append([]connect.ClientOption{connect.WithReadMaxBytes(m.MessageLimit())}, c.shared.options...)
	client, _ := c.shared.methods.LoadOrStore(m, connect.NewClient[reply, frame](c.shared.client, c.shared.base+m.Procedure, options...))
	return client.(*connect.Client[reply, frame])
}

func (c *Conn) request(message proto.Message) *connect.Request[reply] {
	request := connect.NewRequest(&reply{message: message})
	c.setHeader(request.Header())
	return request
}

func (c *Conn) setHeader(header http.Header) {
	for name, values := range c.header {
		header[name] = values
	}
}

func decode(f *frame, message proto.Message) error {
	if err := f.decode(message); err != nil {
		return fault.Wrap(err, fault.Internal, "", "the response is not a valid %s", message.ProtoReflect().Descriptor().FullName())
	}
	return nil
}
