package gateway

import (
	"context"
	"time"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// namespaceLookup is [rpc.NamespaceHeader] in net/http's spelling, in which it is found without an allocation; a transport compares names without case.
const namespaceLookup = "Prism-Namespace"

// enter finds the namespace that a call addresses, and holds it until the call has ended.
func (g *Gateway) enter(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	names := call.Header.Values(namespaceLookup)
	if len(names) != 1 || names[0] == "" {
		return namespaceHeaderFault(names)
	}
	if call.Start.IsZero() {
		call.Start = time.Now() // nobody observes, who would have set it
	}
	for {
		ns := (*g.namespaces.Load())[names[0]]
		if ns == nil {
			return fault.New(fault.NotFound, "no namespace %q is configured on this gateway; check the %s header", rpc.Clip(names[0]), rpc.NamespaceHeader).
				WithReason("NAMESPACE_NOT_FOUND", "namespace", rpc.Clip(names[0]))
		}
		if !ns.hold.take() {
			continue // it was replaced this very moment: what replaces it is there already
		}
		defer ns.hold.release()
		call.Namespace, call.Explain = ns.name, ns.explain
		return ns.serve(ctx, call, stream)
	}
}

func namespaceHeaderFault(names []string) error {
	if len(names) > 1 {
		return fault.New(fault.InvalidArgument, "the request has %d %s headers; a call addresses one namespace", len(names), rpc.NamespaceHeader).
			WithReason("NAMESPACE_AMBIGUOUS")
	}
	return fault.New(fault.InvalidArgument, "the request header %s is missing; set it to the namespace that the call addresses, for example \"%s: default\"",
		rpc.NamespaceHeader, rpc.NamespaceHeader).WithReason("NAMESPACE_MISSING")
}
