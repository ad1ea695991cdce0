package gateway

import (
	"slices"

	"github.com/prismgate/prism/runtime/rpc"
)

// layout says where the handlers of a namespace stand in their list. Namespaces that offer the same share one: with a thousand of them, a map for each would be most of what
// the gateway holds in memory.
type layout struct {
	methods []*rpc.Method
	at      map[*rpc.Method]int
	// offers are the catalog names of the interfaces and the names of the services, sorted.
	offers []string
}

// layoutOf returns the layout of some handlers: the former one if that fits.
func layoutOf(handlers []rpc.Handler, former *layout) *layout {
	if former != nil && slices.EqualFunc(handlers, former.methods, func(h rpc.Handler, m *rpc.Method) bool { return h.Method == m }) {
		return former
	}
	l := &layout{at: make(map[*rpc.Method]int, len(handlers))}
	for i, h := range handlers {
		l.methods = append(l.methods, h.Method)
		l.at[h.Method] = i
		if name := offered(h.Method); !slices.Contains(l.offers, name) {
			l.offers = append(l.offers, name)
		}
	}
	slices.Sort(l.offers)
	return l
}

// offered is what people call what a method belongs to: an interface or a service.
func offered(m *rpc.Method) string {
	if m.Interface != "" {
		return m.Interface
	}
	return m.Service
}
