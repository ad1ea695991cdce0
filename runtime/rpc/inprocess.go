package rpc

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/prismgate/prism/runtime/fault"
)

// InProcess returns a connection whose calls are served by handlers in this process, as a transport would serve them, but without a wire: what is in a
// message is handed over and not copied. A method without a handler is UNIMPLEMENTED.
//
// A unary call runs on the caller's goroutine. Any other runs on one of its own, which has ended when [ClientCall]'s Close returns; so a handler must return
// when its context ends.
func InProcess(handlers []Handler) Conn {
	conn := make(inProcess, len(handlers))
	for _, handler := range handlers {
		conn[handler.Method.Procedure] = handler
	}
	return conn
}

// inProcess is the handlers by procedure.
type inProcess map[string]Handler

func (c inProcess) Invoke(ctx context.Context, m *Method, request, response proto.Message) error {
	handler, err := c.handler(m)
	if err != nil {
		return err
	}
	if handler.unary == nil {
		return fault.New(fault.Internal, "%s is no unary method; it must be called with Open", m.Procedure)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	answer, err := handler.Call(inCall(ctx, handler.Method), request)
	if err != nil {
		return connError(err)
	}
	return handOver(response, answer)
}

func (c inProcess) Open(ctx context.Context, m *Method) (ClientCall, error) {
	handler, err := c.handler(m)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	call := &inProcessCall{
		ctx: ctx, cancel: cancel,
		requests: make(chan proto.Message), responses: make(chan proto.Message),
		lastRequest: make(chan struct{}), done: make(chan struct{}),
	}
	go call.serve(handler)
	return call, nil
}

func (c inProcess) handler(m *Method) (Handler, error) {
	handler, ok := c[m.Procedure]
	if !ok {
		return Handler{}, fault.New(fault.Unimplemented, "%s is not offered here", m.Procedure)
	}
	return handler, nil
}

// inProcessCall is both ends of one call: the client's, which it implements, and the server's, which [serverEnd] does. Messages pass from one to the other
// without a buffer, so that a call is over only when all that was sent has been received.
type inProcessCall struct {
	ctx    context.Context //nolint:containedctx // a call's ends outlive the functions that make them
	cancel context.CancelFunc

	requests, responses chan proto.Message
	// lastRequest is closed by CloseSend.
	lastRequest chan struct{}
	closeOnce   sync.Once
	// done is closed when the handler has returned err.
	done chan struct{}
	err  error
}

func (c *inProcessCall) serve(handler Handler) {
	defer c.cancel()
	defer close(c.done)
	ctx := inCall(c.ctx, handler.Method)
	c.err = connError(handler.Serve(ctx, serverEnd{c, &ctx.Call}))
}

func (c *inProcessCall) Send(request proto.Message) error {
	select {
	case c.requests <- request:
		return nil
	case <-c.done:
		return io.EOF
	case <-c.ctx.Done():
		if c.over() {
			return io.EOF
		}
		return c.ctx.Err()
	}
}

func (c *inProcessCall) CloseSend() error {
	c.closeOnce.Do(func() { close(c.lastRequest) })
	return nil
}

func (c *inProcessCall) Receive(response proto.Message) error {
	select {
	case message := <-c.responses:
		return handOver(response, message)
	case <-c.done:
		return c.outcome()
	case <-c.ctx.Done():
		if c.over() {
			return c.outcome()
		}
		return c.ctx.Err()
	}
}

func (c *inProcessCall) Close() error {
	c.cancel()
	<-c.done
	return nil
}

// over tells whether the handler has returned. The end of the handler ends the context, and must not be taken for the end of the caller's.
func (c *inProcessCall) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// outcome is what Receive says of a call that is over.
func (c *inProcessCall) outcome() error {
	if c.err != nil {
		return c.err
	}
	return io.EOF
}

// serverEnd is the server's end of a call.
type serverEnd struct {
	call *inProcessCall
	// known is what the handler knows of the call.
	known *Call
}

func (s serverEnd) Receive(request proto.Message) error {
	select {
	case message := <-s.call.requests:
		if limit := s.known.MaxMessageBytes; limit > 0 {
			if size := proto.Size(message); size > limit {
				return s.known.MessageTooLarge(int64(size))
			}
		}
		return handOver(request, message)
	case <-s.call.lastRequest:
		return io.EOF
	case <-s.call.ctx.Done():
		return s.call.ctx.Err()
	}
}

func (s serverEnd) Send(response proto.Message) error {
	if err := s.call.ctx.Err(); err != nil {
		return err
	}
	select {
	case s.call.responses <- response:
		return nil
	case <-s.call.ctx.Done():
		return s.call.ctx.Err()
	}
}

// inCall is the context of a handler: a call without header and peer.
func inCall(ctx context.Context, m *Method) *CallContext {
	return &CallContext{Context: ctx, Call: Call{Method: m, Header: noHeader{}, Response: noResponse{}}}
}

// connError makes a handler's error one that a [Conn] may return.
func connError(err error) error {
	var known *fault.Error
	if err == nil || !errors.As(err, &known) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	return fault.Public(err)
}

// handOver makes an empty message the same as another one. Strings, bytes, lists, maps and messages in it are shared.
func handOver(to, from proto.Message) error {
	if to == from {
		return nil
	}
	target, source := to.ProtoReflect(), from.ProtoReflect()
	if target.Descriptor() != source.Descriptor() {
		return fault.New(fault.Internal, "the message is a %s; it must be a %s", source.Descriptor().FullName(), target.Descriptor().FullName())
	}
	source.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		target.Set(field, value)
		return true
	})
	target.SetUnknown(source.GetUnknown())
	return nil
}
