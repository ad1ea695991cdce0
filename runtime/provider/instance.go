package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// instance is an open backend at the provider.
type instance struct {
	server *Server
	key    instanceKey
	handle string
	open   backend.Instance
	status *backend.Status
	log    *slog.Logger
	// methods are those of the interfaces that the backend implements, by procedure.
	methods map[string]*rpc.Method

	spaces sync.Map // of *space by name
	named  atomic.Int64
	layout atomic.Pointer[map[string]int]

	// active counts calls; streams those of them that stream. draining tells that no new ones are taken; idle is told when the last has ended meanwhile.
	active, streams, executing atomic.Int64
	draining                   atomic.Bool
	used                       atomic.Int64 // when a gateway last used it, in nanoseconds since 1970
	idle                       chan struct{}
	// hurry closes hurried: calls under way have had their time, whatever the drain is.
	hurry   func()
	hurried chan struct{}
	// cutting ends when the time of calls is over; over is closed when the instance is.
	cutting context.Context //nolint:containedctx // it is the instance's
	cut     context.CancelFunc
	over    chan struct{}

	mu       sync.Mutex
	carriers map[*carrier]struct{}
}

func errStopping() error {
	return fault.New(fault.Unavailable, "the backend's provider is ending the instance; try again").WithReason("INSTANCE_STOPPING").WithRetry(attachAgain)
}

// enter counts a call in; it is not when the instance takes none.
func (i *instance) enter() bool {
	i.active.Add(1)
	if i.draining.Load() {
		i.leave()
		return false
	}
	return true
}

// leave counts a call out.
func (i *instance) leave() {
	if i.active.Add(-1) == 0 && i.draining.Load() {
		select {
		case i.idle <- struct{}{}:
		default: // it was told
		}
	}
}

// add has a stream told when the instance ends.
func (i *instance) add(c *carrier) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.draining.Load() {
		return errStopping()
	}
	i.carriers[c] = struct{}{}
	return nil
}

func (i *instance) remove(c *carrier) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.carriers, c)
	i.use()
}

func (i *instance) snapshot() []*carrier {
	i.mu.Lock()
	defer i.mu.Unlock()
	var carriers []*carrier
	for c := range i.carriers {
		carriers = append(carriers, c)
	}
	return carriers
}

// health tells how the instance is.
func (i *instance) health() *providerv1.HealthCheckResponse {
	if i.draining.Load() {
		return &providerv1.HealthCheckResponse{State: providerv1.HealthState_HEALTH_STATE_DRAINING, Reason: "the provider is ending the instance"}
	}
	if why, _ := i.status.State(); why != "" {
		return &providerv1.HealthCheckResponse{State: providerv1.HealthState_HEALTH_STATE_UNAVAILABLE, Reason: why}
	}
	return &providerv1.HealthCheckResponse{State: providerv1.HealthState_HEALTH_STATE_READY}
}

// end ends the instance: calls under way may go on for the drain, or until the context ends. Of several who end it, the one with the least time counts. It returns how many were cancelled.
func (i *instance) end(ctx context.Context, drain time.Duration) (cancelled uint64) {
	i.mu.Lock()
	first := !i.draining.Swap(true)
	i.mu.Unlock()
	defer context.AfterFunc(ctx, i.hurry)()
	if !first {
		defer time.AfterFunc(drain, i.hurry).Stop()
		<-i.over
		return 0
	}
	for _, c := range i.snapshot() {
		c.goAway()
	}
	if !i.wait(i.hurried, drain) {
		executing := i.executing.Load()
		i.cut()
		cancelled = uint64(executing) //nolint:gosec // it counts
		for _, c := range i.snapshot() {
			cancelled += c.cutOff()
		}
		if !i.wait(nil, cancelTime) {
			i.log.Warn("calls do not end though they were cancelled; the backend is closed all the same", "calls", i.active.Load())
		}
	}
	i.cut()
	i.close(ctx)
	for _, c := range i.snapshot() {
		c.end(errStopping())
	}
	i.server.forget(i)
	close(i.over)
	return cancelled
}

