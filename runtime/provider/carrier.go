package provider

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// carrier is the provider's end of an ExecuteStream.
type carrier struct {
	server   *Server
	instance *instance
	shared   bool

	// sending is held while a frame is written: by the outbox, or by the call on a stream of its own.
	sending sync.Mutex
	write   func([]byte) error

	// out has the lock for all below.
	out    outbox
	opened bool
	calls  map[uint64]*servedCall
	lastID uint64
	// held are the bytes of requests that are not served yet.
	held int
	// credit is how many bytes the call on a stream of its own may still send; credited is told of more.
	credit   uint64
	credited chan struct{}
	// leaving tells that no new calls are taken; finished that the gateway sends no more.
	leaving, finished bool
	// done is closed when the stream is over, for err.
	done  chan struct{}
	ended bool
	err   error
}

// serveStream serves a stream until it is over.
func (s *Server) serveStream(ctx context.Context, receive func() ([]byte, error), send func([]byte) error) error {
	c := &carrier{server: s, write: send, calls: make(map[uint64]*servedCall), credited: make(chan struct{}, 1), done: make(chan struct{})}
	c.out.init(responseChunk, c.send)
	first, err := receive()
	switch {
	case errors.Is(err, io.EOF):
		return broken("a stream has ended without an open")
	case err != nil:
		return err
	}
	if err := c.take(first); err != nil {
		c.end(err)
	} else {
		go c.read(receive) // when this one returns the transport ends what it waits for
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.end(ctx.Err())
	}
	return c.finish()
}

func (c *carrier) send(b []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.write(b)
}

// finish lets the rest be sent, when the stream has ended well.
func (c *carrier) finish() error {
	if c.instance != nil {
		c.instance.remove(c)
	}
	c.out.Lock()
	defer c.out.Unlock()
	if c.err == nil || fault.CodeOf(c.err) == fault.Unavailable {
		c.out.drain()
	}
	c.out.closed = true
	return c.err
}

