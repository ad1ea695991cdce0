package differential

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

// server is one of the servers that are compared.
type server struct {
	name    string
	address string
	records *recorder
}

// startFront serves the test service as a gateway does.
func startFront(t *testing.T, name string, standard bool) *server {
	t.Helper()
	records := newRecorder()
	return start(t, name, records, front.NewServer(routes(records), front.ServerOptions{Standard: standard}), nil)
}

// startHandler serves the standard way what a function makes of the handler of some routes, on connections of which it makes something too: for mutants.
func startHandler(t *testing.T, name string, m mutant) *server {
	t.Helper()
	records := newRecorder()
	all := routes(records, m.middleware...)
	for i := range all {
		if m.method != nil {
			method := *all[i].Method
			m.method(&method)
			all[i].Method = &method
		}
	}
	var handler http.Handler = httprpc.NewMux(all)
	if m.handler != nil {
		handler = m.handler(handler)
	}
	return start(t, name, records, listen.New(listen.Config{HTTP: handler}), m.conn)
}

func start(t *testing.T, name string, records *recorder, running *listen.Server, wrap func(net.Conn) net.Conn) *server {
	t.Helper()
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	if wrap != nil {
		listener = &wrapped{listener, wrap}
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = running.Serve(listener) }()
	t.Cleanup(func() {
		_ = running.Close()
		<-served
	})
	return &server{name, address, records}
}

// wrapped is a listener that makes something of the connections it takes.
type wrapped struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (w *wrapped) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return w.wrap(conn), nil
}

// startReferee serves the test service with grpc-go's server: what it does is what gRPC's clients know.
func startReferee(t *testing.T) *server {
	t.Helper()
	records := newRecorder()
	referee := grpc.NewServer(grpc.MaxRecvMsgSize(limit))
	description := &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
	for _, route := range routes(records) {
		m := route.Method
		if m.Shape == rpc.ShapeUnary {
			description.Methods = append(description.Methods, grpc.MethodDesc{MethodName: m.Name, Handler: refereeUnary(route)})
			continue
		}
		description.Streams = append(description.Streams, grpc.StreamDesc{
			StreamName: m.Name, ServerStreams: m.Shape != rpc.ShapeClientStream, ClientStreams: m.Shape != rpc.ShapeServerStream,
			Handler: func(_ any, stream grpc.ServerStream) error {
				return refereeServe(stream.Context(), route, &refereeStream{stream: stream})
			},
		})
	}
	referee.RegisterService(description, struct{}{})
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { _ = referee.Serve(listener) })
	t.Cleanup(func() {
		referee.Stop()
		serving.Wait()
	})
	return &server{"grpc-go", listener.Addr().String(), records}
}

func refereeUnary(route rpc.Route) func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		stream := &refereeStream{decode: decode}
		if err := refereeServe(ctx, route, stream); err != nil {
			return nil, err
		}
		if stream.answer == nil {
			return nil, status.Error(codes.Internal, "no answer")
		}
		return stream.answer, nil
	}
}

func refereeServe(ctx context.Context, route rpc.Route, stream *refereeStream) error {
	incoming, _ := metadata.FromIncomingContext(ctx)
	c := &rpc.CallContext{Context: ctx, Call: rpc.Call{
		Method: route.Method, Peer: rpc.Peer{Protocol: "grpc"}, Header: refereeHeader(incoming), Response: refereeResponse{ctx},
	}}
	err := route.Serve(c, &c.Call, stream)
	if err == nil {
		return nil
	}
	public := fault.Public(err)
	answer := status.New(codes.Code(public.Code), public.Message)
	for _, detail := range public.Details {
		if with, err := answer.WithDetails(protoadapt.MessageV1Of(detail)); err == nil {
			answer = with
		}
	}
	return answer.Err()
}

// refereeStream is grpc-go's stream, or its unary call, as an rpc.Stream.
type refereeStream struct {
	stream grpc.ServerStream
	decode func(any) error
	answer proto.Message
}

func (s *refereeStream) Receive(message proto.Message) error {
	var err error
	switch {
	case s.stream != nil:
		err = s.stream.RecvMsg(message)
	case s.decode != nil:
		err = s.decode(message)
		s.decode = nil
	default:
		return io.EOF
	}
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return fault.Wrap(err, fault.Code(status.Code(err)), "", "%s", err.Error())
}

func (s *refereeStream) Send(message proto.Message) error {
	if s.stream == nil {
		s.answer = message
		return nil
	}
	return s.stream.SendMsg(message)
}

// refereeHeader is grpc-go's metadata as a header. grpc-go has decoded the values of -bin names already, which is not compared.
type refereeHeader metadata.MD

func (h refereeHeader) Values(name string) []string { return metadata.MD(h).Get(name) }

func (h refereeHeader) Get(name string) string {
	if values := h.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (h refereeHeader) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, values := range h {
			for _, value := range values {
				if !yield(name, value) {
					return
				}
			}
		}
	}
}

type refereeResponse struct{ ctx context.Context }

func (r refereeResponse) SetHeader(name, value string) {
	_ = grpc.SetHeader(r.ctx, metadata.Pairs(strings.ToLower(name), value))
}

func (r refereeResponse) AddHeader(name, value string) { r.SetHeader(name, value) } // gRPC's function adds

func (r refereeResponse) AddTrailer(name, value string) { r.SetTrailer(name, value) }

func (r refereeResponse) SetTrailer(name, value string) {
	_ = grpc.SetTrailer(r.ctx, metadata.Pairs(strings.ToLower(name), value))
}

// mutant is a server with one thing wrong.
type mutant struct {
	name string
	// near is an expression for the names of calls that should tell it from the standard; the others are made after them.
	near       string
	middleware []rpc.Middleware
	method     func(*rpc.Method)
	handler    func(http.Handler) http.Handler
	conn       func(net.Conn) net.Conn
}
