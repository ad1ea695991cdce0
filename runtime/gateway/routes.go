package gateway

import (
	"slices"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/reflection"
	"github.com/prismgate/prism/runtime/rpc"
)

// Routes returns what the gateway serves: every interface of its catalog, the services of its patterns, gRPC's health protocol, and gRPC's reflection of all of them.
func (g *Gateway) Routes(state *health.State) []rpc.Route {
	var routes []rpc.Route
	for _, m := range methods(g.catalog) {
		routes = append(routes, rpc.Route{Method: m, Serve: g.Serve})
	}
	// What belongs to no namespace is observed all the same.
	own := append(state.Handlers(), reflection.Handlers(append(Services(g.catalog), health.Service)...)...)
	for _, handler := range own {
		routes = append(routes, rpc.Route{Method: handler.Method, Serve: g.ownHandler(handler)})
	}
	return routes
}

// Services returns the full names of the services that a catalog's clients may call, for [health.NewState].
func Services(c *catalog.Catalog) []string {
	var names []string
	for _, m := range methods(c) {
		if !slices.Contains(names, m.Service) {
			names = append(names, m.Service)
		}
	}
	return names
}

// methods returns what clients may call: the interfaces but those that only fill slots, and the services of patterns.
func methods(c *catalog.Catalog) []*rpc.Method {
	var all []*rpc.Method
	for _, i := range c.Interfaces() {
		if i.Kind == catalog.SlotKind {
			continue
		}
		for _, r := range i.RPCs {
			all = append(all, r.Method)
		}
	}
	for _, p := range c.Patterns() {
		for _, s := range p.Services {
			for _, r := range s.RPCs {
				all = append(all, r.Method)
			}
		}
	}
	return all
}
