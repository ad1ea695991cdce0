package httprpc

import (
	"context"
	"errors"
	"io"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// callContext is the context of a call: the caller's, whose end says whether the caller gave up, and one that Close ends.
type callContext struct {
	caller context.Context //nolint:containedctx // the call's own, from Open to Close
	ctx    context.Context //nolint:containedctx // the call's own, from Open to Close
	cancel context.CancelFunc
}

func newCallContext(caller context.Context) callContext {
	ctx, cancel := context.WithCancel(caller)
	return callContext{caller, ctx, cancel}
}

// fault makes a fault of an error of the call.
func (c callContext) fault(err error) error { return callError(c.caller, err) }

// sendFault is fault, but keeps io.EOF, which says that the call is over and that Receive knows why.
func (c callContext) sendFault(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return c.fault(err)
}

// serverStreamCall begins on the wire with its only request. connect-go waits for the response's header when it sends one, so that happens on a goroutine.
type serverStreamCall struct {
	callContext
	conn   *Conn
	method *rpc.Method
	begun  sync.Once
	ready  chan struct{} // closed when stream or err is there
	stream *connect.ServerStreamForClient[frame]
	err    error
}

func newServerStreamCall(ctx context.Context, c *Conn, m *rpc.Method) *serverStreamCall {
	return &serverStreamCall{callContext: newCallContext(ctx), conn: c, method: m, ready: make(chan struct{})}
}

func (s *serverStreamCall) Send(message proto.Message) error {
	err := error(fault.New(fault.Internal, "%s takes one request", s.method.Procedure))
	s.begun.Do(func() {
		err = nil
		go func() {
			defer close(s.ready)
			s.stream, s.err = s.conn.method(s.method).CallServerStream(s.ctx, s.conn.request(message))
		}()
	})
	return err
}

func (s *serverStreamCall) CloseSend() error { return nil } // its one request was the last

func (s *serverStreamCall) Receive(message proto.Message) error {
	select {
	case <-s.ready:
	case <-s.ctx.Done():
		return s.fault(connect.NewError(connect.CodeCanceled, s.ctx.Err()))
	}
	if s.err != nil {
		return s.fault(s.err)
	}
	if s.stream.Receive() {
		return decode(s.stream.Msg(), message)
	}
	if err := s.stream.Err(); err != nil {
		return s.fault(err)
	}
	return io.EOF
}

func (s *serverStreamCall) Close() error {
	s.cancel()
	s.begun.Do(func() {
		s.err = context.Canceled
		close(s.ready)
	})
	<-s.ready // soon, since the call's context has ended
	if s.err == nil {
		_ = s.stream.Close() // the call is given up: there is nobody to tell
	}
	return nil
}

// clientStreamCall sends many requests and gets one response.
type clientStreamCall struct {
	callContext
	stream *connect.ClientStreamForClient[reply, frame]
	finish sync.Once
	done   chan struct{} // closed when answer and err are there
	answer *frame
	err    error
	given  bool
}

func newClientStreamCall(ctx context.Context, c *Conn, m *rpc.Method) *clientStreamCall {
	s := &clientStreamCall{callContext: newCallContext(ctx), done: make(chan struct{})}
	s.stream = c.method(m).CallClientStream(s.ctx)
	c.setHeader(s.stream.RequestHeader())
	return s
}

func (s *clientStreamCall) Send(message proto.Message) error {
	err := s.sendFault(s.stream.Send(&reply{message: message}))
	if errors.Is(err, io.EOF) {
		_ = s.CloseSend() // fetches the reason for Receive
	}
	return err
}

// CloseSend tells the server that no request follows. connect-go does that and waits for the answer in one.
func (s *clientStreamCall) CloseSend() error {
	s.finish.Do(func() {
		go func() {
			defer close(s.done)
			response, err := s.stream.CloseAndReceive()
			if err != nil {
				s.err = s.fault(err)
				return
			}
			s.answer = response.Msg
		}()
	})
	return nil
}

func (s *clientStreamCall) Receive(message proto.Message) error {
	select {
	case <-s.done:
	case <-s.ctx.Done():
		return s.fault(connect.NewError(connect.CodeCanceled, s.ctx.Err()))
	}
	switch {
	case s.err != nil:
		return s.err
	case s.given:
		return io.EOF
	}
	s.given = true
	return decode(s.answer, message)
}

func (s *clientStreamCall) Close() error {
	s.cancel()
	_ = s.CloseSend() // frees what the stream holds
	return nil
}

// bidiCall streams both ways.
type bidiCall struct {
	callContext
	stream *connect.BidiStreamForClient[reply, frame]
}

func newBidiCall(ctx context.Context, c *Conn, m *rpc.Method) *bidiCall {
	s := &bidiCall{callContext: newCallContext(ctx)}
	s.stream = c.method(m).CallBidiStream(s.ctx)
	c.setHeader(s.stream.RequestHeader())
	return s
}

func (s *bidiCall) Send(message proto.Message) error {
	return s.sendFault(s.stream.Send(&reply{message: message}))
}

func (s *bidiCall) CloseSend() error { return s.fault(s.stream.CloseRequest()) }

func (s *bidiCall) Receive(message proto.Message) error {
	next, err := s.stream.Receive()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return s.fault(err)
	}
	return decode(next, message)
}

func (s *bidiCall) Close() error {
	s.cancel()
	_ = s.stream.CloseResponse() // the call is given up: there is nobody to tell
	return nil
}
