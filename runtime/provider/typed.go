package provider

import (
	"context"

	"google.golang.org/protobuf/proto"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
)

// What follows joins the code that works on encoded messages with transports that have decoded them, such as Connect. It is correct, and not fast.

func throughRaw[Request, Response proto.Message](
	ctx context.Context, request Request, response Response, serve func(context.Context, []byte) ([]byte, error),
) (Response, error) {
	var none Response
	encoded, err := proto.Marshal(request)
	if err != nil {
		return none, err
	}
	answer, err := serve(ctx, encoded)
	if err != nil {
		return none, err
	}
	return response, proto.Unmarshal(answer, response)
}

func rawReceive(receive func() (*providerv1.ExecuteStreamRequest, error)) func() ([]byte, error) {
	return func() ([]byte, error) {
		request, err := receive()
		if err != nil {
			return nil, err
		}
		return proto.Marshal(request)
	}
}

func rawSend(send func(*providerv1.ExecuteStreamResponse) error) func([]byte) error {
	return func(b []byte) error {
		response := new(providerv1.ExecuteStreamResponse)
		if err := proto.Unmarshal(b, response); err != nil {
			return err
		}
		return send(response)
	}
}
