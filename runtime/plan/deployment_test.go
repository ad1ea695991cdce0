package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/plan"
)

func TestDeployments(t *testing.T) {
	t.Parallel()
	p := makePlan(t, `
backends:
  - {name: said, type: memstore, deployment: in-process}
  - {name: beside, type: memstore, deployment: sidecar}
  - {name: other, type: memstore, deployment: sidecar, provider: {command: [a, b], start_timeout: 30s}}
  - {name: socket, type: memstore, deployment: remote, provider: {address: "unix:/run/provider.sock"}}
  - {name: near, type: memstore, deployment: remote, provider: {address: "127.0.0.1:8990"}}
  - {name: far, type: memstore, deployment: remote, provider: {address: "provider.example.com:8990", tls: {cert_file: a.pem, key_file: b.pem}}}
namespaces:
  - {name: a, backend: memstore}
  - {name: b, backend: said}
  - {name: c, backend: beside}
  - {name: d, backend: other}
  - {name: e, backend: socket}
  - {name: f, backend: near}
  - {name: g, backend: far}
`)
	got := map[string]plan.Deployment{}
	for _, i := range p.Instances {
		got[i.Name] = i.Deployment
		require.Equal(t, i.Deployment != plan.InProcess, i.Provider != nil, i.Name)
	}
	require.Equal(t, map[string]plan.Deployment{
		"memstore": plan.InProcess, "said": plan.InProcess, "beside": plan.Sidecar, "other": plan.Sidecar, "socket": plan.Remote, "near": plan.Remote, "far": plan.Remote,
	}, got)
}

func TestAnInstanceThatMovesIsOpenedAnew(t *testing.T) {
	t.Parallel()
	with := func(more string) *plan.Plan {
		return makePlan(t, "backends: [{name: m, type: memstore"+more+"}]\nnamespaces: [{name: a, backend: m}]")
	}
	for _, test := range []struct{ before, after, what string }{
		{"", ", deployment: in-process", ""},
		{", deployment: sidecar", ", deployment: sidecar, provider: {}", ""},
		{"", ", deployment: sidecar", "deployment in-process -> sidecar"},
		{", deployment: sidecar", `, deployment: remote, provider: {address: "unix:/a"}`, "deployment sidecar -> remote"},
		{`, deployment: remote, provider: {address: "unix:/a"}`, `, deployment: remote, provider: {address: "unix:/b"}`, "provider"},
	} {
		before, after := with(test.before), with(test.after)
		require.Equal(t, test.what == "", plan.SameInstance(before.Instances[0], after.Instances[0]), test.what)
		if test.what != "" {
			difference := plan.Compare(before, after)
			require.Equal(t, []plan.Change{{Name: "m", What: []string{test.what}}}, difference.Instances.Changed)
			require.Equal(t, before.Instances[0].Deployment != plan.Remote, len(difference.Lost) > 0, "a remote provider keeps what it holds")
		}
	}
}
