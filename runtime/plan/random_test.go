package plan_test

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

func name(t *rapid.T) string {
	return rapid.SampledFrom([]string{
		"memstore", "redis", "nats", "postgres", "s3", "a", "b", "", "outbox", "compress", "claim-check", "multicast-registry", "target", "store", "destination", "registry",
		"messaging", "payloads", "max_bytes", "endpoint", "headers", "slow", "env", "file", "not plain", "\x00\"]", "v1", "v2",
	}).Draw(t, "name")
}

func maybe(t *rapid.T, what string) bool { return rapid.IntRange(0, 2).Draw(t, what) == 0 }

func value(t *rapid.T, depth int) *structpb.Value {
	kinds := 5
	if depth > 3 {
		kinds = 3
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		return structpb.NewNullValue()
	case 1:
		return structpb.NewNumberValue(rapid.Float64().Draw(t, "number"))
	case 2:
		return structpb.NewStringValue(rapid.SampledFrom([]string{"", "text", "1s", "1Ki", "-1", "0"}).Draw(t, "text"))
	case 3:
		return structpb.NewBoolValue(rapid.Bool().Draw(t, "bool"))
	case 4:
		return structpb.NewStructValue(fields(t, depth+1))
	default:
		return structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{value(t, depth+1)}})
	}
}

func fields(t *rapid.T, depth int) *structpb.Struct {
	if maybe(t, "no fields") {
		return nil
	}
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for range rapid.IntRange(0, 2).Draw(t, "fields") {
		s.Fields[name(t)] = value(t, depth)
	}
	return s
}

func slots(t *rapid.T) map[string]*configv1.Slot {
	all := map[string]*configv1.Slot{}
	for range rapid.IntRange(0, 3).Draw(t, "slots") {
		slot := new(configv1.Slot)
		switch rapid.IntRange(0, 4).Draw(t, "filling") {
		case 0:
		case 1, 2:
			slot.Filling = &configv1.Slot_Next{Next: rapid.IntRange(0, 5).Draw(t, "next") > 0}
		default:
			slot.Filling = &configv1.Slot_Backend{Backend: name(t)}
		}
		all[name(t)] = slot
	}
	return all
}

func patternUse(t *rapid.T) *configv1.PatternUse {
	// Patterns whose slots are likely to be filled, so that some configurations are right.
	nothing := func() *structpb.Struct {
		if maybe(t, "config") {
			return fields(t, 0)
		}
		return nil
	}
	backend := func(name string) *configv1.Slot {
		return &configv1.Slot{Filling: &configv1.Slot_Backend{Backend: name}}
	}
	next := &configv1.Slot{Filling: &configv1.Slot_Next{Next: true}}
	switch rapid.IntRange(0, 3).Draw(t, "pattern") {
	case 0:
		return &configv1.PatternUse{Pattern: "compress", Config: nothing(), Slots: map[string]*configv1.Slot{"target": next}}
	case 1:
		return &configv1.PatternUse{Pattern: "claim-check", Config: nothing(), Slots: map[string]*configv1.Slot{"payloads": backend("redis"), "target": next}}
	case 2:
		return &configv1.PatternUse{Pattern: "outbox", Config: nothing(), Slots: map[string]*configv1.Slot{"store": backend("postgres"), "destination": backend(name(t))}}
	default:
		return &configv1.PatternUse{Pattern: name(t), Version: name(t), Config: fields(t, 0), Slots: slots(t)}
	}
}

func limits(t *rapid.T) *configv1.NamespaceLimits {
	if !maybe(t, "limits") {
		return nil
	}
	l := &configv1.NamespaceLimits{Burst: rapid.Uint32Range(0, 1).Draw(t, "burst"), CallsPerSecond: rapid.SampledFrom([]float64{-1, 0, 1, 1e300}).Draw(t, "rate")}
	if maybe(t, "deadline") {
		l.DefaultDeadline = durationpb.New(time.Duration(rapid.Int64().Draw(t, "deadline")))
		l.MaxDeadline = &durationpb.Duration{Seconds: rapid.Int64().Draw(t, "seconds"), Nanos: rapid.Int32().Draw(t, "nanos")}
	}
	return l
}

func randomConfig(t *rapid.T) *configv1.Config {
	c := &configv1.Config{NamespaceLimits: limits(t)}
	for range rapid.IntRange(0, 2).Draw(t, "backends") {
		c.Backends = append(c.Backends, &configv1.BackendInstance{Name: name(t), Type: name(t), Config: fields(t, 0)})
	}
	for range rapid.IntRange(0, 3).Draw(t, "namespaces") {
		n := &configv1.Namespace{Name: rapid.StringMatching("[a-z]{1,3}").Draw(t, "own name"), Limits: limits(t)}
		switch rapid.IntRange(0, 3).Draw(t, "shape") {
		case 0:
			n.Backend = name(t)
		case 1:
			for range rapid.IntRange(0, 3).Draw(t, "patterns") {
				n.Patterns = append(n.Patterns, patternUse(t))
			}
		default:
			n.Backend, n.Pattern, n.Version, n.Config, n.Slots = name(t), name(t), name(t), fields(t, 0), slots(t)
		}
		c.Namespaces = append(c.Namespaces, n)
	}
	if maybe(t, "server") {
		address := func() string {
			return rapid.SampledFrom([]string{"", "127.0.0.1:8980", ":8981", "unix:/a", "unix:", "[::1]:0", "x"}).Draw(t, "address")
		}
		c.Server = &configv1.Server{Listen: address(), Admin: address(), Tls: &configv1.Tls{KeyFile: name(t)}, Listeners: []*configv1.Listener{{Address: address()}}}
	}
	if maybe(t, "observability") {
		c.Observability = &configv1.Observability{Tracing: &configv1.Tracing{Endpoint: name(t)}, AccessLog: &configv1.AccessLog{Calls: name(t)}}
	}
	return c
}
