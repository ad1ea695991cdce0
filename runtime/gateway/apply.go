package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prismgate/prism/runtime/plan"
)

// Apply serves what a plan says, from the moment that it returns. It opens what is new, changes all namespaces in one step, and then lets what is replaced end in
// the background: unary calls finish on what they began on, streams and transactions may go on for the grace and are then ended with UNAVAILABLE and the reason
// CONFIGURATION_CHANGED. Backend instances that did not change are carried over as the same objects. When it fails, nothing has changed.
//
// Calls of Apply run one after another.
func (g *Gateway) Apply(ctx context.Context, p *plan.Plan, grace time.Duration) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	if g.closing.Err() != nil {
		return errors.New("the gateway is closed")
	}
	next, err := g.build(ctx, g.current, p)
	if err != nil {
		return err
	}
	g.replace(ctx, next, grace)
	return nil
}

// Drain ends the streams that wait for something to happen, such as subscriptions, with UNAVAILABLE and the reason GATEWAY_STOPPING: they never end by themselves, and
// nobody need wait for them. Those that come later end at once. All other calls go on.
func (g *Gateway) Drain() { g.drain(errStopping()) }

// Close ends every namespace and closes every backend, once the calls under way have ended or the context has. Call it when no transport serves any more. Backends
// that still have calls when the context ends stay open.
func (g *Gateway) Close(ctx context.Context) error {
	g.applying.Lock()
	defer g.applying.Unlock()
	g.close()
	g.replace(ctx, &generation{}, 0)
	done := make(chan struct{})
	go func() { defer close(done); g.retiring.Wait() }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("calls are still under way, or backends do not close; they are left open")
	}
}

// replace serves the next generation, and lets what it does not have end in the background.
func (g *Gateway) replace(ctx context.Context, next *generation, grace time.Duration) {
	before := g.current
	g.current = next
	g.namespaces.Store(&next.namespaces)
	g.instances.Store(&next.instances)
	ctx = context.WithoutCancel(ctx)
	for name, n := range before.namespaces {
		successor := next.namespaces[name]
		if n.is(successor) {
			continue
		}
		n.hold.retire()
		var kept *former
		if successor != nil {
			kept = successor.former
		}
		g.retiring.Go(func() { g.end(ctx, n, kept, grace) })
	}
	for name, i := range before.instances {
		if next.instances[name] != i {
			g.retiring.Go(func() { g.logClose(ctx, i.release(ctx)) })
		}
	}
}

// end closes a namespace when its calls have ended, which it gives the grace for. Its transactions, if its successor keeps them, may use all of it.
func (g *Gateway) end(ctx context.Context, n *namespace, kept *former, grace time.Duration) {
	graced, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	defer context.AfterFunc(g.closing, cancel)()
	if kept != nil {
		<-graced.Done()
	} else {
		n.hold.wait(graced.Done())
	}
	n.endStreams(replaced(n.name))
	if kept != nil {
		kept.end()
	}
	n.hold.wait(nil)
	g.logClose(ctx, n.close(ctx))
	if (*g.namespaces.Load())[n.name] == nil {
		g.gone(n.name)
	}
}

// logClose tells of what did not close well: nobody waits for it.
func (g *Gateway) logClose(ctx context.Context, err error) {
	if err != nil {
		g.log.LogAttrs(ctx, slog.LevelWarn, "what was replaced did not close well", slog.String("error", err.Error()))
	}
}
