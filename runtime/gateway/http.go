package gateway

import (
	"context"
	"net/http"

	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// NewHTTPHandler serves a gateway over HTTP: every interface of its catalog as gRPC, Connect, gRPC-Web and JSON, gRPC's health protocol, and gRPC's
// reflection of all of them.
func NewHTTPHandler(g *Gateway, state *health.State) http.Handler {
	routes := map[string]http.Handler{}
	for _, i := range served(g.catalog) {
		for _, r := range i.RPCs {
			routes[r.Method.Procedure] = httprpc.NewHandler(r.Method, g.Serve)
		}
	}
	for _, handler := range state.Handlers() {
		serve := rpc.Chain(func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) }, g.observe, g.recover)
		routes[handler.Method.Procedure] = httprpc.NewHandler(handler.Method, serve)
	}
	rest := httprpc.NewReflection(append(Services(g.catalog), health.Service)...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A map finds a procedure in one look; a mux would walk its tree.
		if handler := routes[r.URL.Path]; handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
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
