package gateway

import (
	"context"
	"sync"
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

// former is a namespace that was replaced by one on another backend instance. Its transactions go on for the grace: whoever has begun one there finishes it there.
type former struct {
	name     string
	handlers map[*rpc.Method]rpc.Handler

	mu sync.RWMutex
	// until is when a handle of it cannot come any more; zero while the transactions go on.
	until time.Time
}

func newFormer(n *namespace) *former {
	f := &former{name: n.name, handlers: make(map[*rpc.Method]rpc.Handler)}
	for _, handler := range n.handlers {
		if handler.Method.Interface == transactional {
			f.handlers[handler.Method] = handler
		}
	}
	return f
}

// end waits for the calls under way and lets no more in.
func (f *former) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = time.Now().Add(longestTransaction)
	f.handlers = nil
}

// orHere serves a call where its transaction is: here, or in the former namespace. Which one it is says the one that does not know its handle.
func (f *former) orHere(here rpc.Handler) rpc.ServeFunc {
	return func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
		if f.gone() {
			return here.Serve(ctx, stream)
		}
		request := here.Method.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		response, err := here.Call(ctx, proto.Clone(request))
		// Rollback is not an error wherever the transaction is.
		if fault.CodeOf(err) == fault.FailedPrecondition || err == nil && here.Method.Name == "Rollback" {
			if there, answer, failure := f.call(ctx, here.Method, request); there {
				response, err = answer, failure
			} else if err != nil && f.ended() {
				err = replaced(f.name)
			}
		}
		if err != nil {
			return err
		}
		return stream.Send(response)
	}
}

// call calls the former namespace. It returns false when that does not know the transaction either, or is closed.
func (f *former) call(ctx context.Context, m *rpc.Method, request proto.Message) (there bool, response proto.Message, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	handler, ok := f.handlers[m]
	if !ok {
		return false, nil, nil
	}
	response, err = handler.Call(ctx, request)
	return fault.CodeOf(err) != fault.FailedPrecondition, response, err
}

// ended tells that its transactions have ended.
func (f *former) ended() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !f.until.IsZero()
}

// gone tells that no handle of it can come any more.
func (f *former) gone() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return !f.until.IsZero() && time.Now().After(f.until)
}