// close closes the backend.
func (i *instance) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultDrain)
	defer cancel()
	if err := i.guard(func() error { return i.open.Close(ctx) }); err != nil {
		i.log.Error("the backend did not close well", "error", err.Error())
	}
}

// wait waits until no call is under way; it tells false when the time was over before.
func (i *instance) wait(hurry <-chan struct{}, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for i.active.Load() > 0 {
		select {
		case <-i.idle:
		case <-hurry:
			return i.active.Load() == 0
		case <-timer.C:
			return i.active.Load() == 0
		}
	}
	return true
}

// guard does what opens or closes a backend. A panic is an error, and the log has the stack.
func (i *instance) guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = i.panicked(r)
		}
	}()
	return do()
}

// panicked logs a panic. Go's own text is told; any other may be made of a request or of a configuration.
func (i *instance) panicked(r any) error {
	what := fmt.Sprintf("a %T", r)
	var own runtime.Error
	if is, ok := r.(error); ok && errors.As(is, &own) {
		what = own.Error()
	}
	i.log.Error("the backend panicked", "panic", what, "stack", string(debug.Stack()))
	return fault.New(fault.Internal, "internal error; the provider's log has the cause")
}

// space is a namespace of an instance.
type space struct {
	// ready is closed when handlers or err is there.
	ready    chan struct{}
	handlers []rpc.Handler
	// at says where the handler of a procedure stands; namespaces that offer the same share it.
	at  map[string]int
	err error
}

// space returns a namespace, which is opened by the first call that names it.
func (i *instance) space(ctx context.Context, name string) (*space, error) {
	found, ok := i.spaces.Load(name)
	if !ok {
		if i.named.Load() >= maxNamespaces {
			return nil, fault.New(fault.ResourceExhausted, "the provider serves at most %d namespaces of an instance", maxNamespaces)
		}
		made := &space{ready: make(chan struct{})}
		if found, ok = i.spaces.LoadOrStore(name, made); !ok {
			i.named.Add(1)
			i.fill(ctx, name, made)
			return made, made.err
		}
	}
	s := found.(*space)
	select {
	case <-s.ready:
		return s, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fill opens a namespace. One that fails is forgotten, so that the next call tries again.
func (i *instance) fill(ctx context.Context, name string, s *space) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultDrain) // others wait for it, whose calls do not end with this one
	defer cancel()
	defer close(s.ready)
	var interfaces backend.Interfaces
	s.err = i.guard(func() (err error) {
		if interfaces, err = i.open.Namespace(ctx, name); err == nil {
			s.handlers = interfaces.Handlers()
		}
		return err
	})
	if s.err != nil {
		i.spaces.Delete(name)
		i.named.Add(-1)
		return
	}
	if former := i.layout.Load(); former != nil && fits(*former, s.handlers) {
		s.at = *former
		return
	}
	s.at = make(map[string]int, len(s.handlers))
	for n, h := range s.handlers {
		s.at[h.Method.Procedure] = n
	}
	i.layout.Store(&s.at)
}

func fits(at map[string]int, handlers []rpc.Handler) bool {
	if len(at) != len(handlers) {
		return false
	}
	for n, h := range handlers {
		if place, ok := at[h.Method.Procedure]; !ok || place != n {
			return false
		}
	}
	return true
}

// handler returns the handler of a procedure.
func (s *space) handler(procedure string) (rpc.Handler, error) {
	n, ok := s.at[procedure]
	if !ok {
		return rpc.Handler{}, errNotOffered(procedure)
	}
	return s.handlers[n], nil
}

func errNotOffered(procedure string) error {
	return fault.New(fault.Unimplemented, "the instance does not offer %s", rpc.Clip(procedure))
}
