// Package httprpc carries the rpc tables over HTTP with connect-go, on both sides: gRPC, Connect, gRPC-Web, and JSON by plain POST.
//
// It is the only package that knows connect-go. On the server a method becomes an [http.Handler]; on the client a base URL becomes an [rpc.Conn].
package httprpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/rpc"
)

// compressMinBytes is the size from which a response is compressed for a client that accepts it: below, the frame costs more than it saves.
const compressMinBytes = 1024

// NewHandler serves one method over HTTP. The handler is to be reached at the method's procedure; each call goes to serve.
func NewHandler(m *rpc.Method, serve rpc.ServeFunc) http.Handler { return newFront(m, serve) }

func newFront(m *rpc.Method, serve rpc.ServeFunc) *front {
	b := &binding{method: m, serve: serve}
	options := []connect.HandlerOption{
		withCodecs(),
		withCompressions(m),
		connect.WithReadMaxBytes(m.MessageLimit()),
		connect.WithCompressMinBytes(compressMinBytes),
	}
	switch m.Idempotency {
	case rpc.NoSideEffects:
		options = append(options, connect.WithIdempotency(connect.IdempotencyNoSideEffects))
	case rpc.Idempotent:
		options = append(options, connect.WithIdempotency(connect.IdempotencyIdempotent))
	case rpc.IdempotencyUnknown:
	}
	return &front{binding: b, next: b.handler(options), writer: connect.NewErrorWriter(), refused: func(*http.Request, string) {}}
}

func (b *binding) handler(options []connect.HandlerOption) http.Handler {
	switch b.method.Shape {
	case rpc.ShapeServerStream:
		return connect.NewServerStreamHandler(b.method.Procedure, b.serverStream, options...)
	case rpc.ShapeClientStream:
		return connect.NewClientStreamHandler(b.method.Procedure, b.clientStream, options...)
	case rpc.ShapeBidi:
		return connect.NewBidiStreamHandler(b.method.Procedure, b.bidi, options...)
	case rpc.ShapeUnary:
	}
	return connect.NewUnaryHandler(b.method.Procedure, b.unary, options...)
}

// binding binds a method to whatever serves it.
type binding struct {
	method *rpc.Method
	serve  rpc.ServeFunc
}

func (b *binding) unary(ctx context.Context, request *connect.Request[frame]) (*connect.Response[reply], error) {
	x := &exchange{first: request.Msg}
	if err := b.begin(ctx, x, request.Peer(), request.Header()); err != nil {
		return nil, toConnect(err, x.header, x.trailer)
	}
	return x.response()
}

func (b *binding) serverStream(ctx context.Context, request *connect.Request[frame], stream *connect.ServerStream[reply]) error {
	x := &exchange{first: request.Msg, send: stream.Send, header: stream.ResponseHeader(), trailer: stream.ResponseTrailer()}
	return b.runStream(ctx, x, request.Peer(), request.Header())
}

func (b *binding) clientStream(ctx context.Context, stream *connect.ClientStream[frame]) (*connect.Response[reply], error) {
	x := &exchange{receive: func() (*frame, error) {
		if stream.Receive() {
			return stream.Msg(), nil
		}
		if err := stream.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}}
	if err := b.begin(ctx, x, stream.Peer(), stream.RequestHeader()); err != nil {
		return nil, toConnect(err, x.header, x.trailer)
	}
	return x.response()
}

func (b *binding) bidi(ctx context.Context, stream *connect.BidiStream[frame, reply]) error {
	x := &exchange{receive: stream.Receive, send: stream.Send, header: stream.ResponseHeader(), trailer: stream.ResponseTrailer()}
	return b.runStream(ctx, x, stream.Peer(), stream.RequestHeader())
}

func (b *binding) runStream(ctx context.Context, x *exchange, peer connect.Peer, header http.Header) error {
	if err := b.begin(ctx, x, peer, header); err != nil {
		return toConnect(err)
	}
	return nil
}

