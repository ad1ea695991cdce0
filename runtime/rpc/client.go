package rpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
)

// Conn carries calls to whoever serves them: a gateway, a provider, or an implementation in this process. It may be used by many goroutines at once.
// Errors are [*fault.Error] values or the context's errors.
type Conn interface {
	// Invoke makes a unary call and fills response, which is an empty message of the method's response type.
	Invoke(ctx context.Context, m *Method, request, response proto.Message) error
	// Open starts a call of any other shape. It ends when the context does, or when both sides have ended it.
	Open(ctx context.Context, m *Method) (ClientCall, error)
}

// ClientCall is the client's end of one call. Send and CloseSend may be called by one goroutine, Receive by another.
type ClientCall interface {
	// Send writes a request. io.EOF means that the call is over; Receive then tells why.
	Send(proto.Message) error
	// CloseSend tells the server that no request follows.
	CloseSend() error
	// Receive reads the next response into an empty message. It returns io.EOF after the last one, when the call has succeeded.
	Receive(proto.Message) error
	// Close gives the call up, if it is not over yet, and frees what it holds. It may be called more than once.
	Close() error
}

// CallUnary makes a unary call.
func CallUnary[Response proto.Message](ctx context.Context, conn Conn, m *Method, request proto.Message) (Response, error) {
	response := m.NewResponse()
	if err := conn.Invoke(ctx, m, request, response); err != nil {
		var none Response
		return none, err
	}
	return response.(Response), nil
}

// CallServerStream makes a call that is answered with a stream, and gives each response to send. When send fails, the call is given up and that error is
// returned.
func CallServerStream[Response proto.Message](ctx context.Context, conn Conn, m *Method, request proto.Message, send func(Response) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.Open(ctx, m)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return receiveAll(m, stream, send)
}

// CallClientStream makes a call that takes a stream: it sends what next returns until next returns io.EOF. Another error of next gives the call up and is
// returned.
func CallClientStream[Request, Response proto.Message](ctx context.Context, conn Conn, m *Method, next func() (Request, error)) (Response, error) {
	var none Response
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.Open(ctx, m)
	if err != nil {
		return none, err
	}
	defer func() { _ = stream.Close() }()
	if err := sendAll(stream, next); err != nil {
		return none, err
	}
	response := m.NewResponse()
	if err := stream.Receive(response); err != nil {
		return none, err
	}
	// The call has succeeded only when its stream has ended well.
	if err := stream.Receive(m.NewResponse()); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fault.New(fault.Internal, "%s answered more than once", m.Procedure)
		}
		return none, err
	}
	return response.(Response), nil
}

// CallBidi makes a call with a stream each way: requests come from next until it returns io.EOF, responses go to send. The first error of either ends the
// call and is returned. next runs on a goroutine of its own; when the call ends first, its context does too, and next should then return.
func CallBidi[Request, Response proto.Message](ctx context.Context, conn Conn, m *Method, next func() (Request, error), send func(Response) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := conn.Open(ctx, m)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	go func() {
		if err := sendAll(stream, next); err != nil {
			cancel(err)
		}
	}()
	err = receiveAll(m, stream, send)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

func sendAll[Request proto.Message](stream ClientCall, next func() (Request, error)) error {
	for {
		request, err := next()
		if errors.Is(err, io.EOF) {
			return stream.CloseSend()
		}
		if err != nil {
			return err
		}
		if err := stream.Send(request); err != nil {
			if errors.Is(err, io.EOF) {
				return nil // the call is over, and Receive knows why
			}
			return err
		}
	}
}

func receiveAll[Response proto.Message](m *Method, stream ClientCall, send func(Response) error) error {
	for {
		response := m.NewResponse()
		if err := stream.Receive(response); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := send(response.(Response)); err != nil {
			return err
		}
	}
}
