package provider

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

const (
	// initialCredit is how much of a stream's responses may be on their way before the first was taken.
	initialCredit = 256 << 10
	// creditStep is how much must have been taken for more credit to be given.
	creditStep = initialCredit / 4
)

// ownStream is the gateway's end of a stream that carries one call of a server-streaming procedure. It is used by one goroutine.
type ownStream struct {
	link   *link
	method *rpc.Method
	stream grpc.ClientStream
	cancel context.CancelFunc
	caller context.Context //nolint:containedctx // it is the call's

	frame *frame
	// ready are the items of the frame that were not looked at yet.
	ready []item
	// message is the response that is being put together; taken are bytes that no credit was given for again.
	message []byte
	partial bool
	taken   int
	header  metadata
	outcome outcome
	ended   bool
}

// openOwn makes a call of a server-streaming procedure. The stream must be closed.
func (l *link) openOwn(ctx context.Context, namespace string, m *rpc.Method, request []byte) (*ownStream, error) {
	start, err := appendStart(nil, ctx, namespace, m)
	if err != nil {
		return nil, err
	}
	if n := l.streams.Add(1); l.limits.GetMaxStreams() > 0 && n > int64(l.limits.GetMaxStreams()) {
		l.streams.Add(-1)
		return nil, tooMany("streams", int(l.limits.GetMaxStreams()))
	}
	s := &ownStream{link: l, method: m, caller: ctx, frame: frames.Get().(*frame)}
	inner, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	if s.stream, err = l.newStream(inner); err != nil {
		s.close()
		return nil, s.failed(err)
	}
	if err := s.begin(start, request); err != nil {
		s.close()
		return nil, s.failed(err)
	}
	return s, nil
}

// begin sends the call.
func (s *ownStream) begin(start, request []byte) error {
	b := appendOpen(s.frame.b[:0], s.link.handle, false, initialCredit)
	if len(b)+len(start)+chunkOverhead > maxFrame {
		return fault.New(fault.ResourceExhausted, "the request's header is too large")
	}
	b = append(appendItem(b, 1, requestStart, len(start)), start...)
	for more := true; more; {
		n := min(len(request), maxFrame-len(b)-chunkOverhead)
		more = n < len(request)
		s.frame.b = appendChunk(b, 1, requestChunk, request[:n], !more)
		request = request[n:]
		if err := s.stream.SendMsg(s.frame); err != nil {
			if errors.Is(err, io.EOF) {
				return nil // receiving tells why
			}
			return err
		}
		b = s.frame.b[:0]
	}
	return nil
}

// next returns the next response, which is valid until the next one is asked for, or io.EOF after the last one of a call that has succeeded.
func (s *ownStream) next() ([]byte, error) {
	if !s.partial {
		s.message = s.message[:0]
	}
	for {
		for len(s.ready) > 0 {
			one := s.ready[0]
			s.ready = s.ready[1:]
			whole, err := s.take(one)
			if err != nil || whole {
				return s.message, err
			}
		}
		if err := s.receive(); err != nil {
			return nil, err
		}
	}
}

// receive gets the next frame. What was taken until now is credited.
func (s *ownStream) receive() error {
	if s.ended {
		return s.result()
	}
	if s.taken >= creditStep {
		credit := &frame{appendNumbered(nil, 1, requestCredit, uint64(s.taken))}
		s.taken = 0
		_ = s.stream.SendMsg(credit) // receiving tells what is wrong
	}
	if err := s.stream.RecvMsg(s.frame); err != nil {
		if errors.Is(err, io.EOF) {
			err = fault.New(fault.Unavailable, "the provider has ended the stream before the call")
		}
		return s.failed(err)
	}
	s.ready = s.ready[:0]
	err := eachItem(s.frame.b, responseGoingAway, func(one item) error {
		s.ready = append(s.ready, one)
		return nil
	})
	return s.failed(err)
}

// take takes one item, and tells whether a response is complete.
func (s *ownStream) take(one item) (whole bool, err error) {
	if one.call > 1 || one.call == 0 && one.what < responsePing {
		return false, s.failed(broken("an item of call %d is on the stream of one call", one.call))
	}
	switch one.what {
	case responsePing:
		nonce, err := readNumber(one.content)
		if err == nil {
			_ = s.stream.SendMsg(&frame{appendNumbered(nil, 0, requestPong, nonce)}) // as above
		}
		return false, s.failed(err)
	case responsePong:
		return false, nil
	case responseGoingAway:
		last, reason, err := readGoingAway(one.content)
		if err == nil && last == 0 {
			err = fault.New(fault.Unavailable, "the provider ends the instance: %s", clipped(reason, 200))
		}
		return false, s.failed(err) // the link has its own on the shared stream, whose calls are finished
	case responseHeader:
		return false, s.failed(readHeader(one, &s.header))
	case responseChunk:
		return s.chunk(one.content)
	}
	s.ended = true
	if s.outcome, err = readOutcome(one.content); err != nil {
		return false, s.failed(err)
	}
	return false, s.result()
}

func (s *ownStream) chunk(content []byte) (bool, error) {
	data, end, err := readChunk(content)
	if err == nil && len(s.message)+len(data) > responseLimit(s.method) {
		err = broken("a response has more than %d bytes", responseLimit(s.method))
	}
	if err != nil {
		return false, s.failed(err)
	}
	s.message = append(s.message, data...)
	s.taken += len(data)
	s.partial = !end
	return end, nil
}

// result is how the call ended.
func (s *ownStream) result() error {
	if s.outcome.err != nil {
		return s.outcome.err
	}
	return io.EOF
}

// failed is why the call has no more responses, nil of nil.
func (s *ownStream) failed(err error) error {
	if err == nil {
		return nil
	}
	if ended := s.caller.Err(); ended != nil {
		return ended
	}
	return s.link.failed(err)
}

// close ends the stream.
func (s *ownStream) close() {
	s.cancel()
	s.link.streams.Add(-1)
	put(s.frame)
}