// begin runs a call that connect-go has made of a request, see [front.pass].
func (b *binding) begin(ctx context.Context, x *exchange, peer connect.Peer, header http.Header) error {
	if begun, ok := ctx.Value(begunKey{}).(*bool); ok {
		*begun = true
	}
	return b.run(ctx, x, peer, header)
}

func (b *binding) run(ctx context.Context, x *exchange, peer connect.Peer, header http.Header) error {
	x.Context = ctx
	x.Call = rpc.Call{
		Method:   b.method,
		Peer:     rpc.Peer{Address: peer.Addr, Protocol: peer.Protocol},
		Header:   requestHeader(header),
		Response: x,
	}
	return b.serve(&x.CallContext, &x.Call, x)
}

// exchange is one call, as rpc.Stream and rpc.ResponseWriter.
type exchange struct {
	rpc.CallContext
	// first is the request of a shape that has one, until it is received.
	first   *frame
	receive func() (*frame, error)
	// send is nil for a shape with one response, which is kept in sent.
	send            func(*reply) error
	sent            *reply
	only            reply // what sent points to
	header, trailer http.Header
}

func (x *exchange) Receive(message proto.Message) error {
	next, err := x.next()
	if err != nil {
		return err
	}
	if err := next.decode(message); err != nil {
		return rpc.InvalidRequest(message, err)
	}
	return nil
}

// next returns the next request, encoded.
func (x *exchange) next() (*frame, error) {
	next := x.first
	switch {
	case next != nil:
		x.first = nil
	case x.receive == nil:
		return nil, io.EOF
	default:
		var err error
		if next, err = x.receive(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			if connect.CodeOf(err) == connect.CodeResourceExhausted { // connect-go's own sentence names no remedy
				return nil, x.Call.MessageTooLarge(int64(x.Call.MessageLimit()) + 1)
			}
			return nil, receiveError(err)
		}
	}
	if limit := x.Call.MaxMessageBytes; limit > 0 && len(next.encoded) > limit {
		return nil, x.Call.MessageTooLarge(int64(len(next.encoded))) // connect-go knows the method's limit only
	}
	return next, nil
}

// Raw tells whether the call is one with a request in protobuf's binary encoding.
func (x *exchange) Raw() bool {
	if x.first == nil {
		return false
	}
	_, binary := x.first.codec.(protoCodec)
	return binary
}

// ReceiveRaw returns the next request as it is.
func (x *exchange) ReceiveRaw() ([]byte, error) {
	next, err := x.next()
	if err != nil {
		return nil, err
	}
	return next.encoded, nil
}

func (x *exchange) Send(message proto.Message) error {
	if x.send == nil {
		x.only.message = message
		x.sent = &x.only
		return nil
	}
	return receiveError(x.send(&reply{message: message}))
}

// SendRaw sends a response as it is.
func (x *exchange) SendRaw(message []byte) error {
	if x.send == nil {
		x.only.encoded = bytes.Clone(message)
		x.sent = &x.only
		return nil
	}
	return receiveError(x.send(&reply{encoded: message}))
}

func (x *exchange) SetHeader(name, value string)  { made(&x.header).Set(name, value) }
func (x *exchange) AddHeader(name, value string)  { made(&x.header).Add(name, value) }
func (x *exchange) SetTrailer(name, value string) { made(&x.trailer).Set(name, value) }
func (x *exchange) AddTrailer(name, value string) { made(&x.trailer).Add(name, value) }

// made is a header that is made when it is first written to: most responses have none.
func made(header *http.Header) http.Header {
	if *header == nil {
		*header = make(http.Header)
	}
	return *header
}

func (x *exchange) response() (*connect.Response[reply], error) {
	if x.sent == nil {
		return nil, connect.NewError(connect.CodeInternal, errors.New("the handler gave no response"))
	}
	response := connect.NewResponse(x.sent)
	for name, values := range x.header {
		response.Header()[name] = values
	}
	for name, values := range x.trailer {
		response.Trailer()[name] = values
	}
	return response, nil
}
