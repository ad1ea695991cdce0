package testroutes

import (
	"slices"
	"strings"
	"testing"

	"github.com/prismgate/prism/client"
	"github.com/prismgate/prism/internal/testmachine"
	"github.com/prismgate/prism/internal/testrace"
	"github.com/prismgate/prism/runtime/catalog"
)

// Route is a way on which a backend is reached.
type Route struct {
	// Name is the route's name, in subtests and in the table of cells.
	Name string

	open func(t *testing.T, s subject) opener
	// runs tells whether an interface is run; nil runs all.
	runs func(name string) bool
}

func protocol(name string, options ...client.Option) Route {
	return Route{Name: name, open: func(t *testing.T, s subject) opener { return gateways(t, s, 1, options...) }}
}

// Routes returns every route, in the order of the table.
func Routes() []Route {
	return []Route{
		{Name: "value", open: value},
		protocol("grpc"),
		protocol("grpcweb", client.WithProtocol(client.GRPCWeb)),
		protocol("connect", client.WithProtocol(client.Connect)),
		protocol("connect-http1", client.WithProtocol(client.Connect), client.WithHTTP1()),
		{Name: "sidecar", open: sidecar},
		{Name: "two-gateways", open: func(t *testing.T, s subject) opener { return gateways(t, s, 2) }, runs: outlives},
	}
}

// Of returns the routes that a backend's suites are run over.
func Of(backend string) []Route {
	return slices.DeleteFunc(Routes(), func(r Route) bool {
		if backend == "memstore" {
			return r.Name == "two-gateways" // what it holds is in one process, and two share nothing
		}
		// What protocols do to messages does not depend on the backend: MemStore, which costs nothing, shows the rarer ones.
		return r.Name == "grpcweb" || r.Name == "connect-http1"
	})
}

// outlives tells whether an interface has handles, or groups that several gateways serve: something that one call gives and another call, on another gateway, uses.
func outlives(name string) bool {
	return name == "keyvalue_scan" || name == "keyvalue_transactional" || strings.HasPrefix(name, "pubsub_") || strings.HasPrefix(name, "queue_")
}

// Interfaces returns the names of the interfaces of a backend whose suites are run over the route, in the order of their names. What is not served to clients has no suite.
func (r Route) Interfaces(known *catalog.Catalog, backend catalog.Backend) []string {
	return slices.DeleteFunc(slices.Sorted(slices.Values(backend.Implements)), func(name string) bool {
		declared, ok := known.Interface(name)
		return ok && declared.Kind == catalog.SlotKind || r.runs != nil && !r.runs(name)
	})
}

// machines are those of the data models of which an interface is run over the route.
func (r Route) machines(backend catalog.Backend) []testmachine.Machine {
	return slices.DeleteFunc(testmachine.Machines(), func(m testmachine.Machine) bool {
		return !slices.ContainsFunc(backend.Implements, func(name string) bool {
			return strings.HasPrefix(name, m.Model+"_") && (r.runs == nil || r.runs(name))
		})
	})
}

// Cells returns the names of what is run over the route: the interfaces, and the data models that are compared with MemStore.
func (r Route) Cells(known *catalog.Catalog, backend catalog.Backend) []string {
	cells := r.Interfaces(known, backend)
	for _, machine := range r.machines(backend) {
		cells = append(cells, machine.Model)
	}
	return cells
}

// skipped tells whether a test leaves the route out: with -short all but the value, and under the race detector, which makes everything take several times as long, what a backend's code does
// not see: MemStore shows that clients and gateway are free of races.
func (r Route) skipped(backend string) bool {
	if r.Name == "value" {
		return false
	}
	return testing.Short() || testrace.Enabled && (r.Name != "grpc" || backend != "memstore")
}
