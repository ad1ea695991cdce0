package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/plan"
)

const running = `
server: {listen: "127.0.0.1:8980"}
backends:
  - {name: orders-db, type: postgres}
  - {name: small, type: memstore, config: {max_bytes: 100}}
namespaces:
  - {name: kept, backend: redis}
  - {name: bounded, backend: small}
  - {name: gone, backend: memstore}
  - name: videos
    patterns:
      - {pattern: claim-check, slots: {payloads: {backend: small}, target: {next: true}}}
      - {pattern: outbox, slots: {store: {backend: orders-db}, destination: {backend: nats}}}
`

func TestCompareWithNothing(t *testing.T) {
	t.Parallel()
	p := makePlan(t, running)
	d := plan.Compare(nil, p)
	require.Equal(t, plan.Difference{
		Instances:  plan.Changes{Added: []string{"memstore", "nats", "orders-db", "redis", "small"}},
		Namespaces: plan.Changes{Added: []string{"bounded", "gone", "kept", "videos"}},
	}, d)
	require.False(t, d.Empty())
	require.Equal(t, []string{"memstore", "small"}, plan.Compare(p, nil).Lost)
}

func TestCompareWithItself(t *testing.T) {
	t.Parallel()
	d := plan.Compare(makePlan(t, running), makePlan(t, running))
	require.True(t, d.Empty(), d)
	require.Equal(t, []string{"memstore", "nats", "orders-db", "redis", "small"}, d.Instances.Same)
	require.Equal(t, []string{"bounded", "gone", "kept", "videos"}, d.Namespaces.Same)
}

func TestCompare(t *testing.T) {
	t.Parallel()
	d := plan.Compare(makePlan(t, running), makePlan(t, changed))
	require.Equal(t, plan.Difference{
		Instances: plan.Changes{
			Added:   []string{"postgres"},
			Removed: []string{"memstore"},
			Changed: []plan.Change{{Name: "orders-db", What: []string{"config"}}, {Name: "small", What: []string{"type memstore -> redis"}}},
			Same:    []string{"nats", "redis"},
		},
		Namespaces: plan.Changes{
			Added:   []string{"new"},
			Removed: []string{"gone"},
			Changed: []plan.Change{
				{Name: "bounded", What: []string{"limits", "backend small is opened anew"}},
				{Name: "videos", What: []string{"backend orders-db is opened anew", "claim-check config", "claim-check slot payloads small -> redis"}},
			},
			Same: []string{"kept"},
		},
		Lost:    []string{"memstore", "small"},
		Restart: []string{"server.admin"},
	}, d)
}

const changed = `
server: {admin: "127.0.0.1:9000", drain_timeout: 5s, tls: {}, limits: {}}
observability: {access_log: {calls: all}}
backends:
  - {name: orders-db, type: postgres, config: {max_connections: 5}}
  - {name: small, type: redis}
namespaces:
  - {name: new, backend: postgres}
  - {name: kept, backend: redis}
  - {name: bounded, backend: small, limits: {burst: 1, calls_per_second: 1}}
  - name: videos
    patterns:
      - {pattern: claim-check, config: {cert_file: a.pem}, slots: {payloads: {backend: redis}, target: {next: true}}}
      - {pattern: outbox, slots: {store: {backend: orders-db}, destination: {backend: nats}}}
`

func TestSame(t *testing.T) {
	t.Parallel()
	before, after := makePlan(t, running), makePlan(t, changed)
	for i, same := range map[int]bool{0: true, 1: false, 3: false} {
		for j, n := range after.Namespaces {
			if n.Name == before.Namespaces[i].Name {
				require.Equal(t, same, plan.SameNamespace(before.Namespaces[i], after.Namespaces[j]), n.Name)
			}
		}
	}
	require.False(t, plan.SameNamespace(before.Namespaces[0], before.Namespaces[2]), "another name")
	require.True(t, plan.SameInstance(before.Instances[0], makePlan(t, running).Instances[0]))
	require.False(t, plan.SameInstance(before.Instances[0], before.Instances[1]))
}

func TestChangesOfAChain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ before, after, what string }{
		{"backend: redis", "backend: nats", "served by redis -> nats"},
		{"backend: redis", "pattern: compress, slots: {target: {backend: redis}}", "served by redis -> compress v1"},
		{
			"pattern: multicast-registry, slots: {registry: {backend: redis}, messaging: {backend: nats}}",
			"pattern: multicast-registry, slots: {registry: {backend: redis}, messaging: {backend: nats}, durability: {backend: postgres}}",
			"multicast-registry slot durability nothing -> postgres",
		},
	} {
		d := plan.Compare(makePlan(t, entry(test.before)), makePlan(t, entry(test.after)))
		require.Equal(t, []plan.Change{{Name: "a", What: []string{test.what}}}, d.Namespaces.Changed)
	}
}

// entry is a configuration with one namespace.
func entry(text string) string { return "namespaces: [{name: a, " + text + "}]" }
