package provider

import (
	"context"

	"google.golang.org/grpc"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// execute makes a unary call by Execute, for providers that have no streams.
func (l *link) execute(ctx context.Context, namespace string, m *rpc.Method, message []byte) (*pending, error) {
	if n := l.calls.Add(1); l.limits.GetMaxCalls() > 0 && n > int64(l.limits.GetMaxCalls()) {
		l.calls.Add(-1)
		return nil, tooMany("calls", int(l.limits.GetMaxCalls()))
	}
	defer l.calls.Add(-1)
	start, err := appendStart(nil, ctx, namespace, m)
	if err != nil {
		return nil, err
	}
	request := &frame{make([]byte, 0, len(l.handle)+len(start)+len(message)+chunkOverhead)}
	request.b = appendBytes(request.b, 1, l.handle)
	request.b = appendBytes(request.b, 2, start)
	request.b = appendBytes(request.b, 3, message)
	response := new(frame)
	if err := l.conn.Invoke(ctx, procedure("Execute"), request, response, grpc.MaxCallRecvMsgSize(responseLimit(m)+2*maxMetadata)); err != nil {
		if ended := ctx.Err(); ended != nil {
			return nil, ended
		}
		return nil, l.failed(err)
	}
	p := pendings.Get().(*pending)
	if err := readExecuted(response.b, p); err != nil {
		p.free()
		return nil, l.failed(err)
	}
	return p, nil
}

// readExecuted reads an ExecuteResponse.
func readExecuted(message []byte, p *pending) error {
	answered := false
	err := eachField(message, func(n number, value field) (err error) {
		switch n {
		case 1:
			err = p.header.read(value.bytes)
		case 2:
			p.response = append(p.response[:0], value.bytes...)
		case 3:
			answered = true
			p.outcome, err = readOutcome(value.bytes)
		}
		return err
	})
	if err == nil && !answered {
		err = fault.New(fault.Internal, "an ExecuteResponse does not say how the call ended")
	}
	return err
}
