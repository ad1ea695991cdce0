package gateway

import (
	"context"
	"log/slog"
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
	layout  *layout
	// handlers stand as the layout says.
	handlers []rpc.Handler
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

// endStreams ends every stream of the namespace for a cause.
func (n *namespace) endStreams(cause error) {
	n.streams.end(cause)
	n.subscriptions.end(cause)
}

// route is the last step: the handler of the call's method.
func (n *namespace) route(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
	i, ok := n.layout.at[call.Method]
	if !ok {
		return n.notOffered(call.Method)
	}
	handler := n.handlers[i]
	switch {
	case call.Method.Shape != rpc.ShapeUnary && call.Method.Blocking:
		return n.subscriptions.during(ctx, handler, stream)
	case call.Method.Shape != rpc.ShapeUnary:
		return n.streams.during(ctx, handler, stream)
	case len(n.formers) > 0 && bound(call.Method):
		return n.formers.orHere(ctx, handler, stream)
	}
	return handler.Serve(ctx, stream)
}

func (n *namespace) notOffered(m *rpc.Method) error {
	return fault.New(fault.Unimplemented, "namespace %q does not offer %s; it offers %s", n.name, offered(m), strings.Join(n.layout.offers, ", ")).
		WithReason("INTERFACE_NOT_OFFERED", "namespace", n.name, "interface", offered(m))
}
