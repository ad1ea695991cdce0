package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	basic = "/prism.keyvalue.v1.KeyValueBasicInterface/"
	scan  = "/prism.keyvalue.v1.KeyValueScanInterface/"
)

// large is a value that takes several frames, and more than the first window.
func large() []byte { return bytes.Repeat([]byte("prism "), 50_000) }

func grpcGo(ctx context.Context, w world) error {
	for _, target := range []struct {
		address string
		secured credentials.TransportCredentials
	}{
		{w.clear, insecure.NewCredentials()},
		{w.secure, credentials.NewClientTLSFromCert(w.certificate.Pool, "")},
	} {
		conn, err := grpc.NewClient(target.address, grpc.WithTransportCredentials(target.secured))
		if err != nil {
			return err
		}
		if err := errors.Join(grpcGoCalls(ctx, conn), conn.Close()); err != nil {
			return fmt.Errorf("%s: %w", target.address, err)
		}
	}
	return nil
}

func grpcGoCalls(ctx context.Context, conn *grpc.ClientConn) error {
	inNamespace := metadata.AppendToOutgoingContext(ctx, "prism-namespace", "default", "note-bin", "\x00\x01\xff")
	for _, step := range []struct {
		name string
		call func() error
	}{
		{"unary", func() error { return grpcGoUnary(inNamespace, conn) }},
		{"server stream", func() error { return grpcGoScan(inNamespace, conn) }},
		{"bidi", func() error { return grpcGoReflect(ctx, conn) }},
		{"details", func() error { return grpcGoDetails(inNamespace, conn) }},
		{"no namespace", func() error {
			if err := conn.Invoke(ctx, basic+"Get", &keyvaluev1.GetRequest{Key: "a"}, new(keyvaluev1.GetResponse)); err == nil {
				return errors.New("a call without a namespace succeeds")
			}
			return nil
		}},
		{"deadline", func() error { return grpcGoDeadline(ctx, conn) }},
	} {
		if err := step.call(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func grpcGoUnary(ctx context.Context, conn *grpc.ClientConn) error {
	for _, key := range []string{"go/1", "go/2", "go/3"} {
		if err := conn.Invoke(ctx, basic+"Set", &keyvaluev1.SetRequest{Key: key, Value: large()}, new(keyvaluev1.SetResponse)); err != nil {
			return err
		}
	}
	response := new(keyvaluev1.GetResponse)
	if err := conn.Invoke(ctx, basic+"Get", &keyvaluev1.GetRequest{Key: "go/1"}, response); err != nil {
		return err
	}
	if !response.GetFound() || !bytes.Equal(response.GetValue(), large()) {
		return errors.New("the value does not come back")
	}
	missing := new(keyvaluev1.GetResponse)
	if err := conn.Invoke(ctx, basic+"Get", &keyvaluev1.GetRequest{Key: "go/none"}, missing); err != nil || missing.GetFound() {
		return fmt.Errorf("a key that is not there: found is %v, error is %w", missing.GetFound(), err)
	}
	return nil
}

func grpcGoScan(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, scan+"Scan")
	if err != nil {
		return err
	}
	call := &grpc.GenericClientStream[keyvaluev1.ScanRequest, keyvaluev1.ScanResponse]{ClientStream: stream}
	if err := errors.Join(stream.SendMsg(&keyvaluev1.ScanRequest{Prefix: "go/"}), stream.CloseSend()); err != nil {
		return err
	}
	seen := 0
	for {
		response, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !strings.HasPrefix(response.GetKey(), "go/") || !bytes.Equal(response.GetValue(), large()) {
			return fmt.Errorf("%q is not what was asked for", response.GetKey())
		}
		seen++
	}
	if seen != 3 {
		return fmt.Errorf("%d keys came, not 3", seen)
	}
	return nil
}

func grpcGoReflect(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return err
	}
	list := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	for range 2 {
		if err := stream.Send(list); err != nil {
			return err
		}
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if n := len(response.GetListServicesResponse().GetService()); n < 10 {
			return fmt.Errorf("%d services are listed", n)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the call ends with %w", err)
	}
	return nil
}

func grpcGoDetails(ctx context.Context, conn *grpc.ClientConn) error {
	got := status.Convert(conn.Invoke(ctx, basic+"Set", &keyvaluev1.SetRequest{}, new(keyvaluev1.SetResponse)))
	if got.Code() != codes.InvalidArgument {
		return fmt.Errorf("an empty key is %w", got.Err())
	}
	for _, detail := range got.Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok && bad.GetFieldViolations()[0].GetField() == "key" {
			return nil
		}
	}
	return fmt.Errorf("no detail names the field: %v", got.Details())
}

func grpcGoDeadline(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	stream, err := healthv1.NewHealthClient(conn).Watch(ctx, new(healthv1.HealthCheckRequest))
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the gateway is %s", first.GetStatus())
	}
	if _, err := stream.Recv(); status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("the call ends with %w", err)
	}
	return nil
}
