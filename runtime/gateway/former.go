package gateway

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

const (
	// transactional is the interface whose handles are bound to what issued them.
	transactional = "keyvalue_transactional"
	// longestTransaction is for how long after the grace a handle may come that was issued before: longer lives no transaction.
	longestTransaction = 5 * time.Minute
)

// former is a namespace that was replaced by one that keeps its data elsewhere. Its transactions go on for the grace: whoever has begun one there finishes it there.
type former struct {
	name string
	// handlers are nil once the last call has ended.
	handlers map[*rpc.Method]rpc.Handler
	// hold counts the calls under way; it is retired when the transactions end.
	hold *hold
	// until is when a handle of it cannot come any more; nil while the transactions go on.
	until atomic.Pointer[time.Time]
}

// newFormer returns nil for a namespace that has no transactions.
func newFormer(n *namespace) *former {
	f := &former{name: n.name, handlers: make(map[*rpc.Method]rpc.Handler), hold: newHold()}
	for _, handler := range n.handlers {
		if bound(handler.Method) {
			f.handlers[handler.Method] = handler
		}
	}
	if len(f.handlers) == 0 {
		return nil
	}
	return f
}

// bound tells whether a method's requests carry a handle that is bound to what issued it.
func bound(m *rpc.Method) bool { return m.Interface == transactional && m.Name != "BeginTransaction" }

// end lets no more calls in and waits for those under way.
func (f *former) end() {
	until := time.Now().Add(longestTransaction)
	f.until.Store(&until)
	f.hold.retire()
	f.hold.wait(nil)
	f.handlers = nil // what they are made of is closed now
}

// ended tells that its transactions have ended.
func (f *former) ended() bool { return f.until.Load() != nil }

// gone tells that no handle of it can come any more.
func (f *former) gone() bool {
	until := f.until.Load()
	return until != nil && time.Now().After(*until)
}

// call calls the former namespace. It returns false when that does not know the transaction either, or has ended.
func (f *former) call(ctx context.Context, m *rpc.Method, request proto.Message) (there bool, response proto.Message, err error) {
	if !f.hold.take() {
		return false, nil, nil
	}
	defer f.hold.release()
	handler, ok := f.handlers[m]
	if !ok {
		return false, nil, nil
	}
	response, err = handler.Call(ctx, proto.Clone(request)) // a handler may keep what it is given
	return fault.CodeOf(err) != fault.FailedPrecondition, response, err
}

// formers are those that a namespace has replaced, the latest first.
type formers []*former

// orHere serves a call where its transaction is: here, or in a former namespace. Which one it is says each that does not know its handle.
func (all formers) orHere(ctx context.Context, here rpc.Handler, stream rpc.Stream) error {
	if !slices.ContainsFunc(all, func(f *former) bool { return !f.gone() }) {
		return here.Serve(ctx, stream)
	}
	request := here.Method.NewRequest()
	if err := stream.Receive(request); err != nil {
		return err
	}
	response, err := here.Call(ctx, proto.Clone(request))
	switch {
	case fault.CodeOf(err) == fault.FailedPrecondition:
		response, err = all.call(ctx, here.Method, request, err)
	case err == nil && here.Method.Name == "Rollback":
		all.rollback(ctx, here.Method, request)
	}
	if err != nil {
		return err
	}
	return stream.Send(response)
}

// call calls the one that knows the transaction. When none does, the error is the one from here, or that the transaction may have ended with a former.
func (all formers) call(ctx context.Context, m *rpc.Method, request proto.Message, here error) (proto.Message, error) {
	for _, f := range all {
		if there, response, err := f.call(ctx, m, request); there {
			return response, err
		}
		if f.ended() && !f.gone() {
			here = replaced(f.name)
		}
	}
	return nil, here
}

// rollback rolls a transaction back wherever it is, since that is an error nowhere. What fails is no error either: the transaction may well have been here, and one
// that is not rolled back ends by itself.
func (all formers) rollback(ctx context.Context, m *rpc.Method, request proto.Message) {
	for _, f := range all {
		_, _, _ = f.call(ctx, m, request)
	}
}
