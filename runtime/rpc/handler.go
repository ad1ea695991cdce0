package rpc

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"
)

// Stream is the server's end of one call, as a transport gives it. Receive and Send may be called by one goroutine each.
//
// A unary call is a stream too: it receives one message and sends one. Messages are decoded by Receive, so that whatever stands before a handler can
// refuse a call without paying for its message.
type Stream interface {
	// Receive reads the next request into an empty message. It returns io.EOF after the last one.
	Receive(proto.Message) error
	// Send writes a response. The message must not be changed afterwards. An error means that the call is over.
	Send(proto.Message) error
}

// ServeFunc serves one call of any shape. The call is also in the context, for [CallFrom].
type ServeFunc func(ctx context.Context, call *Call, stream Stream) error

// Middleware puts something around a ServeFunc. It is applied once, when a chain is built, not once per call.
type Middleware func(next ServeFunc) ServeFunc

// Chain applies middleware to a ServeFunc; the first one is the outermost.
func Chain(last ServeFunc, middleware ...Middleware) ServeFunc {
	for i := len(middleware) - 1; i >= 0; i-- {
		last = middleware[i](last)
	}
	return last
}

// Handler is an implementation of one method, free of any transport. Make one with [Unary], [ServerStream], [ClientStream] or [Bidi]; generated code makes those of an
// interface once, with [UnaryOf] and its like, and gives them an implementation with [Bind]: a gateway has a handler for every method of every namespace, and what is made
// for each would be most of what its memory is made of.
type Handler struct {
	// Method is what is implemented.
	Method *Method
	// implementation is what the functions below are given first.
	implementation any
	// unary answers one request; set when the method's shape is unary.
	unary func(implementation any, ctx context.Context, request proto.Message) (proto.Message, error) //nolint:revive // the implementation is the receiver
	// stream serves the other shapes.
	stream func(implementation any, ctx context.Context, stream Stream) error //nolint:revive // as above
	// relay serves calls whose messages need not be decoded; nil when there is none. See [Relayed].
	relay Relay
}

// Call answers a request of a unary method without a stream. The request's type must be the method's.
func (h Handler) Call(ctx context.Context, request proto.Message) (proto.Message, error) {
	return h.unary(h.implementation, ctx, request)
}

// Serve serves one call: it receives, calls the implementation, and sends.
func (h Handler) Serve(ctx context.Context, stream Stream) error {
	if raw, ok := h.relayable(stream); ok {
		return h.relay.Relay(ctx, h.Method, raw)
	}
	if h.unary == nil {
		return h.stream(h.implementation, ctx, stream)
	}
	request := h.Method.NewRequest()
	if err := stream.Receive(request); err != nil {
		return err
	}
	response, err := h.unary(h.implementation, ctx, request)
	if err != nil {
		return err
	}
	return stream.Send(response)
}

// Bind returns handlers that [UnaryOf] and its like have made, with what implements their methods.
func Bind(handlers []Handler, implementation any) []Handler {
	bound := slices.Clone(handlers)
	for i := range bound {
		bound[i].implementation = implementation
	}
	return bound
}

// UnaryOf makes the handler of a unary method that is still to be given its implementation: fn is the method's expression, such as Basic.Get.
func UnaryOf[Implementation any, Request, Response proto.Message](m *Method, fn func(Implementation, context.Context, Request) (Response, error)) Handler {
	return Handler{Method: m, unary: func(implementation any, ctx context.Context, request proto.Message) (proto.Message, error) {
		response, err := fn(implementation.(Implementation), ctx, request.(Request))
		if err != nil {
			return nil, err
		}
		return response, nil
	}}
}

// ServerStreamOf is [UnaryOf] for a method that answers with a stream.
func ServerStreamOf[Implementation any, Request, Response proto.Message](
	m *Method, fn func(Implementation, context.Context, Request, func(Response) error) error,
) Handler {
	return Handler{Method: m, stream: func(implementation any, ctx context.Context, stream Stream) error {
		request := m.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		return fn(implementation.(Implementation), ctx, request.(Request), sender[Response](stream))
	}}
}

// ClientStreamOf is [UnaryOf] for a method that takes a stream; receive returns io.EOF after the last request.
func ClientStreamOf[Implementation any, Request, Response proto.Message](
	m *Method, fn func(implementation Implementation, ctx context.Context, receive func() (Request, error)) (Response, error), //nolint:revive // a method's expression
) Handler {
	return Handler{Method: m, stream: func(implementation any, ctx context.Context, stream Stream) error {
		response, err := fn(implementation.(Implementation), ctx, receiver[Request](m, stream))
		if err != nil {
			return err
		}
		return stream.Send(response)
	}}
}

// BidiOf is [UnaryOf] for a method that takes a stream and answers with one.
func BidiOf[Implementation any, Request, Response proto.Message](
	m *Method, fn func(implementation Implementation, ctx context.Context, receive func() (Request, error), send func(Response) error) error, //nolint:revive // as above
) Handler {
	return Handler{Method: m, stream: func(implementation any, ctx context.Context, stream Stream) error {
		return fn(implementation.(Implementation), ctx, receiver[Request](m, stream), sender[Response](stream))
	}}
}

// Unary makes the handler of a unary method.
func Unary[Request, Response proto.Message](m *Method, fn func(context.Context, Request) (Response, error)) Handler {
	return unbound(UnaryOf(m, func(_ struct{}, ctx context.Context, request Request) (Response, error) { return fn(ctx, request) }))
}

// ServerStream makes the handler of a method that answers with a stream.
func ServerStream[Request, Response proto.Message](m *Method, fn func(context.Context, Request, func(Response) error) error) Handler {
	return unbound(ServerStreamOf(m, func(_ struct{}, ctx context.Context, request Request, send func(Response) error) error {
		return fn(ctx, request, send)
	}))
}

// ClientStream makes the handler of a method that takes a stream; receive returns io.EOF after the last request.
func ClientStream[Request, Response proto.Message](m *Method, fn func(ctx context.Context, receive func() (Request, error)) (Response, error)) Handler {
	return unbound(ClientStreamOf(m, func(_ struct{}, ctx context.Context, receive func() (Request, error)) (Response, error) {
		return fn(ctx, receive)
	}))
}

// Bidi makes the handler of a method that takes a stream and answers with one.
func Bidi[Request, Response proto.Message](m *Method, fn func(ctx context.Context, receive func() (Request, error), send func(Response) error) error) Handler {
	return unbound(BidiOf(m, func(_ struct{}, ctx context.Context, receive func() (Request, error), send func(Response) error) error {
		return fn(ctx, receive, send)
	}))
}

// unbound gives a handler an implementation that is none: its function has what it needs.
func unbound(h Handler) Handler {
	h.implementation = struct{}{}
	return h
}

func sender[Response proto.Message](stream Stream) func(Response) error {
	return func(response Response) error { return stream.Send(response) }
}

func receiver[Request proto.Message](m *Method, stream Stream) func() (Request, error) {
	return func() (Request, error) {
		request := m.NewRequest()
		if err := stream.Receive(request); err != nil {
			var none Request
			return none, err
		}
		return request.(Request), nil
	}
}
