package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// namespace is one namespace, ready to serve.
type namespace struct {
	name string
	// offers are the catalog names of its interfaces, sorted.
	offers []string
	routes map[*rpc.Method]rpc.ServeFunc
}

func newNamespace(name string, handlers []rpc.Handler) *namespace {
	ns := &namespace{name: name, routes: make(map[*rpc.Method]rpc.ServeFunc, len(handlers))}
	for _, handler := range handlers {
		ns.routes[handler.Method] = func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
			return handler.Serve(ctx, stream)
		}
		if !slices.Contains(ns.offers, handler.Method.Interface) {
			ns.offers = append(ns.offers, handler.Method.Interface)
		}
	}
	slices.Sort(ns.offers)
	return ns
}

func (n *namespace) notOffered(m *rpc.Method) error {
	return fault.New(fault.Unimplemented, "namespace %q does not offer %s; it offers %s", n.name, m.Interface, strings.Join(n.offers, ", ")).
		WithReason("INTERFACE_NOT_OFFERED", "namespace", n.name, "interface", m.Interface)
}
