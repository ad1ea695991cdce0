// Package testcatalog is a catalog for tests: the backends and the pattern of the architecture guide, and patterns that make chains. Nothing of it can be opened.
package testcatalog

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	"github.com/prismgate/prism/gen/go/prism/patterns/v1/patternsrpc"
	"github.com/prismgate/prism/runtime/catalog"
)

// New returns the catalog. Messages of the configuration's own schema stand in for those of backends and patterns: redis has Tracing's fields, postgres those of
// Limits, outbox those of AccessLog.
func New(t testing.TB) *catalog.Catalog {
	t.Helper()
	known, err := catalog.New(interfaces(), backends(), patterns())
	require.NoError(t, err)
	return known
}

func interfaces() []catalog.Interface {
	names := []string{
		"keyvalue_basic", "keyvalue_scan", "keyvalue_ttl", "pubsub_basic", "pubsub_persistent", "queue_basic", "queue_dead_letter", "queue_visibility", "object_basic",
	}
	all := make([]catalog.Interface, len(names))
	for i, name := range names {
		all[i] = catalog.Interface{Name: name, Kind: catalog.Core}
	}
	return append(all, catalog.Interface{Name: "change_feed", Kind: catalog.SlotKind})
}

func backends() []catalog.Backend {
	queues := []string{"queue_basic", "queue_dead_letter", "queue_visibility"}
	return []catalog.Backend{
		{
			Name:       "memstore",
			Implements: append([]string{"keyvalue_basic", "keyvalue_scan", "keyvalue_ttl", "pubsub_basic", "pubsub_persistent"}, queues...),
			NewConfig:  func() proto.Message { return new(backendsv1.MemStore) },
		},
		{Name: "nats", Implements: []string{"pubsub_basic"}, NewConfig: func() proto.Message { return new(configv1.Tls) }},
		{
			Name: "postgres", Implements: append([]string{"change_feed", "keyvalue_basic"}, queues...),
			NewConfig: func() proto.Message { return new(configv1.Limits) }, Check: catalog.CheckOf(configv1.CheckLimits),
		},
		{
			Name: "redis", Implements: []string{"keyvalue_basic", "keyvalue_scan", "keyvalue_ttl", "pubsub_basic"},
			NewConfig: func() proto.Message { return new(configv1.Tracing) }, Check: func(message proto.Message) error {
				if tracing := message.(*configv1.Tracing); tracing.GetEndpoint() != "" {
					return configv1.CheckTracing(tracing)
				}
				return nil
			},
		},
		{
			Name: "s3", Implements: []string{"object_basic"},
			NewConfig: func() proto.Message { return new(configv1.Listener) }, Check: catalog.CheckOf(configv1.CheckListener), // without an address it is refused
		},
	}
}

func patterns() []catalog.Pattern {
	return []catalog.Pattern{
		{
			Name: "claim-check", Version: "v1", Doc: "ClaimCheck keeps large payloads elsewhere.",
			Slots: []catalog.Slot{
				{Name: "payloads", Doc: "Holds the payloads.", AnyOf: []string{"keyvalue_basic", "object_basic"}},
				{Name: "target", Doc: "Holds what is left.", AnyOf: []string{"keyvalue_basic", "pubsub_basic"}},
			},
			OffersSlot: "target", NewConfig: func() proto.Message { return new(configv1.Tls) },
		},
		{
			Name: "compress", Version: "v1", Doc: "Compress makes payloads smaller.",
			Slots:      []catalog.Slot{{Name: "target", Doc: "Holds what was made smaller."}},
			OffersSlot: "target", NewConfig: func() proto.Message { return new(configv1.Tls) },
		},
		{
			Name: "multicast-registry", Version: "v1", Doc: "MulticastRegistry registers identities with metadata and multicasts messages to them.",
			Slots: []catalog.Slot{
				{
					Name: "registry", Doc: "Stores identity → metadata mappings.", Required: []string{"keyvalue_basic", "keyvalue_scan"}, Optional: []string{"keyvalue_ttl"},
					Recommended: []string{"redis", "postgres", "dynamodb", "etcd"},
				},
				{
					Name: "messaging", Doc: "Delivers multicast messages to identities.", Required: []string{"pubsub_basic"}, Optional: []string{"pubsub_persistent"},
					OptionalWhileEmpty: "durability",
					Recommended:        []string{"nats", "redis", "kafka"},
				},
				{
					Name: "durability", Doc: "Persists undelivered messages for offline identities.", Required: []string{"queue_basic", "queue_visibility", "queue_dead_letter"},
					Recommended: []string{"postgres", "sqs", "rabbitmq"}, MayBeEmpty: true,
				},
			},
			Services:  []catalog.Service{{Name: "prism.patterns.v1.MulticastRegistryService"}},
			NewConfig: func() proto.Message { return new(patternsv1.MulticastRegistry) }, Check: catalog.CheckOf(patternsrpc.CheckMulticastRegistry),
		},
		{
			Name: "outbox", Version: "v2", Doc: "Outbox publishes what was committed.",
			Slots: []catalog.Slot{
				{Name: "store", Doc: "Holds the data.", Required: []string{"change_feed", "keyvalue_basic"}},
				{Name: "destination", Doc: "Takes the messages.", Required: []string{"pubsub_basic"}},
			},
			Offers: []string{"keyvalue_basic"}, NewConfig: func() proto.Message { return new(configv1.AccessLog) }, Check: catalog.CheckOf(configv1.CheckAccessLog),
		},
	}
}
