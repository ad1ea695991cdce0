package main

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	conformancev1 "conformance.test/server/gen/connectrpc/conformance/v1"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// service implements ConformanceService: it answers what a request tells it to, with all that it learned of the request.
type service struct{}

func (service) Unary(ctx context.Context, request *conformancev1.UnaryRequest) (*conformancev1.UnaryResponse, error) {
	payload, err := unary(ctx, request.GetResponseDefinition(), request)
	return &conformancev1.UnaryResponse{Payload: payload}, err
}

func (service) IdempotentUnary(ctx context.Context, request *conformancev1.IdempotentUnaryRequest) (*conformancev1.IdempotentUnaryResponse, error) {
	payload, err := unary(ctx, request.GetResponseDefinition(), request)
	return &conformancev1.IdempotentUnaryResponse{Payload: payload}, err
}

func (service) ClientStream(
	ctx context.Context, receive func() (*conformancev1.ClientStreamRequest, error),
) (*conformancev1.ClientStreamResponse, error) {
	var requests []proto.Message
	var definition *conformancev1.UnaryResponseDefinition
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(requests) == 0 {
			definition = request.GetResponseDefinition()
		}
		requests = append(requests, request)
	}
	payload, err := unary(ctx, definition, requests...)
	return &conformancev1.ClientStreamResponse{Payload: payload}, err
}

func (service) ServerStream(ctx context.Context, request *conformancev1.ServerStreamRequest, send func(*conformancev1.ServerStreamResponse) error) error {
	a := newAnswers(ctx, request.GetResponseDefinition(), func(payload *conformancev1.ConformancePayload) error {
		return send(&conformancev1.ServerStreamResponse{Payload: payload})
	})
	if err := a.received(request); err != nil {
		return err
	}
	return a.finish()
}

func (service) BidiStream(
	ctx context.Context, receive func() (*conformancev1.BidiStreamRequest, error), send func(*conformancev1.BidiStreamResponse) error,
) error {
	var a *answers
	fullDuplex := false
	for {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if a == nil {
			fullDuplex = request.GetFullDuplex()
			a = newAnswers(ctx, request.GetResponseDefinition(), func(payload *conformancev1.ConformancePayload) error {
				return send(&conformancev1.BidiStreamResponse{Payload: payload})
			})
		}
		if err := a.received(request); err != nil {
			return err
		}
		if !fullDuplex {
			continue
		}
		if a.left() == 0 {
			break
		}
		// The first answer tells of the request, and each later one of what came since.
		if err := a.next(true); err != nil {
			return err
		}
	}
	if a == nil {
		return nil
	}
	return a.finish()
}

func (service) Unimplemented(context.Context, *conformancev1.UnimplementedRequest) (*conformancev1.UnimplementedResponse, error) {
	return nil, fault.New(fault.Unimplemented, "not implemented")
}

// unary makes the only answer to some requests.
func unary(ctx context.Context, definition *conformancev1.UnaryResponseDefinition, requests ...proto.Message) (*conformancev1.ConformancePayload, error) {
	setHeaders(ctx, definition.GetResponseHeaders(), definition.GetResponseTrailers())
	received, err := anys(requests)
	if err != nil {
		return nil, err
	}
	info := requestInfo(ctx, received)
	if err := wait(ctx, definition.GetResponseDelayMs()); err != nil {
		return nil, err
	}
	if wanted := definition.GetError(); wanted != nil {
		return nil, failure(wanted, info)
	}
	return &conformancev1.ConformancePayload{Data: definition.GetResponseData(), RequestInfo: info}, nil
}

// answers are those of a stream of them.
type answers struct {
	ctx        context.Context //nolint:containedctx // the call's own
	definition *conformancev1.StreamResponseDefinition
	send       func(*conformancev1.ConformancePayload) error
	sent       int
	// requests came since the last answer.
	requests []*anypb.Any
}

