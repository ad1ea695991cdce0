package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// connectCaller is connect-go with one protocol over one kind of connection.
type connectCaller struct {
	name    string
	client  *http.Client
	base    string
	options []connect.ClientOption
	// bidi tells that the connection can carry a stream each way, and the protocol a stream of requests.
	bidi bool
	// major is the version of HTTP that must be spoken.
	major int
}

func connectGo(ctx context.Context, w world) error {
	plain, http2, secure := new(http.Protocols), new(http.Protocols), new(http.Protocols)
	plain.SetHTTP1(true)
	http2.SetUnencryptedHTTP2(true)
	secure.SetHTTP2(true)
	config := &tls.Config{RootCAs: w.certificate.Pool}
	for _, transport := range []struct {
		name, base string
		transport  *http.Transport
		major      int
	}{
		{"HTTP/1.1", "http://" + w.clear, &http.Transport{Protocols: plain}, 1},
		{"HTTP/1.1 with TLS", "https://" + w.secure, &http.Transport{Protocols: plain, TLSClientConfig: config}, 1},
		{"HTTP/2 in clear", "http://" + w.clear, &http.Transport{Protocols: http2}, 2},
		{"HTTP/2 with TLS", "https://" + w.secure, &http.Transport{Protocols: secure, TLSClientConfig: config}, 2},
	} {
		for _, protocol := range []struct {
			name    string
			options []connect.ClientOption
		}{
			{"Connect", nil},
			{"Connect with JSON", []connect.ClientOption{connect.WithProtoJSON()}},
			{"Connect with GET and gzip", []connect.ClientOption{connect.WithHTTPGet(), connect.WithSendGzip()}},
			{"gRPC-Web", []connect.ClientOption{connect.WithGRPCWeb()}},
			{"gRPC", []connect.ClientOption{connect.WithGRPC()}},
			{"gRPC with gzip", []connect.ClientOption{connect.WithGRPC(), connect.WithSendGzip()}},
		} {
			if protocol.name[:4] == "gRPC" && protocol.name != "gRPC-Web" && transport.major == 1 {
				continue // gRPC wants HTTP/2
			}
			caller := connectCaller{
				transport.name + ", " + protocol.name, &http.Client{Transport: transport.transport}, transport.base, protocol.options,
				transport.major == 2, transport.major,
			}
			if err := caller.calls(ctx); err != nil {
				return fmt.Errorf("%s: %w", caller.name, err)
			}
		}
		transport.transport.CloseIdleConnections()
	}
	return nil
}

func (c connectCaller) calls(ctx context.Context) error {
	steps := []struct {
		name string
		call func(context.Context) error
	}{{"unary", c.unary}, {"server stream", c.scan}, {"details", c.details}, {"deadline", c.deadline}, {"version", c.version}}
	for _, step := range steps {
		if err := step.call(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if !c.bidi {
		return nil
	}
	if err := c.reflect(ctx); err != nil {
		return fmt.Errorf("bidi: %w", err)
	}
	return nil
}

// connectClient is the client of one method.
func connectClient[Request, Response any](c connectCaller, procedure string) *connect.Client[Request, Response] {
	options := c.options
	if procedure == basic+"Get" {
		options = append([]connect.ClientOption{connect.WithIdempotency(connect.IdempotencyNoSideEffects)}, options...)
	}
	return connect.NewClient[Request, Response](c.client, c.base+procedure, options...)
}

func inDefault[Message any](message *Message) *connect.Request[Message] {
	request := connect.NewRequest(message)
	request.Header().Set("Prism-Namespace", "default")
	request.Header().Set("Note-Bin", connect.EncodeBinaryHeader([]byte{0, 1, 255}))
	return request
}

func (c connectCaller) unary(ctx context.Context) error {
	set := connectClient[keyvaluev1.SetRequest, keyvaluev1.SetResponse](c, basic+"Set")
	for _, key := range []string{"cg/1", "cg/2", "cg/3"} {
		if _, err := set.CallUnary(ctx, inDefault(&keyvaluev1.SetRequest{Key: key, Value: large()})); err != nil {
			return err
		}
	}
	got, err := connectClient[keyvaluev1.GetRequest, keyvaluev1.GetResponse](c, basic+"Get").CallUnary(ctx, inDefault(&keyvaluev1.GetRequest{Key: "cg/1"}))
	if err != nil {
		return err
	}
	if !got.Msg.GetFound() || !bytes.Equal(got.Msg.GetValue(), large()) {
		return errors.New("the value does not come back")
	}
	return nil
}

func (c connectCaller) scan(ctx context.Context) error {
	stream, err := connectClient[keyvaluev1.ScanRequest, keyvaluev1.ScanResponse](c, scan+"Scan").CallServerStream(ctx, inDefault(&keyvaluev1.ScanRequest{Prefix: "cg/"}))
	if err != nil {
		return err
	}
	seen := 0
	for stream.Receive() {
		if !bytes.Equal(stream.Msg().GetValue(), large()) {
			return fmt.Errorf("%q is not what was asked for", stream.Msg().GetKey())
		}
		seen++
	}
	if err := errors.Join(stream.Err(), stream.Close()); err != nil {
		return err
	}
	if seen != 3 {
		return fmt.Errorf("%d keys came, not 3", seen)
	}
	return nil
}

func (c connectCaller) details(ctx context.Context) error {
	_, err := connectClient[keyvaluev1.SetRequest, keyvaluev1.SetResponse](c, basic+"Set").CallUnary(ctx, inDefault(&keyvaluev1.SetRequest{}))
	var failed *connect.Error
	if !errors.As(err, &failed) || failed.Code() != connect.CodeInvalidArgument {
		return fmt.Errorf("an empty key is %w", err)
	}
	for _, detail := range failed.Details() {
		value, err := detail.Value()
		if err != nil {
			return err
		}
		if bad, ok := value.(*errdetails.BadRequest); ok && bad.GetFieldViolations()[0].GetField() == "key" {
			return nil
		}
	}
	return errors.New("no detail names the field")
}

func (c connectCaller) deadline(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	watch := connectClient[healthv1.HealthCheckRequest, healthv1.HealthCheckResponse](c, healthv1.Health_Watch_FullMethodName)
	stream, err := watch.CallServerStream(ctx, connect.NewRequest(new(healthv1.HealthCheckRequest)))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	if !stream.Receive() || stream.Msg().GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the gateway is not serving: %w", stream.Err())
	}
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeDeadlineExceeded {
		return fmt.Errorf("the call ends with %w", stream.Err())
	}
	return nil
}

// version makes sure that the calls went over the version of HTTP that they were meant to.
func (c connectCaller) version(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/", nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	if response.ProtoMajor != c.major {
		err = fmt.Errorf("it spoke %s", response.Proto)
	}
	return errors.Join(err, response.Body.Close())
}

func (c connectCaller) reflect(ctx context.Context) error {
	client := connectClient[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse](c, reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName)
	stream := client.CallBidiStream(ctx)
	list := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	for range 2 {
		if err := stream.Send(list); err != nil {
			return err
		}
		response, err := stream.Receive()
		if err != nil {
			return err
		}
		if n := len(response.GetListServicesResponse().GetService()); n < 10 {
			return fmt.Errorf("%d services are listed", n)
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the call ends with %w", err)
	}
	return stream.CloseResponse()
}
