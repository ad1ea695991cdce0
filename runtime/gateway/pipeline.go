package gateway

import (
	"context"

	"github.com/prismgate/prism/runtime/rpc"
)

// A call meets these steps, whatever transport it came by, in this order:
//
//	recover, request id, observe, explain    runtime/observe, see [Options.Steps]
//	(identity)                               its place, once callers are authenticated
//	namespace                                enter.go: a call that has found none ends here
//	(policy)                                 its place, once calls are authorised
//	limits                                   admit.go: rate, concurrency, message size
//	deadline                                 deadline.go
//	route                                    namespace.go: the handler
//
// They are made once, with the namespace: a limit that is not set costs nothing.

// observed puts the first steps around what serves a call.
func (g *Gateway) observed(serve rpc.ServeFunc) rpc.ServeFunc { return rpc.Chain(serve, g.steps...) }

// pipeline is what serves the calls that have found the namespace.
func (n *namespace) pipeline() rpc.ServeFunc {
	steps := []rpc.Middleware{n.found}
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
