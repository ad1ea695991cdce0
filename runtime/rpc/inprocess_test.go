package rpc_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// Each test runs in a bubble, which fails it when a goroutine of it is left over.

func TestEveryShapeInProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := rpc.InProcess(echo{}.handlers())

		response, err := rpc.CallUnary[*text](t.Context(), conn, upper, wrapperspb.String("a"))
		require.NoError(t, err)
		require.Equal(t, "a", response.GetValue())

		var streamed []string
		require.NoError(t, rpc.CallServerStream(t.Context(), conn, repeat, wrapperspb.String("a"), collect(&streamed)))
		require.Equal(t, []string{"a0", "a1", "a2"}, streamed)

		joined, err := rpc.CallClientStream[*text, *text](t.Context(), conn, join, each("a", "b", "c"))
		require.NoError(t, err)
		require.Equal(t, "abc", joined.GetValue())

		var answers []string
		require.NoError(t, rpc.CallBidi(t.Context(), conn, chat, each("a", "b"), collect(&answers)))
		require.Equal(t, []string{"re a", "re b"}, answers)
	})
}

func TestUnaryCanBeOpenedAsAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		call, err := rpc.InProcess(echo{}.handlers()).Open(t.Context(), upper)
		require.NoError(t, err)
		require.NoError(t, call.Send(wrapperspb.String("a")))
		require.NoError(t, call.CloseSend())
		var response text
		require.NoError(t, call.Receive(&response))
		require.Equal(t, "a", response.GetValue())
		require.Equal(t, io.EOF, call.Receive(&response))
		require.NoError(t, call.Close())
		require.NoError(t, call.Close(), "Close may be called more than once")
	})
}

func TestMessagesAreSharedAndNotCopied(t *testing.T) {
	t.Parallel()
	payload := []byte("payload")
	bytesMethod := &rpc.Method{
		Procedure: "/test.Echo/Bytes", Name: "Bytes",
		NewRequest:  func() proto.Message { return new(wrapperspb.BytesValue) },
		NewResponse: func() proto.Message { return new(wrapperspb.BytesValue) },
	}
	conn := rpc.InProcess([]rpc.Handler{
		rpc.Unary(bytesMethod, func(_ context.Context, request *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			return request, nil
		}),
	})
	response, err := rpc.CallUnary[*wrapperspb.BytesValue](t.Context(), conn, bytesMethod, wrapperspb.Bytes(payload))
	require.NoError(t, err)
	require.Same(t, &payload[0], &response.GetValue()[0])
}

func TestUnknownMethodsAreUnimplemented(t *testing.T) {
	t.Parallel()
	conn := rpc.InProcess(nil)
	_, err := rpc.CallUnary[*text](t.Context(), conn, missing, new(text))
	require.Equal(t, fault.Unimplemented, fault.CodeOf(err))
	err = rpc.CallServerStream(t.Context(), conn, repeat, new(text), func(*text) error { return nil })
	require.Equal(t, fault.Unimplemented, fault.CodeOf(err))
	_, err = rpc.CallClientStream[*text, *text](t.Context(), conn, join, each())
	require.Equal(t, fault.Unimplemented, fault.CodeOf(err))
	require.Equal(t, fault.Unimplemented, fault.CodeOf(rpc.CallBidi(t.Context(), conn, chat, each(), func(*text) error { return nil })))
}

func TestInvokeOfAStreamIsADefect(t *testing.T) {
	t.Parallel()
	_, err := rpc.CallUnary[*text](t.Context(), rpc.InProcess(echo{}.handlers()), repeat, new(text))
	require.Equal(t, fault.Internal, fault.CodeOf(err))
}

func TestAnotherMessageTypeIsADefect(t *testing.T) {
	t.Parallel()
	err := rpc.InProcess(echo{}.handlers()).Invoke(t.Context(), upper, wrapperspb.String("a"), new(emptypb.Empty))
	require.Equal(t, fault.Internal, fault.CodeOf(err))
}

func TestErrorsOfTheImplementationReachTheClient(t *testing.T) {
	t.Parallel()
	exhausted := fault.New(fault.ResourceExhausted, "full").WithReason("QUOTA")
	defect := errors.New("a driver's error")
	wrapped := fault.Wrap(context.Canceled, fault.Unavailable, "test.Upper", "gone")
	for _, c := range []struct {
		name string
		err  error
		code fault.Code
	}{
		{"fault", exhausted, fault.ResourceExhausted},
		{"defect", defect, fault.Internal},
		{"canceled", context.Canceled, fault.Canceled},
		{"deadline", context.DeadlineExceeded, fault.DeadlineExceeded},
		{"fault around a context error", wrapped, fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { requireFails(t, c.err, c.code) })
		})
	}
}

// requireFails makes a call of each shape to an implementation that fails at once.
func requireFails(t *testing.T, failure error, code fault.Code) {
	t.Helper()
	conn := rpc.InProcess(echo{
		upper:  func(context.Context, *text) (*text, error) { return nil, failure },
		repeat: func(context.Context, *text, func(*text) error) error { return failure },
		join:   func(context.Context, func() (*text, error)) (*text, error) { return nil, failure },
		chat:   func(context.Context, func() (*text, error), func(*text) error) error { return failure },
	}.handlers())
	_, unary := rpc.CallUnary[*text](t.Context(), conn, upper, new(text))
	serverStream := rpc.CallServerStream(t.Context(), conn, repeat, new(text), func(*text) error { return nil })
	_, clientStream := rpc.CallClientStream[*text, *text](t.Context(), conn, join, each("a", "b"))
	bidi := rpc.CallBidi(t.Context(), conn, chat, each("a", "b"), func(*text) error { return nil })
	for _, err := range []error{unary, serverStream, clientStream, bidi} {
		require.Equal(t, code, fault.CodeOf(err))
		require.ErrorIs(t, err, failure)
	}
}

