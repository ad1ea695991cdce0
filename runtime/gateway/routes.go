package gateway

import (
	"context"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/reflection"
	"github.com/prismgate/prism/runtime/rpc"
)

// Routes returns what a gateway serves: every interface of its catalog, gRPC's health protocol, and gRPC's reflection of all of them.
func Routes(g *Gateway, state *health.State) []rpc.Route {
	var routes []rpc.Route
	for _, i := range served(g.catalog) {
		for _, r := range i.RPCs {
			routes = append(routes, rpc.Route{Method: r.Method, Serve: g.Serve})
		}
	}
	// What belongs to no namespace is observed all the same.
	own := append(state.Handlers(), reflection.Handlers(append(Services(g.catalog), health.Service)...)...)
	for _, handler := range own {
		serve := rpc.Chain(func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) }, g.observe, g.recover)
		routes = append(routes, rpc.Route{Method: handler.Method, Serve: serve})
	}
	return routes
}

// Services returns the full names of the services that a catalog's clients may call, for [health.NewState].
func Services(c *catalog.Catalog) []string {
	var names []string
	for _, i := range served(c) {
		names = append(names, i.Service)
	}
	return names
}

// served returns the interfaces that clients may call.
func served(c *catalog.Catalog) []catalog.Interface {
	var all []catalog.Interface
	for _, i := range c.Interfaces() {
		if i.Kind != catalog.SlotKind {
			all = append(all, i)
		}
	}
	return all
}
