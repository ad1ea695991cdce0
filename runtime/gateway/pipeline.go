package gateway

import (
	"context"

	"github.com/prismgate/prism/runtime/rpc"
)

// A call meets these steps, whatever transport it came by, in this order:
//
//	recover, request id, observe, explain    runtime/observe, see [Options.Steps]
//	(identity)                               its place, once callers are authenticated
//	namespace                                enter.go: finds the namespace and holds it for as long as the call takes
//	(policy)                                 its place, once calls are authorised
//	limits                                   limits.go: rate, concurrency, message size
//	deadline                                 deadline.go
//	route                                    namespace.go: the handler
//
// What comes before namespace is the same for every call and made once. What comes after it is the namespace's own and made with the namespace: a limit that is
// not set costs nothing.

// pipeline is what serves every call.
func (g *Gateway) pipeline() rpc.ServeFunc { return g.observed(g.enter) }

// observed puts the first steps around what serves a call.
func (g *Gateway) observed(serve rpc.ServeFunc) rpc.ServeFunc { return rpc.Chain(serve, g.steps...) }

// pipeline is what serves the calls that have found the namespace.
func (n *namespace) pipeline() rpc.ServeFunc {
	var steps []rpc.Middleware
	for _, step := range []rpc.Middleware{n.limitRate(), n.limitConcurrency(), n.limitMessages(), n.limitTime()} {
		if step != nil {
			steps = append(steps, step)
		}
	}
	return rpc.Chain(n.route, steps...)
}

// ownHandler serves a handler that belongs to no namespace, such as health's. It is observed all the same.
func (g *Gateway) ownHandler(handler rpc.Handler) rpc.ServeFunc {
	return g.observed(func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) })
}
