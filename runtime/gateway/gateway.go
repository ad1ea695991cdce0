// Package gateway serves namespaces: it takes a call of any transport, finds the namespace that the call addresses, and executes it on what fills that
// namespace.
//
// A [Gateway] knows no transport. [Gateway.Serve] is the whole pipeline for one call of any shape; [Routes] and [NewFront] put it behind HTTP.
package gateway

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// namespaceLookup is [rpc.NamespaceHeader] in net/http's spelling, in which it is found without an allocation; a transport compares names without case.
const namespaceLookup = "Prism-Namespace"

// Gateway serves calls on namespaces. Make one with [New].
type Gateway struct {
	catalog    *catalog.Catalog
	log        *slog.Logger
	metrics    *Metrics
	namespaces atomic.Pointer[map[string]*namespace]
	serve      rpc.ServeFunc
}

// New returns a gateway that serves no namespace yet. The catalog says which interfaces clients may ask for.
func New(c *catalog.Catalog, log *slog.Logger, metrics *Metrics) *Gateway {
	g := &Gateway{catalog: c, log: log, metrics: metrics}
	g.namespaces.Store(&map[string]*namespace{})
	// The order of the pipeline, outermost first. What a namespace decides for itself comes after dispatch, see newNamespace.
	g.serve = rpc.Chain(g.dispatch,
		g.observe,
		g.recover,
	)
	return g
}

// Serve serves one call.
func (g *Gateway) Serve(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	return g.serve(ctx, call, stream)
}

// Namespaces returns the names of the namespaces that are served, sorted.
func (g *Gateway) Namespaces() []string {
	return slices.Sorted(maps.Keys(*g.namespaces.Load()))
}

// dispatch finds the namespace and in it the method's route.
func (g *Gateway) dispatch(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	names := call.Header.Values(namespaceLookup)
	if len(names) != 1 || names[0] == "" {
		return namespaceHeaderFault(names)
	}
	ns := (*g.namespaces.Load())[names[0]]
	if ns == nil {
		return fault.New(fault.NotFound, "no namespace %q is configured on this gateway; check the %s header", rpc.Clip(names[0]), rpc.NamespaceHeader).
			WithReason("NAMESPACE_NOT_FOUND", "namespace", rpc.Clip(names[0]))
	}
	call.Namespace = ns.name
	route := ns.routes[call.Method]
	if route == nil {
		return ns.notOffered(call.Method)
	}
	return route(ctx, call, stream)
}

func namespaceHeaderFault(names []string) error {
	if len(names) > 1 {
		return fault.New(fault.InvalidArgument, "the request has %d %s headers; a call addresses one namespace", len(names), rpc.NamespaceHeader).
			WithReason("NAMESPACE_AMBIGUOUS")
	}
	return fault.New(fault.InvalidArgument, "the request header %s is missing; set it to the namespace that the call addresses, for example \"%s: default\"",
		rpc.NamespaceHeader, rpc.NamespaceHeader).WithReason("NAMESPACE_MISSING")
}
