package plan_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	"github.com/prismgate/prism/internal/testcatalog"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

func makePlan(t *testing.T, text string) *plan.Plan {
	t.Helper()
	p, err := plan.Make(parse(t, text), testcatalog.New(t))
	require.NoError(t, err)
	return p
}

func TestDefaultNamespace(t *testing.T) {
	t.Parallel()
	for _, c := range []*configv1.Config{nil, {}, {NamespaceLimits: &configv1.NamespaceLimits{MaxConcurrentCalls: 7}}} {
		p, err := plan.Make(c, testcatalog.New(t))
		require.NoError(t, err)
		require.Same(t, c, p.Config)
		require.Len(t, p.Namespaces, 1)
		n := p.Namespaces[0]
		require.Equal(t, "default", n.Name)
		require.Same(t, p.Instances[0], n.Backend)
		require.Equal(t, "memstore", n.Backend.Name)
		require.True(t, proto.Equal(new(backendsv1.MemStore), n.Backend.Config))
		require.Equal(t, n.Backend.Backend.Implements, n.Offers)
		require.Equal(t, c.GetNamespaceLimits().GetMaxConcurrentCalls(), n.Limits.GetMaxConcurrentCalls())
	}
}

func TestDefaultNamespaceNeedsMemStore(t *testing.T) {
	t.Parallel()
	none, err := catalog.New(nil, nil, nil)
	require.NoError(t, err)
	_, err = plan.Make(nil, none)
	require.EqualError(t, err, `namespaces: no backend instance "memstore" is configured, and no backend of this build has that name; there is none`)
}

func TestInstances(t *testing.T) {
	t.Parallel()
	p := makePlan(t, `
backends:
  - {name: orders-db, type: postgres, config: {max_connections: 4Ki, idle_timeout: 1h30m}}
  - {name: unused, type: redis}
  - {name: cache, type: redis, config: {endpoint: "http://a", sample_ratio: 0.5, headers: {key: {env: KEY}, "another key": {file: /run/key}}}}
namespaces:
  - {name: b, backend: orders-db}
  - {name: a, backend: cache}
  - {name: c, backend: orders-db}
  - {name: d, backend: redis}
`)
	var names, paths []string
	for _, instance := range p.Instances {
		names, paths = append(names, instance.Name), append(paths, instance.Path)
	}
	require.Equal(t, []string{"cache", "orders-db", "redis"}, names)
	require.Equal(t, []string{"backends[2]", "backends[0]", "namespaces[3].backend"}, paths)
	require.Same(t, p.Namespaces[0].Backend, p.Namespaces[2].Backend)
	require.True(t, proto.Equal(&configv1.Limits{MaxConnections: 4096, IdleTimeout: durationpb.New(90 * time.Minute)}, p.Instances[1].Config), p.Instances[1].Config)
	require.True(t, proto.Equal(&configv1.Tracing{Endpoint: "http://a", SampleRatio: proto.Float64(0.5), Headers: map[string]*configv1.Secret{
		"key":         {Source: &configv1.Secret_Env{Env: "KEY"}},
		"another key": {Source: &configv1.Secret_File{File: "/run/key"}},
	}}, p.Instances[0].Config), p.Instances[0].Config)
	require.Equal(t, []string{"keyvalue_basic", "queue_basic", "queue_dead_letter", "queue_visibility"}, p.Namespaces[0].Offers,
		"what only fills slots is not served to clients")
}

func TestShortForm(t *testing.T) {
	t.Parallel()
	p := makePlan(t, `
namespaces:
  - name: iot-devices
    pattern: multicast-registry
    version: v1
    config: {fan_out: 7, presence_ttl: 5s}
    slots: {registry: {backend: redis}, messaging: {backend: nats}, durability: {backend: postgres}}
`)
	n := p.Namespaces[0]
	require.Nil(t, n.Backend)
	require.Empty(t, n.Offers)
	require.Equal(t, []string{"prism.patterns.v1.MulticastRegistryService"}, n.Services)
	require.Len(t, n.Steps, 1)
	require.Equal(t, "namespaces[0]", n.Steps[0].Path)
	require.True(t, proto.Equal(&patternsv1.MulticastRegistry{FanOut: 7, PresenceTtl: durationpb.New(5 * time.Second)}, n.Steps[0].Config), "its slots are not set")
	var filled []string
	for _, filling := range n.Steps[0].Slots {
		require.Equal(t, filling.Backend, filling.Instance.Name)
		filled = append(filled, filling.Slot.Name+"="+filling.Backend+" at "+filling.Path)
	}
	require.Equal(t, []string{
		"registry=redis at namespaces[0].slots.registry", "messaging=nats at namespaces[0].slots.messaging", "durability=postgres at namespaces[0].slots.durability",
	}, filled)
}

