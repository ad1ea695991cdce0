package main

import (
	"context"
	"errors"
	"io"
	"time"

	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// What the client wants back, when it sends it.
const (
	echoHeader  = "x-grpc-test-echo-initial"
	echoTrailer = "x-grpc-test-echo-trailing-bin"
)

// maxMessageBytes bounds a message; the largest of the cases is 314,159 bytes.
const maxMessageBytes = 1 << 20

// routes are gRPC's test service as rpc tables. UnimplementedCall, and the service that is not implemented, are left out: that is what they are for.
func routes() []rpc.Route {
	handlers := []rpc.Handler{
		rpc.Unary(method[testpb.Empty, testpb.Empty]("EmptyCall", rpc.ShapeUnary), emptyCall),
		rpc.Unary(method[testpb.SimpleRequest, testpb.SimpleResponse]("UnaryCall", rpc.ShapeUnary), unaryCall),
		rpc.ServerStream(method[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]("StreamingOutputCall", rpc.ShapeServerStream), streamingOutputCall),
		rpc.ClientStream(method[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]("StreamingInputCall", rpc.ShapeClientStream), streamingInputCall),
		rpc.Bidi(method[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]("FullDuplexCall", rpc.ShapeBidi), fullDuplexCall),
		rpc.Bidi(method[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]("HalfDuplexCall", rpc.ShapeBidi), halfDuplexCall),
	}
	var all []rpc.Route
	for _, handler := range handlers {
		all = append(all, rpc.Route{
			Method: handler.Method,
			Serve:  func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) },
		})
	}
	return all
}

// method is the table entry of a method whose messages are Request and Response.
func method[Request, Response any, Q interface {
	*Request
	proto.Message
}, S interface {
	*Response
	proto.Message
}](name string, shape rpc.Shape) *rpc.Method {
	const service = "grpc.testing.TestService"
	return &rpc.Method{
		Procedure: "/" + service + "/" + name, Service: service, Name: name, Shape: shape, MaxMessageBytes: maxMessageBytes,
		NewRequest:  func() proto.Message { return Q(new(Request)) },
		NewResponse: func() proto.Message { return S(new(Response)) },
	}
}

// echo gives the metadata back that asks for it.
func echo(ctx context.Context) {
	call := rpc.CallFrom(ctx)
	if value := call.Header.Get(echoHeader); value != "" {
		call.Response.SetHeader(echoHeader, value)
	}
	if value := call.Header.Get(echoTrailer); value != "" {
		call.Response.SetTrailer(echoTrailer, value)
	}
}

// asked is the error that a request asks for.
func asked(status *testpb.EchoStatus) error {
	if status.GetCode() == 0 {
		return nil
	}
	return fault.New(fault.Code(status.GetCode()), "%s", status.GetMessage())
}

func payload(kind testpb.PayloadType, size int32) (*testpb.Payload, error) {
	if kind != testpb.PayloadType_COMPRESSABLE || size < 0 || size > maxMessageBytes {
		return nil, fault.New(fault.InvalidArgument, "a payload of type %v and size %d cannot be had", kind, size)
	}
	return &testpb.Payload{Type: kind, Body: make([]byte, size)}, nil
}

func emptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) { return new(testpb.Empty), nil }

func unaryCall(ctx context.Context, request *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	echo(ctx)
	if err := asked(request.GetResponseStatus()); err != nil {
		return nil, err
	}
	body, err := payload(request.GetResponseType(), request.GetResponseSize())
	return &testpb.SimpleResponse{Payload: body}, err
}

func streamingOutputCall(ctx context.Context, request *testpb.StreamingOutputCallRequest, send func(*testpb.StreamingOutputCallResponse) error) error {
	for _, parameters := range request.GetResponseParameters() {
		if interval := parameters.GetIntervalUs(); interval > 0 {
			select {
			case <-time.After(time.Duration(interval) * time.Microsecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		body, err := payload(request.GetResponseType(), parameters.GetSize())
		if err != nil {
			return err
		}
		if err := send(&testpb.StreamingOutputCallResponse{Payload: body}); err != nil {
			return err
		}
	}
	return nil
}

func streamingInputCall(_ context.Context, receive func() (*testpb.StreamingInputCallRequest, error)) (*testpb.StreamingInputCallResponse, error) {
	var size int32
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return &testpb.StreamingInputCallResponse{AggregatedPayloadSize: size}, nil
		}
		if err != nil {
			return nil, err
		}
		size += int32(len(request.GetPayload().GetBody()))
	}
}

func fullDuplexCall(ctx context.Context, receive func() (*testpb.StreamingOutputCallRequest, error), send func(*testpb.StreamingOutputCallResponse) error) error {
	echo(ctx)
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := asked(request.GetResponseStatus()); err != nil {
			return err
		}
		if err := streamingOutputCall(ctx, request, send); err != nil {
			return err
		}
	}
}

func halfDuplexCall(ctx context.Context, receive func() (*testpb.StreamingOutputCallRequest, error), send func(*testpb.StreamingOutputCallResponse) error) error {
	var requests []*testpb.StreamingOutputCallRequest
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		requests = append(requests, request)
	}
	for _, request := range requests {
		if err := streamingOutputCall(ctx, request, send); err != nil {
			return err
		}
	}
	return nil
}
