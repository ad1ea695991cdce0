package rpc_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/runtime/rpc"
)

// script is the server's end of a call whose requests are known before, and which fails to send after some responses.
type script struct {
	requests   []string
	responses  []string
	receiveErr error
	sendErr    error
}

func (s *script) Receive(request proto.Message) error {
	if s.receiveErr != nil {
		return s.receiveErr
	}
	if len(s.requests) == 0 {
		return io.EOF
	}
	request.(*text).Value = s.requests[0]
	s.requests = s.requests[1:]
	return nil
}

func (s *script) Send(response proto.Message) error {
	if s.sendErr != nil {
		return s.sendErr
	}
	s.responses = append(s.responses, response.(*text).GetValue())
	return nil
}

func TestServeOfEveryShape(t *testing.T) {
	t.Parallel()
	want := [][]string{{"a"}, {"a0", "a1", "a2"}, {"ab"}, {"re a", "re b"}}
	for i, handler := range (echo{}).handlers() {
		stream := &script{requests: []string{"a", "b"}}
		require.NoError(t, handler.Serve(t.Context(), stream), handler.Method.Name)
		require.Equal(t, want[i], stream.responses, handler.Method.Name)
	}
}

func TestServeReturnsTheErrorOfReceiveUntouched(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, handler := range (echo{}).handlers() {
		require.Equal(t, broken, handler.Serve(t.Context(), &script{receiveErr: broken}), handler.Method.Name)
	}
}

func TestServeReturnsTheErrorOfSendUntouched(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, handler := range (echo{}).handlers() {
		require.Equal(t, broken, handler.Serve(t.Context(), &script{requests: []string{"a"}, sendErr: broken}), handler.Method.Name)
	}
}

func TestServeSendsNothingWhenTheImplementationFails(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	failing := echo{
		upper: func(context.Context, *text) (*text, error) { return wrapperspb.String("not this"), failed },
		join: func(context.Context, func() (*text, error)) (*text, error) {
			return wrapperspb.String("not this"), failed
		},
	}.handlers()
	for _, handler := range []rpc.Handler{failing[0], failing[2]} {
		stream := &script{requests: []string{"a"}}
		require.Equal(t, failed, handler.Serve(t.Context(), stream), handler.Method.Name)
		require.Empty(t, stream.responses, handler.Method.Name)
	}
}

func TestCallAnswersWithoutAStream(t *testing.T) {
	t.Parallel()
	response, err := (echo{}).handlers()[0].Call(t.Context(), wrapperspb.String("a"))
	require.NoError(t, err)
	require.Equal(t, "a", response.(*text).GetValue())
}

func TestChainPutsTheFirstOutermost(t *testing.T) {
	t.Parallel()
	var order []string
	note := func(name string) rpc.Middleware {
		return func(next rpc.ServeFunc) rpc.ServeFunc {
			return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
				order = append(order, name)
				return next(ctx, call, stream)
			}
		}
	}
	last := func(context.Context, *rpc.Call, rpc.Stream) error {
		order = append(order, "last")
		return nil
	}
	require.NoError(t, rpc.Chain(last, note("first"), note("second"))(t.Context(), nil, nil))
	require.Equal(t, []string{"first", "second", "last"}, order)
}

func TestCallFromOutsideOfACallIsUsable(t *testing.T) {
	t.Parallel()
	call := rpc.CallFrom(t.Context())
	require.Nil(t, call.Method)
	require.Empty(t, call.Header.Get("prism-namespace"))
	require.Empty(t, call.Header.Values("prism-namespace"))
	for name := range call.Header.All() {
		t.Errorf("the empty header has %q", name)
	}
	call.Response.SetHeader("a", "b")
	call.Response.SetTrailer("a", "b")
}

func TestMessageLimitDefaultsTo4MiB(t *testing.T) {
	t.Parallel()
	require.Equal(t, 4<<20, (&rpc.Method{}).MessageLimit())
	require.Equal(t, 10, (&rpc.Method{MaxMessageBytes: 10}).MessageLimit())
}

func TestNamesOfShapesAndLevels(t *testing.T) {
	t.Parallel()
	require.Equal(t, "unary", rpc.ShapeUnary.String())
	require.Equal(t, "server stream", rpc.ShapeServerStream.String())
	require.Equal(t, "client stream", rpc.ShapeClientStream.String())
	require.Equal(t, "bidirectional stream", rpc.ShapeBidi.String())
	require.Equal(t, "unknown shape", rpc.Shape(9).String())
	require.Equal(t, "IDEMPOTENCY_UNKNOWN", rpc.IdempotencyUnknown.String())
	require.Equal(t, "NO_SIDE_EFFECTS", rpc.NoSideEffects.String())
	require.Equal(t, "IDEMPOTENT", rpc.Idempotent.String())
}
