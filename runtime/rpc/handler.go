package rpc

import (
	"context"

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

// Handler is an implementation of one method, free of any transport. Make one with [Unary], [ServerStream], [ClientStream] or [Bidi]; generated code does,
// for every method of an interface.
type Handler struct {
	// Method is what is implemented.
	Method *Method
	// unary answers one request; set when the method's shape is unary.
	unary func(ctx context.Context, request proto.Message) (proto.Message, error)
	// stream serves the other shapes.
	stream func(ctx context.Context, stream Stream) error
}

// Call answers a request of a unary method without a stream. The request's type must be the method's.
func (h Handler) Call(ctx context.Context, request proto.Message) (proto.Message, error) {
	return h.unary(ctx, request)
}

// Serve serves one call: it receives, calls the implementation, and sends.
func (h Handler) Serve(ctx context.Context, stream Stream) error {
	if h.unary == nil {
		return h.stream(ctx, stream)
	}
	request := h.Method.NewRequest()
	if err := stream.Receive(request); err != nil {
		return err
	}
	response, err := h.unary(ctx, request)
	if err != nil {
		return err
	}
	return stream.Send(response)
}

// Unary makes the handler of a unary method.
func Unary[Request, Response proto.Message](m *Method, fn func(context.Context, Request) (Response, error)) Handler {
	return Handler{Method: m, unary: func(ctx context.Context, request proto.Message) (proto.Message, error) {
		response, err := fn(ctx, request.(Request))
		if err != nil {
			return nil, err
		}
		return response, nil
	}}
}

// ServerStream makes the handler of a method that answers with a stream.
func ServerStream[Request, Response proto.Message](m *Method, fn func(context.Context, Request, func(Response) error) error) Handler {
	return Handler{Method: m, stream: func(ctx context.Context, stream Stream) error {
		request := m.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		return fn(ctx, request.(Request), func(response Response) error { return stream.Send(response) })
	}}
}

// ClientStream makes the handler of a method that takes a stream; receive returns io.EOF after the last request.
func ClientStream[Request, Response proto.Message](m *Method, fn func(ctx context.Context, receive func() (Request, error)) (Response, error)) Handler {
	return Handler{Method: m, stream: func(ctx context.Context, stream Stream) error {
		response, err := fn(ctx, receiver[Request](m, stream))
		if err != nil {
			return err
		}
		return stream.Send(response)
	}}
}

// Bidi makes the handler of a method that takes a stream and answers with one.
func Bidi[Request, Response proto.Message](m *Method, fn func(ctx context.Context, receive func() (Request, error), send func(Response) error) error) Handler {
	return Handler{Method: m, stream: func(ctx context.Context, stream Stream) error {
		return fn(ctx, receiver[Request](m, stream), func(response Response) error { return stream.Send(response) })
	}}
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
