package provider

import (
	"context"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// state is how far a call at the provider is.
type state uint8

const (
	// receiving its request.
	receiving state = iota
	// running in a handler.
	running
	// answered, and not sent in full.
	answered
	// over, and forgotten.
	over
)

// servedCall is one call at the provider: as the context of its handler, as its response writer, and as the stream of a handler that streams.
type servedCall struct {
	rpc.CallContext
	parcel
	server    *Server
	instance  *instance
	carrier   *carrier // nil for Execute
	ctx       callContext
	procedure string

	request  *frame
	response *frame
	received bool
	// header and trailer are what the handler adds. headed tells that the header was sent.
	header, trailer metadata
	headed          bool

	// What follows is under the carrier's lock.

	state              state
	entered, streaming bool
	// cutOff tells that it was the end of the instance that cancelled the call.
	cutOff bool
	small  [24]byte
}

func newServedCall(server *Server, i *instance, s start) *servedCall {
	c := &servedCall{server: server, instance: i, procedure: s.procedure, request: frames.Get().(*frame)}
	c.request.b = c.request.b[:0]
	c.Call = rpc.Call{Method: i.methods[s.procedure], Namespace: s.namespace, Header: s.header, Response: c}
	return c
}

// serve runs a call on a worker.
func (c *servedCall) serve() {
	err := c.run()
	carrier := c.carrier
	carrier.out.Lock()
	defer carrier.out.Unlock()
	if carrier.ended {
		c.gone()
		return
	}
	if err != nil && c.cutOff {
		err = errStopping()
	}
	c.answer(err)
}

// run calls the handler. A panic is the outcome of the call.
func (c *servedCall) run() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = c.instance.panicked(r)
		}
		c.logFailure(err)
	}()
	if err := c.Err(); err != nil {
		return err
	}
	s, err := c.instance.space(&c.CallContext, c.Call.Namespace)
	if err != nil {
		return err
	}
	handler, err := s.handler(c.procedure)
	if err != nil {
		return err
	}
	if c.Call.Method.Shape != rpc.ShapeUnary {
		return handler.Serve(&c.CallContext, c)
	}
	request := c.Call.Method.NewRequest()
	if err := c.Receive(request); err != nil {
		return err
	}
	response, err := handler.Call(&c.CallContext, request)
	if err != nil {
		return err
	}
	return c.encode(response)
}

// logFailure tells of a failure whose cause stays on this side.
func (c *servedCall) logFailure(err error) {
	switch fault.CodeOf(err) {
	case fault.Internal, fault.Unknown, fault.DataLoss:
		c.instance.log.Error("a call failed", "procedure", c.procedure, "error", err.Error())
	default:
	}
}

func (c *servedCall) encode(message proto.Message) error {
	if c.response == nil {
		c.response = frames.Get().(*frame)
	}
	var err error
	if c.response.b, err = (proto.MarshalOptions{}).MarshalAppend(c.response.b[:0], message); err != nil {
		return fault.Wrap(err, fault.Internal, "", "the response does not encode")
	}
	return nil
}

// Receive decodes the request.
func (c *servedCall) Receive(message proto.Message) error {
	if c.received {
		return io.EOF
	}
	c.received = true
	if err := proto.Unmarshal(c.request.b, message); err != nil {
		return rpc.InvalidRequest(message, err)
	}
	return nil
}

// Send sends one response of a stream. It waits for credit.
func (c *servedCall) Send(message proto.Message) error {
	if err := c.encode(message); err != nil {
		return err
	}
	f := frames.Get().(*frame)
	defer frames.Put(f)
	for rest, end := c.response.b, false; !end; {
		n, err := c.carrier.spend(c, min(len(rest), maxFrame-chunkOverhead))
		if err != nil {
			return err
		}
		if f.b = f.b[:0]; !c.headed {
			c.headed = true
			if f.b = c.appendHeader(f.b); len(f.b) > 0 && c.carrier.send(f.b) != nil {
				return context.Canceled
			}
		}
		end = n == len(rest)
		f.b = appendChunk(f.b[:0], c.call, responseChunk, rest[:n], end)
		rest = rest[n:]
		if c.carrier.send(f.b) != nil {
			return context.Canceled // the stream is over, and its reader knows why
		}
	}
	return nil
}

// spend takes credit for at most so many bytes, and waits until there is some.
func (c *carrier) spend(call *servedCall, most int) (int, error) {
	for {
		c.out.Lock()
		switch {
		case c.ended:
			c.out.Unlock()
			return 0, context.Canceled
		case most == 0 || c.credit > 0:
			n := int(min(uint64(most), c.credit)) //nolint:gosec // it is at most most
			c.credit -= uint64(n)                 //nolint:gosec // it is positive
			c.out.Unlock()
			return n, call.ctx.Err()
		}
		c.out.Unlock()
		select {
		case <-c.credited:
		case <-call.ctx.Done():
			return 0, call.ctx.Err()
		case <-c.done:
		}
	}
}

func (c *servedCall) appendHeader(b []byte) []byte {
	content := c.header.appendTo(nil, 1)
	if len(content) == 0 {
		return b
	}
	return append(appendItem(b, c.call, responseHeader, len(content)), content...)
}

// cancel takes that the gateway does not want the answer any more. It needs the carrier's lock.
func (c *servedCall) cancel() {
	switch c.state {
	case receiving:
		c.answer(context.Canceled)
	case running:
		c.ctx.end(context.Canceled)
	default: // it was answered already
	}
}

// answer ends the call. It needs the carrier's lock.
func (c *servedCall) answer(err error) {
	c.state = answered
	c.freeRequest()
	if !c.headed {
		c.lead = c.appendHeader(nil)
	}
	if err == nil && c.Call.Method.Shape == rpc.ShapeUnary {
		c.message, c.hasMessage = c.response.b, true
	}
	content := appendOutcome(nil, err, c.trailer)
	c.last = append(appendItem(c.small[:0], c.call, responseEnd, len(content)), content...)
	c.sent = c.gone
	c.ctx.end(context.Canceled)
	c.carrier.out.put(&c.parcel)
}

// gone forgets the call. It needs the carrier's lock.
func (c *servedCall) gone() {
	if c.state == over {
		return
	}
	c.state = over
	c.freeRequest()
	if c.response != nil {
		put(c.response)
		c.response = nil
	}
	c.ctx.end(context.Canceled)
	carrier := c.carrier
	delete(carrier.calls, c.call)
	if c.streaming {
		c.instance.streams.Add(-1)
	}
	if c.entered {
		c.instance.leave()
	}
	if (carrier.finished || !carrier.shared) && len(carrier.calls) == 0 {
		carrier.endLocked(nil)
	}
}

// freeRequest gives the memory of the request back.
func (c *servedCall) freeRequest() {
	if c.request == nil {
		return
	}
	if c.carrier != nil {
		c.carrier.held -= len(c.request.b)
	}
	put(c.request)
	c.request = nil
}

// put keeps a buffer for the next, unless it is large.
func put(f *frame) {
	if cap(f.b) <= keptMessage {
		frames.Put(f)
	}
}

// SetHeader sets a field of the response's header.
func (c *servedCall) SetHeader(name, value string) { c.header.set(name, value) }

// AddHeader adds a field to the response's header.
func (c *servedCall) AddHeader(name, value string) { c.header.add(name, value) }

// SetTrailer sets a field of the response's trailer.
func (c *servedCall) SetTrailer(name, value string) { c.trailer.set(name, value) }

// AddTrailer adds a field to the response's trailer.
func (c *servedCall) AddTrailer(name, value string) { c.trailer.add(name, value) }
