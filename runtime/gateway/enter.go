package gateway

import (
	"context"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// namespaceLookup is [rpc.NamespaceHeader] in net/http's spelling, in which it is found without an allocation; a transport compares names without case.
const namespaceLookup = "Prism-Namespace"

// Serve serves one call. The namespace is held until all steps are through, so that it is not gone before its last call has been counted.
func (g *Gateway) Serve(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	n := g.enter(call)
	if n == nil {
		return g.lost(ctx, call, stream)
	}
	defer n.hold.release()
	return n.serve(ctx, call, stream)
}

// enter finds the namespace that a call addresses, and holds it. It returns nil when there is none.
func (g *Gateway) enter(call *rpc.Call) *namespace {
	names := call.Header.Values(namespaceLookup)
	if len(names) != 1 {
		return nil
	}
	for {
		n := (*g.namespaces.Load())[names[0]]
		if n == nil || n.hold.take() {
			return n
		}
		// It was replaced this very moment: what replaces it is there already.
	}
}

// notFound is why a call has found no namespace.
func notFound(_ context.Context, call *rpc.Call, _ rpc.Stream) error {
	names := call.Header.Values(namespaceLookup)
	switch {
	case len(names) > 1:
		return fault.New(fault.InvalidArgument, "the request has %d %s headers; a call addresses one namespace", len(names), rpc.NamespaceHeader).
			WithReason("NAMESPACE_AMBIGUOUS")
	case len(names) == 0 || names[0] == "":
		return fault.New(fault.InvalidArgument, "the request header %s is missing; set it to the namespace that the call addresses, for example \"%s: default\"",
			rpc.NamespaceHeader, rpc.NamespaceHeader).WithReason("NAMESPACE_MISSING")
	}
	return fault.New(fault.NotFound, "no namespace %q is configured on this gateway; check the %s header", rpc.Clip(names[0]), rpc.NamespaceHeader).
		WithReason("NAMESPACE_NOT_FOUND", "namespace", rpc.Clip(names[0]))
}

// found tells the call what it has found.
func (n *namespace) found(next rpc.ServeFunc) rpc.ServeFunc {
	return func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
		if call.Start.IsZero() {
			call.Start = time.Now() // nobody observes, who would have set it
		}
		call.Namespace, call.Explain = n.name, n.explain
		return next(ctx, call, stream)
	}
}