func newAnswers(ctx context.Context, definition *conformancev1.StreamResponseDefinition, send func(*conformancev1.ConformancePayload) error) *answers {
	setHeaders(ctx, definition.GetResponseHeaders(), definition.GetResponseTrailers())
	return &answers{ctx: ctx, definition: definition, send: send}
}

func (a *answers) received(request proto.Message) error {
	more, err := anys([]proto.Message{request})
	a.requests = append(a.requests, more...)
	return err
}

func (a *answers) left() int { return len(a.definition.GetResponseData()) - a.sent }

// next sends the next answer. The first one tells all of the request; the others tell what was received since if they are to.
func (a *answers) next(withRequests bool) error {
	payload := &conformancev1.ConformancePayload{Data: a.definition.GetResponseData()[a.sent]}
	switch {
	case a.sent == 0:
		payload.RequestInfo = requestInfo(a.ctx, a.requests)
	case withRequests:
		payload.RequestInfo = &conformancev1.ConformancePayload_RequestInfo{Requests: a.requests}
	}
	a.requests = nil
	if err := wait(a.ctx, a.definition.GetResponseDelayMs()); err != nil {
		return err
	}
	a.sent++
	return a.send(payload)
}

// finish sends what is left, and then fails if it is to.
func (a *answers) finish() error {
	for a.left() > 0 {
		if err := a.next(false); err != nil {
			return err
		}
	}
	wanted := a.definition.GetError()
	switch {
	case wanted == nil:
		return nil
	case a.sent == 0:
		return failure(wanted, requestInfo(a.ctx, a.requests))
	}
	return failure(wanted, nil)
}

func setHeaders(ctx context.Context, headers, trailers []*conformancev1.Header) {
	response := rpc.CallFrom(ctx).Response
	for _, header := range headers {
		for _, value := range header.GetValue() {
			response.AddHeader(header.GetName(), value)
		}
	}
	for _, trailer := range trailers {
		for _, value := range trailer.GetValue() {
			response.AddTrailer(trailer.GetName(), value)
		}
	}
}

// requestInfo is what was learned of a request.
func requestInfo(ctx context.Context, requests []*anypb.Any) *conformancev1.ConformancePayload_RequestInfo {
	info := &conformancev1.ConformancePayload_RequestInfo{Requests: requests}
	byName := map[string]*conformancev1.Header{}
	for name, value := range rpc.CallFrom(ctx).Header.All() {
		header := byName[name]
		if header == nil {
			header = &conformancev1.Header{Name: name}
			byName[name] = header
			info.RequestHeaders = append(info.RequestHeaders, header)
		}
		header.Value = append(header.Value, value)
	}
	if deadline, ok := ctx.Deadline(); ok {
		info.TimeoutMs = new(time.Until(deadline).Milliseconds())
	}
	return info
}

// failure is the error that a request asks for. It carries its details as they came, of whatever type, and what was learned of the request.
func failure(wanted *conformancev1.Error, info *conformancev1.ConformancePayload_RequestInfo) error {
	err := fault.New(fault.Code(wanted.GetCode()), "%s", wanted.GetMessage())
	for _, detail := range wanted.GetDetails() {
		err.Details = append(err.Details, detail)
	}
	if info != nil {
		err.Details = append(err.Details, info)
	}
	return err
}

func anys(messages []proto.Message) ([]*anypb.Any, error) {
	packed := make([]*anypb.Any, len(messages))
	for i, message := range messages {
		packed[i] = new(anypb.Any)
		if err := packed[i].MarshalFrom(message); err != nil {
			return nil, err
		}
	}
	return packed, nil
}

// wait waits for a delay to pass, and then tells whether the call was given up. It does not end when the call does: the client's deadline passes at the same moment as
// ours, and an answer that it has half read when it leaves is what it would complain of.
func wait(ctx context.Context, milliseconds uint32) error {
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	return ctx.Err()
}
