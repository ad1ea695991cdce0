package gateway

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/rpc"
)

// namespace is one namespace, open and ready to serve. It is not changed once it serves: a new configuration makes a new one, unless it would be the same.
type namespace struct {
	name    string
	planned *plan.Namespace
	limits  *configv1.NamespaceLimits
	log     *slog.Logger
	// offers are the catalog names of its interfaces and the names of its services, sorted.
	offers   []string
	handlers []rpc.Handler
	routes   map[*rpc.Method]rpc.ServeFunc
	// serve is the whole pipeline.
	serve rpc.ServeFunc
	// explain says what serves the namespace, for callers who may ask.
	explain string

	// spaces are what it uses of backend instances, each of which is held; patterns are its open patterns, outermost first.
	spaces   []space
	patterns []pattern.Instance

	// hold counts the calls under way.
	hold *hold
	// streams end when the namespace was replaced and the grace is over.
	streams *ending
	// subscriptions are the streams that wait for something to happen and never end by themselves. They end when the gateway drains, too.
	subscriptions *ending
	// former is the namespace that this one has replaced, when its transactions go on for the grace; formers are all whose transactions may go on, that one first.
	former  *former
	formers formers
}

// addRoutes routes calls to the handlers.
func (n *namespace) addRoutes() {
	n.routes = make(map[*rpc.Method]rpc.ServeFunc, len(n.handlers))
	for _, handler := range n.handlers {
		n.routes[handler.Method] = n.routeTo(handler)
		if name := offered(handler.Method); !slices.Contains(n.offers, name) {
			n.offers = append(n.offers, name)
		}
	}
	slices.Sort(n.offers)
}

// offered is what people call what a method belongs to: an interface or a service.
func offered(m *rpc.Method) string {
	if m.Interface != "" {
		return m.Interface
	}
	return m.Service
}

func (n *namespace) routeTo(handler rpc.Handler) rpc.ServeFunc {
	serve := func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) }
	switch {
	case handler.Method.Shape != rpc.ShapeUnary && handler.Method.Blocking:
		return n.subscriptions.during(serve)
	case handler.Method.Shape != rpc.ShapeUnary:
		return n.streams.during(serve)
	case len(n.formers) > 0 && bound(handler.Method):
		return n.formers.orHere(handler)
	}
	return serve
}

// endStreams ends every stream of the namespace for a cause.
func (n *namespace) endStreams(cause error) {
	n.streams.end(cause)
	n.subscriptions.end(cause)
}

// route is the last step: the handler of the call's method.
func (n *namespace) route(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	route := n.routes[call.Method]
	if route == nil {
		return n.notOffered(call.Method)
	}
	return route(ctx, call, stream)
}

func (n *namespace) notOffered(m *rpc.Method) error {
	return fault.New(fault.Unimplemented, "namespace %q does not offer %s; it offers %s", n.name, offered(m), strings.Join(n.offers, ", ")).
		WithReason("INTERFACE_NOT_OFFERED", "namespace", n.name, "interface", offered(m))
}
