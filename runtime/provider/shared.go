package provider

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// sharedStream is the gateway's end of the stream that carries an instance's unary calls.
type sharedStream struct {
	stream grpc.ClientStream
	// lost is told, once, when the stream is over: why.
	lost func(error)
	// most bounds the calls under way; 0 does not.
	most int

	// out has the lock for all below.
	out    outbox
	lastID uint64
	calls  map[uint64]*pending
	// leaving tells that the provider takes no new calls.
	leaving bool
	// err is why the stream is over.
	err error
	// heard tells that something came since the last tick; silent counts the ticks without.
	heard  bool
	silent int
	// greeted is closed when the first frame has come.
	greeted chan struct{}
	met     bool
}

// pending is one unary call on its way.
type pending struct {
	parcel
	// limit bounds the response.
	limit    int
	response []byte
	complete bool
	header   metadata
	outcome  outcome
	// refused tells that the provider has not begun the call.
	refused bool
	// done gets a value when the call was answered.
	done chan struct{}
}

var pendings = sync.Pool{New: func() any { return &pending{done: make(chan struct{}, 1)} }}

// keptMessage is the largest memory for a message that is kept.
const keptMessage = 64 << 10

// free forgets the call. Nobody else may know it any more.
func (p *pending) free() {
	response, lead := p.response[:0], p.lead[:0]
	if cap(response) > keptMessage {
		response = nil
	}
	*p = pending{done: p.done, response: response, parcel: parcel{lead: lead}}
	pendings.Put(p)
}

// errNotBegun is why a call on a stream that takes no new calls may be made elsewhere.
var errNotBegun = errors.New("the provider did not begin the call")

// newSharedStream opens a stream. It reads it, on a goroutine of its own, until it is over.
func newSharedStream(stream grpc.ClientStream, instance string, most int, lost func(error)) *sharedStream {
	s := &sharedStream{stream: stream, lost: lost, most: most, calls: make(map[uint64]*pending), greeted: make(chan struct{})}
	s.out.init(requestChunk, s.send)
	s.out.Lock()
	s.out.control = appendNumbered(appendOpen(nil, instance, true, 0), 0, requestPing, 1)
	s.out.kick()
	s.out.Unlock()
	go s.read()
	return s
}

func (s *sharedStream) send(b []byte) error { return s.stream.SendMsg(&frame{b}) }

// call makes a call whose request is message. When it returns no error, the caller has the pending to read its answer from, and frees it.
func (s *sharedStream) call(ctx context.Context, namespace string, m *rpc.Method, message []byte) (*pending, error) {
	content := frames.Get().(*frame)
	defer frames.Put(content)
	var err error
	if content.b, err = appendStart(content.b[:0], ctx, namespace, m); err != nil {
		return nil, err
	}
	p := pendings.Get().(*pending)
	p.message, p.hasMessage, p.limit = message, true, responseLimit(m)
	if err := s.begin(p, content.b); err != nil {
		p.free()
		return nil, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		if s.leave(p) {
			p.free()
			return nil, ctx.Err()
		}
		<-p.done // it was answered this moment
	}
	if p.refused {
		p.free()
		return nil, errNotBegun
	}
	return p, nil
}

// responseLimit bounds a response of a method. Responses have no bound in the schema; what is four times what a request may have is a defect.
func responseLimit(m *rpc.Method) int { return 4 * m.MessageLimit() }

// begin puts a call on its way.
func (s *sharedStream) begin(p *pending, start []byte) error {
	s.out.Lock()
	defer s.out.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case s.leaving:
		return errNotBegun
	case s.most > 0 && len(s.calls) >= s.most:
		return tooMany("calls", s.most)
	}
	s.lastID++
	p.call = s.lastID
	p.lead = append(appendItem(p.lead, p.call, requestStart, len(start)), start...)
	s.calls[p.call] = p
	s.out.put(&p.parcel)
	return nil
}

func tooMany(what string, most int) error {
	return fault.New(fault.ResourceExhausted, "the provider takes at most %d %s at once; try again", most, what).WithReason("PROVIDER_BUSY")
}

// leave gives a call up. It returns false when the call is answered.
func (s *sharedStream) leave(p *pending) bool {
	s.out.Lock()
	defer s.out.Unlock()
	if s.calls[p.call] != p {
		return false
	}
	delete(s.calls, p.call)
	if s.out.withdraw(&p.parcel) {
		s.out.control = appendItem(s.out.control, p.call, requestCancel, 0)
		s.out.kick()
	}
	return true
}

// end answers a call. It needs the lock.
func (s *sharedStream) end(p *pending) {
	delete(s.calls, p.call)
	s.out.withdraw(&p.parcel) // an answer may come before the request's end
	p.done <- struct{}{}
}