func TestAnEndedContextMakesNoCall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	conn := rpc.InProcess(echo{
		upper: func(context.Context, *text) (*text, error) { panic("called") },
		chat:  func(context.Context, func() (*text, error), func(*text) error) error { panic("called") },
	}.handlers())
	_, err := rpc.CallUnary[*text](ctx, conn, upper, new(text))
	require.Equal(t, context.Canceled, err)
	require.Equal(t, context.Canceled, rpc.CallBidi(ctx, conn, chat, each(), func(*text) error { return nil }))
}

func TestTheEndOfTheContextEndsACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		conn := rpc.InProcess(echo{
			upper:  func(ctx context.Context, _ *text) (*text, error) { <-ctx.Done(); return nil, ctx.Err() },
			repeat: func(ctx context.Context, _ *text, _ func(*text) error) error { <-ctx.Done(); return ctx.Err() },
		}.handlers())
		_, err := rpc.CallUnary[*text](ctx, conn, upper, new(text))
		require.Equal(t, context.DeadlineExceeded, err)

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, rpc.CallServerStream(ctx, conn, repeat, new(text), func(*text) error { return nil }))

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		never := func() (*text, error) { <-ctx.Done(); return nil, ctx.Err() }
		require.Equal(t, context.DeadlineExceeded, rpc.CallBidi(ctx, conn, chat, never, func(*text) error { return nil }))
	})
}

func TestAFailingSendEndsTheCallWithItsError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("full")
		var ended error
		conn := rpc.InProcess(echo{repeat: func(ctx context.Context, request *text, send func(*text) error) error {
			ended = repeatThrice(ctx, request, send)
			return ended
		}}.handlers())
		err := rpc.CallServerStream(t.Context(), conn, repeat, wrapperspb.String("a"), func(*text) error { return full })
		require.Equal(t, full, err)
		require.Equal(t, context.Canceled, ended, "the implementation has returned by now")
		require.Equal(t, full, rpc.CallBidi(t.Context(), conn, chat, each("a", "b"), func(*text) error { return full }))
	})
}

func TestAFailingNextEndsTheCallWithItsError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		empty := errors.New("empty")
		conn := rpc.InProcess(echo{}.handlers())
		next := func() (*text, error) { return nil, empty }
		_, err := rpc.CallClientStream[*text, *text](t.Context(), conn, join, next)
		require.Equal(t, empty, err)
		require.Equal(t, empty, rpc.CallBidi(t.Context(), conn, chat, next, func(*text) error { return nil }))
	})
}

func TestAnAnswerBeforeTheLastRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := rpc.InProcess(echo{
			join: func(context.Context, func() (*text, error)) (*text, error) { return wrapperspb.String("enough"), nil },
			chat: func(context.Context, func() (*text, error), func(*text) error) error { return nil },
		}.handlers())
		endless := func() (*text, error) { return new(text), nil }
		require.NoError(t, rpc.CallBidi(t.Context(), conn, chat, endless, func(*text) error { return nil }))

		call, err := conn.Open(t.Context(), join)
		require.NoError(t, err)
		var response text
		require.NoError(t, call.Receive(&response))
		require.Equal(t, "enough", response.GetValue())
		require.Equal(t, io.EOF, call.Receive(&response))
		require.Equal(t, io.EOF, call.Send(new(text)))
		require.NoError(t, call.Close())
	})
}

func TestHandlersKnowTheirCall(t *testing.T) {
	t.Parallel()
	conn := rpc.InProcess(echo{upper: func(ctx context.Context, _ *text) (*text, error) {
		call := rpc.CallFrom(ctx)
		call.Response.SetHeader("a", "b")
		return wrapperspb.String(call.Method.Name + call.Header.Get("prism-namespace") + call.Peer.Protocol), nil
	}}.handlers())
	response, err := rpc.CallUnary[*text](t.Context(), conn, upper, new(text))
	require.NoError(t, err)
	require.Equal(t, "Upper", response.GetValue())
}

func TestAMessageIsHeldToTheLimitOfItsCall(t *testing.T) {
	method := &rpc.Method{Procedure: "/test.v1.Test/Up", Shape: rpc.ShapeClientStream, NewRequest: func() proto.Message { return new(wrapperspb.StringValue) }}
	up := rpc.ClientStream(method, func(ctx context.Context, receive func() (*wrapperspb.StringValue, error)) (*wrapperspb.StringValue, error) {
		call := rpc.CallFrom(ctx)
		call.Namespace, call.MaxMessageBytes = "tenant", 10
		for {
			if last, err := receive(); err != nil {
				return last, err
			}
		}
	})
	call, err := rpc.InProcess([]rpc.Handler{up}).Open(t.Context(), method)
	require.NoError(t, err)
	defer func() { require.NoError(t, call.Close()) }()
	require.NoError(t, call.Send(wrapperspb.String("12345678")))
	require.NoError(t, call.Send(wrapperspb.String("123456789")))
	err = call.Receive(new(wrapperspb.StringValue))
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
	require.Equal(t, "MESSAGE_TOO_LARGE", fault.ReasonOf(err))
	require.ErrorContains(t, err, "the message has at least 11 bytes; namespaces[].limits.max_message_bytes of namespace tenant allows at most 10")
}
