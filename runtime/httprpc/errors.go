package httprpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/prismgate/prism/runtime/fault"
)

// toConnect makes of an error what goes over the wire: the public part of it, with the response's header and trailer.
func toConnect(err error, meta ...http.Header) error {
	public := fault.Public(err)
	wire := connect.NewError(connect.Code(public.Code), errors.New(public.Message))
	for _, detail := range public.Details {
		if d, err := connect.NewErrorDetail(detail); err == nil {
			wire.AddDetail(d)
		}
	}
	for _, header := range meta {
		for name, values := range header {
			wire.Meta()[name] = append(wire.Meta()[name], values...)
		}
	}
	return wire
}

// callError makes a fault of the error that ended a client's call in the context. io.EOF, the end of a stream, passes.
func callError(ctx context.Context, err error) error {
	var wire *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && !errors.As(err, &wire):
		return err
	case !errors.As(err, &wire):
		return fault.Wrap(err, fault.Unavailable, "", "the call broke off: %s", err.Error())
	case !connect.IsWireError(err):
		return localError(ctx, wire)
	}
	received := &fault.Error{Code: min(fault.Code(wire.Code()), fault.MaxCode+1), Message: wire.Message()}
	if received.Code > fault.MaxCode || received.Code == fault.OK {
		received.Code = fault.Unknown
	}
	if received.Code == fault.DeadlineExceeded {
		received.Cause = context.DeadlineExceeded // the server's clock was ahead of ours
	}
	received.Details = details(wire)
	return received
}

// anyPrefix stands before the name of a message in the type of an Any; connect-go takes it away.
const anyPrefix = "type.googleapis.com/"

// details are the messages that an error carries. One whose type this program does not know stays an Any.
func details(wire *connect.Error) []proto.Message {
	var messages []proto.Message
	for _, detail := range wire.Details() {
		message, err := detail.Value()
		if err != nil {
			name := detail.Type()
			if !strings.Contains(name, "/") {
				name = anyPrefix + name
			}
			message = &anypb.Any{TypeUrl: name, Value: detail.Bytes()}
		}
		messages = append(messages, message)
	}
	return messages
}

// localError makes a fault of an error that did not come from the server. connect-go calls a connection that was reset canceled, and one that ended within a message
// internal or invalid; only the caller's context tells whether somebody canceled.
func localError(ctx context.Context, err *connect.Error) error {
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.Canceled):
		return fault.Wrap(ended, fault.Canceled, "", "the call was canceled")
	case errors.Is(ended, context.DeadlineExceeded), err.Code() == connect.CodeDeadlineExceeded && errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(context.DeadlineExceeded, fault.DeadlineExceeded, "", "the call's deadline has passed")
	case err.Code() == connect.CodeCanceled, err.Code() == connect.CodeDeadlineExceeded, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.Wrap(err, fault.Unavailable, "", "the connection to the gateway was lost: %s", err.Message())
	}
	return fault.Wrap(err, fault.Code(err.Code()), "", "%s", err.Message())
}

// receiveError makes a fault of an error that connect-go gave a handler when it received or sent.
func receiveError(err error) error {
	var wire *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(err, fault.InvalidArgument, "", "the request ended before its message was complete")
	case errors.As(err, &wire):
		return &fault.Error{Code: fault.Code(wire.Code()), Message: wire.Message(), Cause: err, Details: details(wire)}
	}
	return err
}