// read reads the stream until it is over.
func (s *sharedStream) read() {
	f := frames.Get().(*frame)
	defer frames.Put(f)
	for {
		if err := s.stream.RecvMsg(f); err != nil {
			s.over(err)
			return
		}
		if err := s.receive(f.b); err != nil {
			s.over(err)
			return
		}
	}
}

func (s *sharedStream) receive(b []byte) error {
	s.out.Lock()
	defer s.out.Unlock()
	s.heard, s.silent = true, 0
	if !s.met {
		s.met = true
		close(s.greeted)
	}
	return eachItem(b, responseGoingAway, s.item)
}

// item takes one item. It needs the lock.
func (s *sharedStream) item(i item) error {
	switch i.what {
	case responsePing:
		nonce, err := readNumber(i.content)
		s.out.control = appendNumbered(s.out.control, 0, requestPong, nonce)
		s.out.kick()
		if len(s.out.control) > mostControl {
			return broken("too many pings are not answered yet")
		}
		return err
	case responsePong:
		return nil
	case responseGoingAway:
		return s.goAway(i.content)
	}
	if i.call == 0 || i.call > s.lastID {
		return broken("an item is of call %d, which was not made; the last is %d", i.call, s.lastID)
	}
	p := s.calls[i.call]
	if p == nil {
		return nil // it was given up, or has ended
	}
	switch i.what {
	case responseHeader:
		return readHeader(i, &p.header)
	case responseChunk:
		data, end, err := readChunk(i.content)
		switch {
		case err != nil:
			return err
		case p.complete:
			return broken("call %d has a second response message; a unary call has one", i.call)
		case len(p.response)+len(data) > p.limit:
			return broken("the response of call %d has more than %d bytes", i.call, p.limit)
		}
		p.response, p.complete = append(p.response, data...), end
		return nil
	default:
		return s.answered(p, i.content)
	}
}

// answered takes the end of a call. It needs the lock.
func (s *sharedStream) answered(p *pending, content []byte) error {
	o, err := readOutcome(content)
	if err == nil && o.err == nil && !p.complete {
		err = broken("call %d succeeded without a response message", p.call)
	}
	if err != nil {
		return err
	}
	p.outcome = o
	s.end(p)
	return nil
}

// goAway takes that the provider takes no new calls. It needs the lock.
func (s *sharedStream) goAway(content []byte) error {
	last, reason, err := readGoingAway(content)
	if err != nil {
		return err
	}
	s.leaving = true
	for id, p := range s.calls {
		if id > last {
			p.refused = true
			s.end(p)
		}
	}
	s.lost(fault.New(fault.Unavailable, "the provider ends the instance: %s", clipped(reason, 200)))
	return nil
}

// readHeader reads the header of a response, which has one.
func readHeader(i item, header *metadata) error {
	if len(*header) > 0 {
		return broken("the response of call %d has a second header", i.call)
	}
	return eachField(i.content, func(n number, value field) error {
		if n == 1 {
			return header.read(value.bytes)
		}
		return nil
	})
}

// over ends the stream: unanswered calls are UNAVAILABLE.
func (s *sharedStream) over(why error) {
	if errors.Is(why, io.EOF) {
		why = fault.New(fault.Unavailable, "the provider has ended the stream")
	}
	s.out.Lock()
	if s.err == nil {
		s.err = unavailable(why)
		s.out.clear()
		for _, p := range s.calls {
			p.outcome.err = s.err
			s.end(p)
		}
	}
	s.out.closed = true
	s.out.Unlock()
	s.lost(why)
}

// unavailable is what calls get of a stream that has ended.
func unavailable(why error) error {
	return fault.Wrap(why, fault.Unavailable, "", "the backend's provider does not answer; the gateway reaches for it again by itself").
		WithReason("BACKEND_UNAVAILABLE").WithRetry(attachAgain)
}

// tick asks for a sign of life when none has come since the last tick, and returns how many ticks went by without. Nobody is asked on a stream that is over.
func (s *sharedStream) tick() (silent int) {
	s.out.Lock()
	defer s.out.Unlock()
	if s.err != nil {
		return 0
	}
	if s.heard {
		s.heard = false
		return 0
	}
	s.silent++
	if s.silent == 1 {
		s.out.control = appendNumbered(s.out.control, 0, requestPing, 1)
		s.out.kick()
	}
	return s.silent
}

// idle tells that no call is under way.
func (s *sharedStream) idle() bool {
	s.out.Lock()
	defer s.out.Unlock()
	return len(s.calls) == 0
}

// left tells that the provider takes no new calls and finishes those under way. This stream may be over before the streams of their own.
func (s *sharedStream) left() bool {
	s.out.Lock()
	defer s.out.Unlock()
	return s.leaving
}