// read reads the stream until it is over.
func (c *carrier) read(receive func() ([]byte, error)) {
	for {
		b, err := receive()
		if errors.Is(err, io.EOF) {
			c.lastFrame()
			return
		}
		if err == nil {
			err = c.take(b)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// lastFrame takes that the gateway sends no more: its calls are finished.
func (c *carrier) lastFrame() {
	c.out.Lock()
	for _, call := range c.calls {
		if call.state == receiving {
			c.out.Unlock()
			c.end(broken("the stream has ended within the request of call %d", call.call))
			return
		}
	}
	c.finished = true
	over := len(c.calls) == 0
	c.out.Unlock()
	if over {
		c.end(nil)
	}
}

// end ends the stream: the first reason counts. What is under way is cancelled.
func (c *carrier) end(err error) {
	c.out.Lock()
	defer c.out.Unlock()
	c.endLocked(err)
}

func (c *carrier) endLocked(err error) {
	if c.ended {
		return
	}
	c.ended, c.err = true, err
	c.out.clear()
	for _, call := range c.calls {
		switch call.state {
		case running:
			call.ctx.end(context.Canceled)
		default:
			call.gone()
		}
	}
	close(c.done)
}

// take takes a frame.
func (c *carrier) take(b []byte) error {
	c.out.Lock()
	defer c.out.Unlock()
	if c.ended {
		return nil
	}
	return eachItem(b, requestPong, c.item)
}

// item takes one item. It needs the lock.
func (c *carrier) item(i item) error {
	if !c.opened {
		return c.open(i)
	}
	switch i.what {
	case requestOpen:
		return broken("a stream is opened once")
	case requestStart:
		return c.start(i)
	case requestPing, requestPong:
		if i.call != 0 {
			return broken("a ping or pong is of call %d; it is about the stream", i.call)
		}
		if i.what == requestPong {
			return nil
		}
		nonce, err := readNumber(i.content)
		c.out.control = appendNumbered(c.out.control, 0, responsePong, nonce)
		if len(c.out.control) > mostControl {
			return broken("too many pongs are not read")
		}
		c.out.kick()
		return err
	}
	if i.call == 0 || i.call > c.lastID {
		return broken("an item is of call %d, which was not started; the last is %d", i.call, c.lastID)
	}
	call := c.calls[i.call]
	if call == nil {
		return nil // it has ended; the two have crossed
	}
	switch i.what {
	case requestChunk:
		return c.chunk(call, i.content)
	case requestCredit:
		return c.addCredit(i.content)
	default: // a cancel
		call.cancel()
		return nil
	}
}

// open takes the first item. It needs the lock.
func (c *carrier) open(i item) error {
	if i.what != requestOpen || i.call != 0 {
		return broken("the first item of a stream is open, without a call; this one is field %d of call %d", i.what, i.call)
	}
	o, err := readOpen(i.content)
	if err != nil {
		return err
	}
	found, err := c.server.instance(o.instance)
	if err != nil {
		return err
	}
	c.opened, c.instance, c.shared, c.credit = true, found, o.shared, o.credit
	return found.add(c)
}

// addCredit needs the lock.
func (c *carrier) addCredit(content []byte) error {
	more, err := readNumber(content)
	if err != nil {
		return err
	}
	if more > math.MaxUint64-c.credit {
		return broken("more credit is granted than can be counted")
	}
	c.credit += more
	select {
	case c.credited <- struct{}{}:
	default: // it was told
	}
	return nil
}

// start begins a call. It needs the lock.
func (c *carrier) start(i item) error {
	switch {
	case i.call <= c.lastID:
		return broken("call %d was started after call %d; ids begin at 1 and rise", i.call, c.lastID)
	case !c.shared && c.lastID > 0:
		return broken("a second call on a stream of its own")
	case len(c.calls) >= mostUnread:
		return broken("the answers to %d calls are not read", mostUnread)
	}
	s, err := readStart(i.content)
	if err != nil {
		return err
	}
	c.lastID = i.call
	call := newServedCall(c.server, c.instance, s)
	call.carrier, call.call = c, i.call
	call.Context = &call.ctx
	if s.timed {
		call.ctx.deadline = time.Now().Add(s.timeout)
	}
	c.calls[i.call] = call
	if err := c.admit(call, &s); err != nil {
		call.answer(err)
	}
	return nil
}

// admit tells why a call is not served. It needs the lock.
func (c *carrier) admit(call *servedCall, s *start) error {
	if c.leaving || !c.instance.enter() {
		return errStopping()
	}
	call.entered = true
	switch {
	case len(c.calls) > maxCalls:
		return tooMany("calls", maxCalls)
	case call.Call.Method == nil:
		return errNotOffered(s.procedure)
	case c.shared && call.Call.Method.Shape != rpc.ShapeUnary:
		return fault.New(fault.Unimplemented, "%s is a %s, and a shared stream carries unary calls; a server stream has a stream of its own", s.procedure, call.Call.Method.Shape)
	case !c.shared && call.Call.Method.Shape != rpc.ShapeServerStream:
		return fault.New(fault.Unimplemented, "%s is a %s, and a stream of its own carries a server stream", s.procedure, call.Call.Method.Shape)
	case s.timed && s.timeout <= 0:
		return context.DeadlineExceeded
	case !c.shared:
		call.streaming = true
		if c.instance.streams.Add(1) > maxStreams {
			return tooMany("streams", maxStreams)
		}
	}
	return nil
}

// chunk takes some of a request. It needs the lock.
func (c *carrier) chunk(call *servedCall, content []byte) error {
	data, end, err := readChunk(content)
	switch {
	case err != nil:
		return err
	case call.state == answered:
		return nil // the provider may answer before the request's end
	case call.state == running:
		return broken("call %d has a chunk after the one that ended its request", call.call)
	}
	limit := call.Call.Method.MessageLimit()
	switch {
	case len(call.request.b)+len(data) > limit:
		call.answer(rpc.MessageTooLarge(call.Call.Method, int64(len(call.request.b)+len(data))))
		return nil
	case c.held+len(data) > maxHeld:
		call.answer(fault.New(fault.ResourceExhausted, "the provider holds %d MiB of requests of this gateway, and takes no more at once; try again", maxHeld>>20))
		return nil
	}
	call.request.b = append(call.request.b, data...)
	c.held += len(data)
	if end {
		call.state = running
		c.server.workers.run(call)
	}
	return nil
}

// goAway tells the gateway to make new calls elsewhere.
func (c *carrier) goAway() {
	c.out.Lock()
	defer c.out.Unlock()
	if c.ended || c.leaving {
		return
	}
	c.leaving = true
	c.out.control = appendGoingAway(c.out.control, c.lastID, "the instance is being shut down")
	c.out.kick()
}

// cutOff cancels what is under way, and tells how many calls that were.
func (c *carrier) cutOff() (cancelled uint64) {
	c.out.Lock()
	defer c.out.Unlock()
	for _, call := range c.calls {
		switch call.state {
		case receiving:
			call.answer(errStopping())
		case running:
			call.cutOff = true
			call.ctx.end(context.Canceled)
		default:
			continue
		}
		cancelled++
	}
	return cancelled
}
