package provider

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// execute serves one call of Execute, whose messages are encoded.
func (s *Server) execute(ctx context.Context, message []byte) ([]byte, error) {
	var handle string
	var begin start
	var payload []byte
	err := eachField(message, func(n number, value field) (err error) {
		switch n {
		case 1:
			handle, err = text("the instance", value)
		case 2:
			begin, err = readStart(value.bytes)
		case 3:
			payload = value.bytes
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	i, err := s.instance(handle)
	if err != nil {
		return nil, err
	}
	c := newServedCall(s, i, begin)
	c.request.b = append(c.request.b, payload...)
	err = c.executed(ctx, &begin)
	return c.executeResponse(err), nil
}

// executed serves the call.
func (c *servedCall) executed(ctx context.Context, begin *start) error {
	if !c.instance.enter() {
		return errStopping()
	}
	defer c.instance.leave()
	defer c.instance.executing.Add(-1)
	method := c.Call.Method
	switch n := c.instance.executing.Add(1); {
	case n > maxCalls:
		return tooMany("calls", maxCalls)
	case method == nil:
		return errNotOffered(begin.procedure)
	case method.Shape != rpc.ShapeUnary:
		return fault.New(fault.Unimplemented, "%s is a %s, and Execute carries unary calls", begin.procedure, method.Shape)
	case len(c.request.b) > method.MessageLimit():
		return rpc.MessageTooLarge(method, int64(len(c.request.b)))
	case begin.timed && begin.timeout <= 0:
		return context.DeadlineExceeded
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.instance.cutting, cancel)()
	if begin.timed {
		limited, stop := context.WithTimeout(ctx, begin.timeout)
		defer stop()
		ctx = limited
	}
	c.Context = ctx
	err := c.run()
	if err != nil && c.instance.cutting.Err() != nil {
		return errStopping()
	}
	return err
}

// executeResponse encodes an ExecuteResponse, and frees the call's memory.
func (c *servedCall) executeResponse(err error) []byte {
	message := c.header.appendTo(nil, 1)
	if err == nil {
		message = appendBytes(message, 2, c.response.b)
	}
	outcome := appendOutcome(nil, err, c.trailer)
	message = appendTag(message, 3, protowire.BytesType)
	message = protowire.AppendBytes(message, outcome)
	c.freeRequest()
	if c.response != nil {
		put(c.response)
	}
	return message
}
