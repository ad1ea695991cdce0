// Package testroutes runs the conformance suites of everything that a backend declares over every route on which it can be reached: what holds for the value holds for a client of a
// gateway over any protocol, for a provider in another process, and for two gateways at once.
//
// A backend's folder has one test for it,
//
//	func TestRoutes(t *testing.T) {
//		testroutes.Conformance(t, &configv1.BackendInstance{Name: "subject", Type: "redis", Config: ...})
//	}
//
// One interface of a backend over one route is a cell, and a subtest: TestRoutes/grpc/keyvalue_scan. So is the comparison of a data model with MemStore by random operations:
// TestRoutes/grpc/keyvalue. `make cells` runs all cells and fails when one is missing. Cases that a backend
// cannot pass yet are listed in known_gaps.txt in its folder, see [Gaps].
package testroutes

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/internal/testmachine"
	"github.com/prismgate/prism/runtime/catalog"
)

// gapsFile is where a backend's folder lists its known gaps.
const gapsFile = "known_gaps.txt"

// Conformance runs the suites of every interface that the instance's backend declares, over each of its routes. Namespaces have names that no other run has, so that the server may have
// been used before.
func Conformance(t *testing.T, instance *configv1.BackendInstance) {
	t.Helper()
	gaps, err := ReadGaps(gapsFile)
	require.NoError(t, err)
	known, err := registry.Catalog()
	require.NoError(t, err)
	backend, ok := known.Backend(instance.GetType())
	require.True(t, ok, "the schema declares no backend %q", instance.GetType())
	all := suites.List()
	for _, route := range Of(backend.Name) {
		t.Run(route.Name, func(t *testing.T) {
			if route.skipped(backend.Name) {
				t.Skip("takes long; it is run by `go test` without -short and -race, and by `make cells`")
			}
			open := route.open(t, subject{instance, backend})
			for _, name := range route.Interfaces(known, backend) {
				i := slices.IndexFunc(all, func(s suites.Suite) bool { return s.Interface == name })
				require.GreaterOrEqual(t, i, 0, "%s has no suite", name)
				t.Run(name, func(t *testing.T) { gaps.run(t, all[i], open) })
			}
			for _, machine := range route.machines(backend) {
				t.Run(machine.Model, func(t *testing.T) { machine.Run(t, open(t), testmachine.Oracle(t)) })
			}
		})
	}
}

// subject is what is tested.
type subject struct {
	instance *configv1.BackendInstance
	backend  catalog.Backend
}

// opener opens a fresh namespace.
type opener = func(t *testing.T) *prism.Interfaces
