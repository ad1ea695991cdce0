// Package multicastregistry registers identities with metadata and multicasts messages to those whose metadata satisfies a filter.
//
//	namespaces:
//	  - name: iot-devices
//	    pattern: multicast-registry
//	    slots:
//	      registry: {backend: redis}
//	      messaging: {backend: nats}
//	      durability: {backend: postgres}
//
// # Configuration
//
// [patternsv1.MulticastRegistry] has it; every field has a default. The slot durability may be left empty.
//
// # Semantics
//
// The contract is that of the service MulticastRegistryService, in the schema. All state is in the slots, so that any number of gateways serve one namespace.
//
// A registration is a record in the registry slot, which Register alone writes. Signs of life stand beside it: one of Heartbeat, and one of the identity's stream,
// by which other gateways know that it is online. A registration has a mailbox, of a random name: a queue, or topics. Who registers again after the end of a
// registration gets another mailbox, and so nothing of the former one.
//
// With the slot durability, a message is enqueued first, and then the stream is woken by a signal on a topic; the stream leases, sends and acknowledges. A signal
// that is lost delays a message by 30 s at most. Without durability and with pubsub_persistent in the slot messaging, each mailbox is a topic with a durable
// subscription. With neither, it is a topic, and what is published to it while nobody listens is lost. Where both are there, durability is used.
//
// With keyvalue_ttl in the registry slot, records and signs expire by themselves. Without it, Enumerate and Multicast remove what has expired when they come
// across it. The expiry is in the records in either case, and is compared with the gateway's own clock.
//
// # Limits
//
// Enumerate and Multicast without a list read every registration: the registry slot is no index. An identity that is registered for the first time by two calls at
// the same moment may lose a message that is sent to it in that moment. What was kept for a registration that has expired is dropped by the first Enumerate or
// Multicast that comes across it within a day, and else stays in its slot; so does what cannot be dropped because the slot fails, and a message that is sent at the
// moment in which its registration ends. A message that a killed gateway had leased comes again when the lease ends: 30 s later, or after the client's
// acknowledgement timeout, and behind what was delivered meanwhile.
package multicastregistry

import (
	"context"
	"time"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	"github.com/prismgate/prism/gen/go/prism/patterns/v1/patternsrpc"
	"github.com/prismgate/prism/runtime/pattern"
)

// The defaults of the configuration, as the schema has them.
const (
	defaultMaxRecipients = 10_000
	defaultFanOut        = 64
	defaultPresence      = 30 * time.Second
	defaultMaxDeliveries = 10
)

// pollInterval is after how long a stream looks into its queue though no signal came.
const pollInterval = 30 * time.Second

// Registry is an open multicast-registry.
type Registry struct {
	patternsrpc.MulticastRegistryOffers
}

// Open opens the pattern. It calls no slot.
func Open(_ context.Context, env pattern.Env, config *patternsv1.MulticastRegistry, slots patternsv1.MulticastRegistrySlots) (*Registry, error) {
	s, err := newService(env, config, slots)
	if err != nil {
		return nil, err
	}
	return &Registry{patternsrpc.NewMulticastRegistryOffers(s)}, nil
}

// Close has nothing to end: what runs in the background belongs to calls.
func (r *Registry) Close(context.Context) error { return nil }

// service is the pattern's service.
type service struct {
	env           pattern.Env
	records       records
	signals       signals
	mailbox       mailbox
	calls         calls
	maxRecipients int
	defaultTTL    time.Duration // 0: for ever
	presence      time.Duration
	now           func() time.Time
}

var _ patternsrpc.MulticastRegistryService = (*service)(nil)

func newService(env pattern.Env, config *patternsv1.MulticastRegistry, slots patternsv1.MulticastRegistrySlots) (*service, error) {
	signals, err := newSignals(slots.Messaging.PubSubBasic)
	if err != nil {
		return nil, err
	}
	s := &service{
		env:           env,
		signals:       signals,
		calls:         make(calls, or(config.GetFanOut(), defaultFanOut)),
		maxRecipients: int(or(config.GetMaxRecipients(), defaultMaxRecipients)),
		defaultTTL:    config.GetDefaultTtl().AsDuration(),
		presence:      defaultPresence,
		now:           time.Now,
	}
	if config.GetPresenceTtl() != nil {
		s.presence = config.GetPresenceTtl().AsDuration()
	}
	switch {
	case slots.Durability != nil:
		s.mailbox = &queueMailbox{slots.Durability, s.signals, s.calls, or(config.GetMaxDeliveries(), defaultMaxDeliveries), pollInterval}
	case slots.Messaging.PubSubPersistent != nil:
		s.mailbox = &durableMailbox{slots.Messaging.PubSubBasic, slots.Messaging.PubSubPersistent}
	default:
		s.mailbox = &liveMailbox{slots.Messaging.PubSubBasic}
	}
	s.records = records{slots.Registry.KeyValueBasic, slots.Registry.KeyValueScan, slots.Registry.KeyValueTTL, 0}
	if s.mailbox.keeps() {
		s.records.lag = expiredLag
	}
	return s, nil
}

// or is a number of the configuration, or its default when it is 0.
func or(number, otherwise uint32) uint32 {
	if number == 0 {
		return otherwise
	}
	return number
}
