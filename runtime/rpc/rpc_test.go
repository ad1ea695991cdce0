package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/rpc"
)

// text is the message of all test methods.
type text = wrapperspb.StringValue

func method(name string, shape rpc.Shape) *rpc.Method {
	return &rpc.Method{
		Procedure: "/test.Echo/" + name, Service: "test.Echo", Name: name, Shape: shape,
		NewRequest:  func() proto.Message { return new(text) },
		NewResponse: func() proto.Message { return new(text) },
	}
}

// The test service: one method of each shape.
var (
	upper   = method("Upper", rpc.ShapeUnary)
	repeat  = method("Repeat", rpc.ShapeServerStream)
	join    = method("Join", rpc.ShapeClientStream)
	chat    = method("Chat", rpc.ShapeBidi)
	missing = method("Missing", rpc.ShapeUnary)
)

// echo answers as its fields say; a nil field answers with what was asked.
type echo struct {
	upper  func(context.Context, *text) (*text, error)
	repeat func(context.Context, *text, func(*text) error) error
	join   func(context.Context, func() (*text, error)) (*text, error)
	chat   func(context.Context, func() (*text, error), func(*text) error) error
}

func (e echo) handlers() []rpc.Handler {
	if e.upper == nil {
		e.upper = func(_ context.Context, request *text) (*text, error) { return request, nil }
	}
	if e.repeat == nil {
		e.repeat = repeatThrice
	}
	if e.join == nil {
		e.join = joinAll
	}
	if e.chat == nil {
		e.chat = answerEach
	}
	return []rpc.Handler{rpc.Unary(upper, e.upper), rpc.ServerStream(repeat, e.repeat), rpc.ClientStream(join, e.join), rpc.Bidi(chat, e.chat)}
}

func repeatThrice(_ context.Context, request *text, send func(*text) error) error {
	for i := range 3 {
		if err := send(wrapperspb.String(fmt.Sprint(request.GetValue(), i))); err != nil {
			return err
		}
	}
	return nil
}

func joinAll(_ context.Context, receive func() (*text, error)) (*text, error) {
	joined := ""
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return wrapperspb.String(joined), nil
		}
		if err != nil {
			return nil, err
		}
		joined += request.GetValue()
	}
}

func answerEach(_ context.Context, receive func() (*text, error), send func(*text) error) error {
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(wrapperspb.String("re " + request.GetValue())); err != nil {
			return err
		}
	}
}

// each returns a function that returns the values one by one, and then io.EOF.
func each(values ...string) func() (*text, error) {
	return func() (*text, error) {
		if len(values) == 0 {
			return nil, io.EOF
		}
		value := values[0]
		values = values[1:]
		return wrapperspb.String(value), nil
	}
}

// collect returns a send function that keeps values.
func collect(values *[]string) func(*text) error {
	return func(response *text) error {
		*values = append(*values, response.GetValue())
		return nil
	}
}