// TestChain shows that what a step offers is computed from the innermost one outwards.
func TestChain(t *testing.T) {
	t.Parallel()
	p := makePlan(t, `
namespaces:
  - name: videos
    patterns:
      - {pattern: compress, slots: {target: {next: true}}}
      - {pattern: claim-check, slots: {payloads: {backend: redis}, target: {next: true}}}
      - {pattern: outbox, version: v2, config: {calls: all}, slots: {store: {backend: postgres}, destination: {backend: nats}}}
  - name: store
    patterns:
      - {pattern: compress, slots: {target: {backend: postgres}}}
`)
	n := p.Namespaces[0]
	require.Equal(t, []string{"keyvalue_basic"}, n.Offers)
	require.Len(t, n.Steps, 3)
	for i, step := range n.Steps {
		require.Equal(t, []string{"keyvalue_basic"}, step.Offers, i)
	}
	target := n.Steps[1].Slots[1]
	require.Nil(t, target.Instance)
	require.Empty(t, target.Backend)
	require.Equal(t, "namespaces[0].patterns[1].slots.target", target.Path)
	require.Equal(t, []string{"keyvalue_basic"}, target.Offers)

	inner := p.Namespaces[1]
	require.Contains(t, inner.Steps[0].Offers, "change_feed", "a pattern passes on what only fills slots")
	require.NotContains(t, inner.Offers, "change_feed")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	p := makePlan(t, `
namespace_limits: {calls_per_second: 100, max_concurrent_calls: 5, default_deadline: 1.5s}
namespaces:
  - {name: a, backend: redis}
  - {name: b, backend: redis, limits: {burst: 7, max_concurrent_calls: 9, default_deadline: 2s}}
`)
	all := &configv1.NamespaceLimits{CallsPerSecond: 100, MaxConcurrentCalls: 5, DefaultDeadline: durationpb.New(1500 * time.Millisecond)}
	require.True(t, proto.Equal(all, p.Namespaces[0].Limits), p.Namespaces[0].Limits)
	own := &configv1.NamespaceLimits{CallsPerSecond: 100, Burst: 7, MaxConcurrentCalls: 9, DefaultDeadline: durationpb.New(2 * time.Second)}
	require.True(t, proto.Equal(own, p.Namespaces[1].Limits), p.Namespaces[1].Limits)
	require.True(t, proto.Equal(all, p.Config.GetNamespaceLimits()), "the configuration was changed")
}

func TestServersThatCanListen(t *testing.T) {
	t.Parallel()
	makePlan(t, `
server:
  listen: 127.0.0.1:0
  admin: 127.0.0.1:0
  tls: {}
  listeners: [{address: "unix:/run/a", mode: "0600"}, {address: "unix:/run/b"}, {address: "127.0.0.1:9000"}, {address: "127.0.0.2:9000"}, {address: "[::1]:9000"}]
observability: {tracing: {endpoint: "https://collector:4318/v1/traces"}, access_log: {calls: all, slow: 1s}}
`)
}

func TestExamineShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	p, problems := plan.Examine(parse(t, `
namespaces:
  - {name: a, pattern: multicast-registry, slots: {registry: {backend: redsi}, messaging: {backend: postgres}}}
  - {name: b, pattern: quux}
`), testcatalog.New(t))
	require.Len(t, problems, 3)
	step := p.Namespaces[0].Steps[0]
	require.Equal(t, "redsi", step.Slots[0].Backend)
	require.Nil(t, step.Slots[0].Instance)
	require.Equal(t, "postgres", step.Slots[1].Instance.Name)
	require.Equal(t, catalog.Pattern{Name: "quux"}, p.Namespaces[1].Steps[0].Pattern)
}

// TestProblemsAreBounded shows that a file that is wrong all over is refused soon: each mistake is told, and only the first come with a suggestion.
func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	c := new(configv1.Config)
	for i := range 50_000 {
		name := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + string(rune('a'+i/17576))
		c.Namespaces = append(c.Namespaces, &configv1.Namespace{Name: name, Backend: "rediss" + name})
	}
	_, err := plan.Make(c, testcatalog.New(t))
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems, 50_000)
}

// TestMakeNeverPanics makes plans of configurations that are put together from pieces that fit and pieces that do not.
func TestMakeNeverPanics(t *testing.T) {
	t.Parallel()
	known := testcatalog.New(t)
	rapid.Check(t, func(t *rapid.T) {
		c := randomConfig(t)
		before := proto.Clone(c)
		p, err := plan.Make(c, known)
		if !proto.Equal(before, c) {
			t.Fatalf("Make changed its configuration to %s", protojson.Format(c))
		}
		if err == nil {
			if len(p.Namespaces) == 0 || !plan.Compare(p, p).Empty() {
				t.Fatalf("a plan of nothing, or one that differs from itself: %s", protojson.Format(c))
			}
			for _, n := range p.Namespaces {
				checkComplete(t, n)
			}
			return
		}
		var problems config.Problems
		if !errors.As(err, &problems) {
			t.Fatalf("%T: %v", err, err)
		}
		for _, problem := range problems {
			if problem.Message == "" {
				t.Fatalf("nothing is said of %s", problem.Path)
			}
		}
	})
}

// checkComplete fails when a plan that was made without an error lacks what a gateway opens.
func checkComplete(t *rapid.T, n *plan.Namespace) {
	if (n.Backend == nil) == (len(n.Steps) == 0) {
		t.Fatalf("namespace %q has a backend and patterns, or neither", n.Name)
	}
	for i, step := range n.Steps {
		led := 0
		for _, filling := range step.Slots {
			if filling.Instance == nil {
				led++
			}
			if required, anyOf := filling.Slot.Lacks(filling.Offers); len(required)+len(anyOf) > 0 {
				t.Fatalf("namespace %q: slot %s lacks something", n.Name, filling.Slot.Name)
			}
		}
		if last := i == len(n.Steps)-1; step.Config == nil || (led == 1) == last || led > 1 {
			t.Fatalf("namespace %q: step %d has %d slots that lead on", n.Name, i, led)
		}
	}
}
