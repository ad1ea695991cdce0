package grpcframes_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/h2/frame"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

// value is the message of every method.
type value = wrapperspb.BytesValue

// hold, as a request, makes a call wait until it is cancelled.
const hold = "hold"

// shape is a method, and what it answers to requests.
type shape struct {
	method *rpc.Method
	answer func(requests ...string) []string
}

func method(name string, shape rpc.Shape) *rpc.Method {
	return &rpc.Method{
		Procedure: "/interop.Frames/" + name, Service: "interop.Frames", Name: name, Shape: shape,
		NewRequest: func() proto.Message { return new(value) }, NewResponse: func() proto.Message { return new(value) },
	}
}

// shapes are a method of each: unary echoes, server stream answers thrice, client stream joins, bidi echoes each.
func shapes() []shape {
	return []shape{
		{method("Unary", rpc.ShapeUnary), func(requests ...string) []string { return requests[:1] }},
		{method("ServerStream", rpc.ShapeServerStream), func(requests ...string) []string { return []string{requests[0], requests[0], requests[0]} }},
		{method("ClientStream", rpc.ShapeClientStream), func(requests ...string) []string {
			joined := ""
			for _, request := range requests {
				joined += request
			}
			return []string{joined}
		}},
		{method("Bidi", rpc.ShapeBidi), func(requests ...string) []string { return requests }},
	}
}

// streamsRequests tells whether a call takes more than one request.
func (s shape) streamsRequests() bool {
	return s.method.Shape == rpc.ShapeClientStream || s.method.Shape == rpc.ShapeBidi
}

// fields are the header of a call, followed by others.
func (s shape) fields(others ...string) []string {
	return testpeer.GRPC(s.method.Procedure, others...)
}

func (s shape) handler() rpc.Handler {
	held := func(ctx context.Context, request *value) error {
		if string(request.GetValue()) != hold {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	switch s.method.Shape {
	case rpc.ShapeUnary:
		return rpc.Unary(s.method, func(ctx context.Context, request *value) (*value, error) { return request, held(ctx, request) })
	case rpc.ShapeServerStream:
		return rpc.ServerStream(s.method, func(ctx context.Context, request *value, send func(*value) error) error {
			for range 3 {
				if err := send(request); err != nil {
					return err
				}
			}
			return held(ctx, request)
		})
	case rpc.ShapeClientStream:
		return rpc.ClientStream(s.method, func(ctx context.Context, receive func() (*value, error)) (*value, error) {
			joined := new(value)
			for {
				request, err := receive()
				if errors.Is(err, io.EOF) {
					return joined, nil
				}
				if err == nil {
					err = held(ctx, request)
				}
				if err != nil {
					return nil, err
				}
				joined.Value = append(joined.Value, request.GetValue()...)
			}
		})
	default:
		return rpc.Bidi(s.method, func(ctx context.Context, receive func() (*value, error), send func(*value) error) error {
			for {
				request, err := receive()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err == nil {
					err = held(ctx, request)
				}
				if err == nil {
					err = send(request)
				}
				if err != nil {
					return err
				}
			}
		})
	}
}

// serve serves all shapes on our own front until the test ends.
func serve(t *testing.T) (address string) {
	t.Helper()
	var routes []rpc.Route
	for _, s := range shapes() {
		handler := s.handler()
		routes = append(routes, rpc.Route{
			Method: s.method,
			Serve:  func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) },
		})
	}
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	server := front.NewServer(routes, front.ServerOptions{})
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return listener.Addr().String()
}

// each runs a case on a connection of its own for every shape.
func each(t *testing.T, test func(c *conn)) {
	t.Helper()
	eachWith(t, testpeer.Options{}, test)
}

// eachStreaming runs a case for the shapes whose calls take more than one request.
func eachStreaming(t *testing.T, test func(c *conn)) {
	t.Helper()
	eachOf(t, slices.DeleteFunc(shapes(), func(s shape) bool { return !s.streamsRequests() }), testpeer.Options{}, test)
}

func eachWith(t *testing.T, o testpeer.Options, test func(c *conn)) {
	t.Helper()
	eachOf(t, shapes(), o, test)
}

func eachOf(t *testing.T, which []shape, o testpeer.Options, test func(c *conn)) {
	t.Helper()
	address := serve(t)
	for _, s := range which {
		t.Run(s.method.Name, func(t *testing.T) {
			t.Parallel()
			test(&conn{t, testpeer.Connect(t, address, o), s})
		})
	}
}

// conn is a connection on which calls of one shape are made.
type conn struct {
	t *testing.T
	*testpeer.Peer
	shape shape
}

// message is a request or a response as gRPC sends it.
func message(t *testing.T, text string) []byte {
	t.Helper()
	encoded, err := proto.Marshal(wrapperspb.Bytes([]byte(text)))
	require.NoError(t, err)
	return testpeer.Message(encoded)
}

// open sends the header of a call, which has nothing after it yet.
func (c *conn) open(streamID uint32, others ...string) {
	c.Headers(streamID, 0, c.shape.fields(others...)...)
}

// ask sends one request.
func (c *conn) ask(streamID uint32, flags frame.Flags, text string) {
	c.t.Helper()
	c.Data(streamID, flags, message(c.t, text))
}

// answered demands that a call has ended well, with what its requests are answered.
func (c *conn) answered(streamID uint32, requests ...string) {
	c.t.Helper()
	response := c.Response(streamID)
	code, text := response.GRPC(c.t)
	require.Zero(c.t, code, text)
	require.Equal(c.t, "200", response.HTTP())
	require.True(c.t, response.Ended)
	require.Nil(c.t, response.Reset)
	var got []string
	for _, m := range response.Messages() {
		decoded := new(value)
		require.NoError(c.t, proto.Unmarshal(m, decoded))
		got = append(got, string(decoded.GetValue()))
	}
	require.Equal(c.t, c.shape.answer(requests...), got)
}

// works demands that the connection serves calls.
func (c *conn) works(streamID uint32) {
	c.t.Helper()
	c.open(streamID)
	c.ask(streamID, frame.EndStream, "still here")
	c.answered(streamID, "still here")
}

// streamError demands that a stream ended with one of some codes, and that the connection goes on; or that the connection ended with one of them.
func (c *conn) streamError(streamID uint32, codes ...frame.ErrorCode) {
	c.t.Helper()
	f := c.Expect("RST_STREAM or GOAWAY", func(f testpeer.Frame) bool {
		return f.Type == frame.GoAway || f.Type == frame.RSTStream && f.StreamID == streamID
	})
	require.Contains(c.t, codes, f.Code(), f.String())
	if f.Type == frame.GoAway {
		require.ErrorIs(c.t, c.ExpectClosed(), io.EOF)
		return
	}
	c.works(streamID + 100)
}

// running begins a call that the server is in the middle of: it has read a request, and the client may send more. The call waits until it is cancelled, unless it
// waits for more requests anyway.
func (c *conn) running(streamID uint32) {
	c.t.Helper()
	c.open(streamID)
	c.ask(streamID, 0, hold)
	c.Alive()
}

// halfClosed begins a call whose requests have all come, and which the server does not answer yet.
func (c *conn) halfClosed(streamID uint32) {
	c.t.Helper()
	c.open(streamID)
	c.ask(streamID, frame.EndStream, hold)
	c.Alive()
}

// dependency is the priority of a HEADERS or PRIORITY frame.
func dependency(on uint32, weight byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, on), weight)
}

// filler is a text of a size.
func filler(size int) string { return string(bytes.Repeat([]byte("x"), size)) }
