// Package gateway serves namespaces: it takes a call of any transport, finds the namespace that the call addresses, and executes it on what fills that
// namespace.
//
// A [Gateway] knows no transport. [Gateway.Serve] is the whole pipeline for one call of any shape, whose steps pipeline.go lists; [Gateway.Routes] says which calls
// there are. [Gateway.Apply] changes what is served while it serves.
package gateway

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/deployment"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/rpc"
)

// Options are what a gateway is made of.
type Options struct {
	// Catalog says which interfaces and services clients may ask for.
	Catalog *catalog.Catalog
	// Backends are the code of the catalog's backends.
	Backends []backend.Type
	// Patterns are the code of the catalog's patterns.
	Patterns []pattern.Type
	// Provider is the command that starts a provider of this build, when the name of a backend is added to it: what sidecars are. Without it each sidecar names its own.
	Provider []string
	// Build is the gateway's name and version, for the logs of providers.
	Build string
	// Steps come first in the pipeline, outermost first: those of runtime/observe.
	Steps []rpc.Middleware
	// Gone is told of each namespace that no configuration has any more, when its last call has left Steps; nil is not told.
	Gone func(namespace string)
	// Log is told of what ends badly in the background, and given to patterns; nil discards.
	Log *slog.Logger
}

// Gateway serves calls on namespaces. Make one with [New].
type Gateway struct {
	catalog  *catalog.Catalog
	opener   *deployment.Opener
	patterns map[string]pattern.Type
	steps    []rpc.Middleware
	gone     func(namespace string)
	log      *slog.Logger
	// lost serves the calls that find no namespace.
	lost rpc.ServeFunc

	// namespaces is what a call looks at, instances what operators do; current and all below is what changes them.
	namespaces atomic.Pointer[map[string]*namespace]
	instances  atomic.Pointer[map[string]*instance]

	applying sync.Mutex
	current  *generation
	layout   *layout // of the namespace that was made last
	// retiring are the namespaces and instances that are on their way out.
	retiring sync.WaitGroup
	closing  context.Context //nolint:containedctx // it is no call's: it ends with the gateway
	close    context.CancelFunc
	draining context.Context //nolint:containedctx // it is no call's: it ends when the gateway drains
	drain    context.CancelCauseFunc
}

// New returns a gateway that serves no namespace yet. What runs in the background for it ends with Close, whatever becomes of the context.
func New(ctx context.Context, o Options) *Gateway {
	g := &Gateway{
		catalog:  o.Catalog,
		opener:   &deployment.Opener{Catalog: o.Catalog, Backends: o.Backends, Command: o.Provider, Gateway: o.Build},
		patterns: make(map[string]pattern.Type, len(o.Patterns)),
		steps:    o.Steps,
		gone:     o.Gone,
		log:      o.Log,
		current:  &generation{},
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.gone == nil {
		g.gone = func(string) {}
	}
	for _, t := range o.Patterns {
		g.patterns[t.Name] = t
	}
	g.closing, g.close = context.WithCancel(context.WithoutCancel(ctx))
	g.draining, g.drain = context.WithCancelCause(context.WithoutCancel(ctx))
	g.namespaces.Store(&g.current.namespaces)
	g.instances.Store(&g.current.instances)
	g.lost = g.observed(notFound)
	return g
}

// Namespaces returns the names of the namespaces that are served, sorted.
func (g *Gateway) Namespaces() []string {
	return slices.Sorted(maps.Keys(*g.namespaces.Load()))
}

// Plan returns what is served; nil before the first Apply.
func (g *Gateway) Plan() *plan.Plan {
	g.applying.Lock()
	defer g.applying.Unlock()
	return g.current.plan
}

// InFlight yields how many calls are under way in each namespace.
func (g *Gateway) InFlight(yield func(namespace string, calls int64)) {
	for name, n := range *g.namespaces.Load() {
		yield(name, n.hold.users.Load())
	}
}

// EachBackend yields the backend instances that are open, by name: the backend's catalog name, and how its server is.
func (g *Gateway) EachBackend(yield func(instance, backend string, status *backend.Status)) {
	instances := *g.instances.Load()
	for _, name := range slices.Sorted(maps.Keys(instances)) {
		yield(name, instances[name].planned.Backend.Name, instances[name].status)
	}
}
