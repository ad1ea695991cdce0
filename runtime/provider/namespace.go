package provider

import (
	"context"
	"errors"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// Namespace returns the interfaces of a namespace. It asks nobody: the provider makes the namespace with its first call.
func (i *Instance) Namespace(_ context.Context, name string) (backend.Interfaces, error) {
	n := &namespace{instance: i, name: name}
	n.clients = prism.Clients(n, i.offers...)
	return n, nil
}

// namespace is one namespace of an instance: as a set of interfaces, as the connection of its clients, and as what passes calls on undecoded.
type namespace struct {
	instance *Instance
	name     string
	clients  *prism.Interfaces
}

// Handlers returns a handler for every method of every interface that the provider offers.
func (n *namespace) Handlers() []rpc.Handler { return rpc.Relayed(n.clients.Handlers(), n) }

// Interface returns the client of the interface of that catalog name; nil when the provider does not offer it.
func (n *namespace) Interface(name string) any { return n.clients.Interface(name) }

// Relay passes a call on as it is.
func (n *namespace) Relay(ctx context.Context, m *rpc.Method, stream rpc.RawStream) error {
	request, err := stream.ReceiveRaw()
	if err != nil {
		return err
	}
	response := rpc.CallFrom(ctx).Response
	if m.Shape == rpc.ShapeUnary {
		p, err := n.instance.unary(ctx, n.name, m, request)
		if err != nil {
			return err
		}
		defer p.free()
		p.header.deliver(response.AddHeader)
		p.outcome.trailer.deliver(response.AddTrailer)
		if p.outcome.err != nil {
			return p.outcome.err
		}
		return stream.SendRaw(p.response)
	}
	call, err := n.open(ctx, m, request)
	if err != nil {
		return err
	}
	defer call.close()
	return call.each(response, stream.SendRaw)
}

// each gives each response to send, until the call has ended.
func (s *ownStream) each(response rpc.ResponseWriter, send func([]byte) error) error {
	for first := true; ; first = false {
		message, err := s.next()
		if first {
			s.header.deliver(response.AddHeader)
		}
		if err != nil {
			s.outcome.trailer.deliver(response.AddTrailer)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := send(message); err != nil {
			return err
		}
	}
}

// Invoke makes a unary call.
func (n *namespace) Invoke(ctx context.Context, m *rpc.Method, request, response proto.Message) error {
	encoded := frames.Get().(*frame)
	defer put(encoded)
	var err error
	if encoded.b, err = (proto.MarshalOptions{}).MarshalAppend(encoded.b[:0], request); err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "", "the request does not encode")
	}
	p, err := n.instance.unary(ctx, n.name, m, encoded.b)
	if err != nil {
		return err
	}
	defer p.free()
	to := rpc.CallFrom(ctx).Response
	p.header.deliver(to.AddHeader)
	p.outcome.trailer.deliver(to.AddTrailer)
	if p.outcome.err != nil {
		return p.outcome.err
	}
	return decodeResponse(m, p.response, response)
}

func decodeResponse(m *rpc.Method, data []byte, response proto.Message) error {
	if err := proto.Unmarshal(data, response); err != nil {
		return fault.Wrap(err, fault.Internal, "provider", "the backend's provider answered %s with what does not decode", m.Procedure)
	}
	return nil
}

// Open makes a call that is answered with a stream.
func (n *namespace) Open(ctx context.Context, m *rpc.Method) (rpc.ClientCall, error) {
	if m.Shape != rpc.ShapeServerStream {
		return nil, errShape(m)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &clientCall{namespace: n, ctx: ctx, cancel: cancel, method: m}, nil
}

func errShape(m *rpc.Method) error {
	return fault.New(fault.Unimplemented, "%s is a %s; providers serve unary calls and server streams", m.Procedure, m.Shape)
}

// open makes a call of a server-streaming method.
func (n *namespace) open(ctx context.Context, m *rpc.Method, request []byte) (*ownStream, error) {
	if m.Shape != rpc.ShapeServerStream {
		return nil, errShape(m)
	}
	l, err := n.instance.linked()
	if err != nil {
		return nil, err
	}
	if err := l.checkSize(ctx, m, request); err != nil {
		return nil, err
	}
	return l.openOwn(ctx, n.name, m, request)
}

// clientCall is a stream as [rpc.ClientCall]. The call begins with its request.
type clientCall struct {
	namespace *namespace
	ctx       context.Context //nolint:containedctx // a call's end outlives the function that makes it
	cancel    context.CancelFunc
	method    *rpc.Method
	stream    *ownStream
	err       error
}

// Send makes the call.
func (c *clientCall) Send(request proto.Message) error {
	encoded, err := proto.Marshal(request)
	if err != nil {
		return fault.Wrap(err, fault.InvalidArgument, "", "the request does not encode")
	}
	if c.stream, c.err = c.namespace.open(c.ctx, c.method, encoded); c.err != nil {
		return io.EOF
	}
	return nil
}

// CloseSend does nothing: the call has one request.
func (c *clientCall) CloseSend() error { return nil }

// Receive reads the next response.
func (c *clientCall) Receive(response proto.Message) error {
	switch {
	case c.err != nil:
		return c.err
	case c.stream == nil:
		return fault.New(fault.Internal, "%s was not given a request", c.method.Procedure)
	}
	message, err := c.stream.next()
	if err != nil {
		return err
	}
	return decodeResponse(c.method, message, response)
}

// Close gives the call up. It must not be called while Receive runs.
func (c *clientCall) Close() error {
	c.cancel()
	if c.stream != nil {
		c.stream.close()
		c.stream = nil
		c.err = context.Canceled
	}
	return nil
}

// linked returns what calls go by.
func (i *Instance) linked() (*link, error) {
	if l := i.link.Load(); l != nil {
		return l, nil
	}
	return nil, unavailable(nil)
}

// unary makes a unary call. A call that a provider did not begin, because it was leaving, is made once more on what has taken its place.
func (i *Instance) unary(ctx context.Context, namespace string, m *rpc.Method, request []byte) (*pending, error) {
	if m.Shape != rpc.ShapeUnary {
		return nil, errShape(m)
	}
	var tried *link
	for {
		l, err := i.linked()
		if err != nil {
			return nil, err
		}
		if err := l.checkSize(ctx, m, request); err != nil {
			return nil, err
		}
		if l.shared == nil {
			return l.execute(ctx, namespace, m, request)
		}
		p, err := l.shared.call(ctx, namespace, m, request)
		if !errors.Is(err, errNotBegun) {
			return p, err
		}
		if tried == l {
			return nil, unavailable(err)
		}
		tried = l
	}
}

// checkSize holds a request to what the provider takes.
func (l *link) checkSize(ctx context.Context, m *rpc.Method, request []byte) error {
	if most := l.limits.GetMaxMessageBytes(); most > 0 && uint64(len(request)) > most {
		return fault.Wrap(rpc.ErrMessageTooLarge, fault.ResourceExhausted, "",
			"the message has %d bytes; the backend's provider takes at most %d: split it, or store the payload elsewhere and send a reference", len(request), most)
	}
	if len(request) > m.MessageLimit() {
		return rpc.MessageTooLarge(m, int64(len(request)))
	}
	return ctx.Err()
}
