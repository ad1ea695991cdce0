// Package reflection serves gRPC's reflection protocol, v1 and v1alpha, as rpc tables, so that it goes through whatever serves the other calls.
//
// What it answers is grpc-go's work; this package joins that to [rpc.Stream].
package reflection

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/rpc"
)

// The full names of the two services.
const (
	Service      = "grpc.reflection.v1.ServerReflection"
	ServiceAlpha = "grpc.reflection.v1alpha.ServerReflection"
)

// messageLimit bounds a request, which holds a name.
const messageLimit = 64 << 10

// Handlers returns the handlers of both versions for the named services and reflection itself. The services' descriptors must be linked into the program.
func Handlers(services ...string) []rpc.Handler {
	options := reflection.ServerOptions{Services: names(append(services, Service, ServiceAlpha))}
	return []rpc.Handler{
		bidi[v1.ServerReflectionRequest, v1.ServerReflectionResponse](Service, reflection.NewServerV1(options).ServerReflectionInfo),
		//nolint:staticcheck // deprecated, and still what many clients ask first
		bidi[v1alpha.ServerReflectionRequest, v1alpha.ServerReflectionResponse](ServiceAlpha, reflection.NewServer(options).ServerReflectionInfo),
	}
}

// names are the services, as grpc-go asks for them.
type names []string

// GetServiceInfo returns the names; nothing else of the information is used.
func (n names) GetServiceInfo() map[string]grpc.ServiceInfo {
	services := make(map[string]grpc.ServiceInfo, len(n))
	for _, name := range n {
		services[name] = grpc.ServiceInfo{}
	}
	return services
}

// message is the address of a message type, which is how Go says that *M is a proto.Message.
type message[M any] interface {
	*M
	proto.Message
}

func bidi[Request, Response any, RequestP message[Request], ResponseP message[Response]](
	service string, serve func(grpc.BidiStreamingServer[Request, Response]) error,
) rpc.Handler {
	const name = "ServerReflectionInfo"
	method := &rpc.Method{
		Procedure:       "/" + service + "/" + name,
		Service:         service,
		Name:            name,
		Shape:           rpc.ShapeBidi,
		Idempotency:     rpc.NoSideEffects,
		MaxMessageBytes: messageLimit,
		NewRequest:      func() proto.Message { return RequestP(new(Request)) },
		NewResponse:     func() proto.Message { return ResponseP(new(Response)) },
	}
	return rpc.Bidi(method, func(ctx context.Context, receive func() (RequestP, error), send func(ResponseP) error) error {
		return serve(&stream[Request, Response, RequestP, ResponseP]{ctx: ctx, receive: receive, send: send})
	})
}

// stream is a call as grpc-go's server sees it. Of grpc.ServerStream it has what reflection uses.
type stream[Request, Response any, RequestP message[Request], ResponseP message[Response]] struct {
	grpc.ServerStream
	ctx     context.Context //nolint:containedctx // grpc-go asks the stream for it
	receive func() (RequestP, error)
	send    func(ResponseP) error
}

// Context returns the call's context.
func (s *stream[Request, Response, RequestP, ResponseP]) Context() context.Context { return s.ctx }

// Recv returns the next request.
func (s *stream[Request, Response, RequestP, ResponseP]) Recv() (*Request, error) { return s.receive() }

// Send sends a response.
func (s *stream[Request, Response, RequestP, ResponseP]) Send(response *Response) error {
	return s.send(response)
}
