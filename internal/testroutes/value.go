package testroutes

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/rpc"
)

// value opens the backend as a gateway does, and calls it without one.
//
// A gateway's names are letters, digits and a few signs, with the name of a slot. A backend is told names that are worse: each case has one that an implementation may mistake for
// a pattern or for syntax.
func value(t *testing.T, s subject) opener {
	t.Helper()
	backends := wiring.Backends()
	i := slices.IndexFunc(backends, func(b backend.Type) bool { return b.Name == s.backend.Name })
	require.GreaterOrEqual(t, i, 0, "this build has no code for %s", s.backend.Name)
	// Opening ends, and what was opened goes on: an instance must not keep the context that it was opened in.
	opening, opened := context.WithCancel(t.Context())
	instance, err := backends[i].Open(opening, backend.Env{Instance: s.instance.GetName()}, planned(t, s.instance).Config)
	opened()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, instance.Close(context.WithoutCancel(t.Context()))) })

	run := rand.Text()
	var names atomic.Int64
	return func(t *testing.T) *prism.Interfaces {
		t.Helper()
		n := names.Add(1)
		opening, opened := context.WithCancel(t.Context())
		defer opened()
		interfaces, err := instance.Namespace(opening, fmt.Sprintf("%s%d%s", run, n, hostile[int(n)%len(hostile)]))
		require.NoError(t, err)
		offering, ok := interfaces.(rpc.Offering)
		require.True(t, ok, "%T is no set of interfaces", interfaces)
		return prism.From(offering)
	}
}

// hostile are what names of namespaces end with on the value.
var hostile = []string{
	"", "/registry", "*", ">", ".>", ".*", "..", ":", "{}", "{a}", "}", "[a-z]*", "?", `\`, `"`, "'", "`", "';--", "%", "_", "$1", " ", "\t", "\n", "\r\n", "\x00", "日本語", "\u0301", "😀",
	strings.Repeat("n", 500),
}

// planned is what a gateway makes of an instance's configuration.
func planned(t *testing.T, instance *configv1.BackendInstance) *plan.Instance {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	made, err := plan.Make(&configv1.Config{
		Backends: []*configv1.BackendInstance{instance}, Namespaces: []*configv1.Namespace{{Name: "any", Backend: instance.GetName()}},
	}, known)
	require.NoError(t, err)
	return made.Instances[0]
}
