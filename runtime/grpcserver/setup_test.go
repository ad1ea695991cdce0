package grpcserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/grpcserver"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/rpc"
)

type value = wrapperspb.BytesValue

// patience is how long a test waits for what must come. It tells a hang from a machine that is busy, and nothing else.
const patience = 30 * time.Second

// service is what the methods belong to; limit bounds their messages.
const (
	service = "test.v1.Test"
	limit   = 100_000
)

func newMethod(name string, shape rpc.Shape) *rpc.Method {
	message := func() proto.Message { return new(value) }
	return &rpc.Method{
		Procedure: "/" + service + "/" + name, Service: service, Name: name, Shape: shape, MaxMessageBytes: limit, NewRequest: message, NewResponse: message,
	}
}

// leaks are the receivers that handlers of "Leave" leave running.
type leaks struct{ running sync.WaitGroup }

// routes are one method of each shape that echoes, and some that misbehave.
func routes(l *leaks) []rpc.Route {
	handlers := []rpc.Handler{
		rpc.Unary(newMethod("Unary", rpc.ShapeUnary), func(ctx context.Context, v *value) (*value, error) {
			call := rpc.CallFrom(ctx)
			for name, text := range call.Header.All() {
				if strings.HasPrefix(name, "x-") {
					call.Response.AddHeader(name, text)
					call.Response.AddTrailer(name+"-t", text)
				}
			}
			return v, script(ctx, call.Header.Get("x-do"))
		}),
		rpc.ServerStream(newMethod("ServerStream", rpc.ShapeServerStream), func(ctx context.Context, v *value, send func(*value) error) error {
			for range 3 {
				if err := send(v); err != nil {
					return err
				}
			}
			return script(ctx, rpc.CallFrom(ctx).Header.Get("x-do"))
		}),
		rpc.ClientStream(newMethod("ClientStream", rpc.ShapeClientStream), func(_ context.Context, receive func() (*value, error)) (*value, error) {
			var all []byte
			for {
				v, err := receive()
				if errors.Is(err, io.EOF) {
					return wrapperspb.Bytes(all), nil
				}
				if err != nil {
					return nil, err
				}
				all = append(all, v.Value...)
			}
		}),
		rpc.Bidi(newMethod("Bidi", rpc.ShapeBidi), func(_ context.Context, receive func() (*value, error), send func(*value) error) error {
			for {
				v, err := receive()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := send(v); err != nil {
					return err
				}
			}
		}),
		// What many handlers do: one goroutine receives, and nobody waits for it.
		rpc.Bidi(newMethod("Leave", rpc.ShapeBidi), func(_ context.Context, receive func() (*value, error), _ func(*value) error) error {
			first := make(chan struct{})
			l.running.Go(func() {
				defer close(first)
				for n := 0; ; n++ {
					v, err := receive()
					if err != nil {
						return
					}
					if n == 0 {
						first <- struct{}{}
					}
					if len(v.Value) > 0 && bytes.Count(v.Value, v.Value[:1]) != len(v.Value) {
						panic("a message of another call")
					}
				}
			})
			<-first
			go func() {
				for range first {
				}
			}()
			return nil
		}),
		rpc.Unary(newMethod("Panic", rpc.ShapeUnary), func(context.Context, *value) (*value, error) { panic("a defect") }),
	}
	routes := make([]rpc.Route, len(handlers))
	for i, handler := range handlers {
		routes[i] = rpc.Route{Method: handler.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) }}
	}
	return routes
}

// script does what a request asks for.
func script(ctx context.Context, do string) error {
	switch do {
	case "fail":
		return fault.New(fault.NotFound, "no such thing: 100 %% of \u20ac\n")
	case "detail":
		return fault.New(fault.ResourceExhausted, "full").WithReason("QUOTA", "limit", "10")
	case "plain":
		return errors.New("secret of the implementation")
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

type fixture struct {
	*leaks
	server  *h2.Server
	address string
	// refused takes why requests were refused before they were calls.
	refused chan string
}

func start(t testing.TB, limits h2.Limits) *fixture {
	t.Helper()
	f := &fixture{leaks: new(leaks), refused: make(chan string, 100)}
	rest := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "rest") })
	handler := grpcserver.New(routes(f.leaks), rest, nil)
	handler.Refused = func(protocol, reason string) { f.refused <- protocol + " " + reason }
	f.server = h2.NewServer(handler, h2.Options{Limits: limits})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.address = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.server.ServeConn(conn, nil) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		require.NoError(t, f.server.Close())
		serving.Wait()
		f.running.Wait()
		require.Zero(t, f.server.Stats().Memory)
	})
	return f
}

func (f *fixture) connect(t testing.TB) *testpeer.Peer {
	t.Helper()
	return testpeer.Connect(t, f.address, testpeer.Options{})
}

func (f *fixture) dial(t testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(f.address, slices.Concat([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// neighbour calls all the time on a connection of its own until the test ends. No call of it may fail.
func (f *fixture) neighbour(t *testing.T) {
	t.Helper()
	conn := f.dial(t)
	ctx, cancel := context.WithCancel(context.Background())
	calls, failed := 0, make(chan error, 1)
	go func() {
		defer close(failed)
		for ctx.Err() == nil {
			got := new(value)
			sent := wrapperspb.Bytes(bytes.Repeat([]byte{byte(calls)}, calls%3000))
			within, done := context.WithTimeout(context.Background(), patience)
			err := conn.Invoke(within, "/"+service+"/Unary", sent, got)
			done()
			if err == nil && !bytes.Equal(sent.Value, got.Value) {
				err = errors.New("another answer")
			}
			if err != nil {
				failed <- err
				return
			}
			calls++
			time.Sleep(time.Millisecond)
		}
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-failed, "the neighbour's call failed")
		require.NotZero(t, calls)
	})
}

// message is a BytesValue with its prefix.
func message(t testing.TB, b []byte) []byte {
	t.Helper()
	encoded, err := proto.Marshal(wrapperspb.Bytes(b))
	require.NoError(t, err)
	return testpeer.Message(encoded)
}

// values are the values of a response's messages.
func values(t testing.TB, r testpeer.Response) (all []string) {
	t.Helper()
	for _, encoded := range r.Messages() {
		v := new(value)
		require.NoError(t, proto.Unmarshal(encoded, v))
		all = append(all, string(v.Value))
	}
	return all
}
