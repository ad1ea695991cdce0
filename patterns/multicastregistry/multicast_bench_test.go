package multicastregistry

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/gen/go/prism/patterns/v1/patternsrpc"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/rpc"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	"github.com/prismgate/prism/runtime/backend"
)

// BenchmarkMulticast sends to 1,000 identities on MemStore: with each kind of slots, and with all of them online or none. What it measures is the call (its median)
// and, where they are online, the call and all deliveries (the time of an operation).
func BenchmarkMulticast(b *testing.B) {
	for _, kind := range allKinds {
		for _, online := range []bool{false, true} {
			name := kind.name + "/offline"
			if online {
				name = kind.name + "/online"
			}
			b.Run(name, func(b *testing.B) { benchmarkMulticast(b, kind, online) })
		}
	}
}

func benchmarkMulticast(b *testing.B, kind slotted, online bool) {
	const identities = 1000
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	g := benchmarked(b, kind)
	active, received := make(chan struct{}, identities), make(chan struct{}, identities)
	for i := range identities {
		identity := fmt.Sprintf("device-%d", i)
		_, err := g.Register(ctx, &patternsv1.RegisterRequest{Identity: identity, Metadata: map[string]string{"region": "eu", "floor": fmt.Sprint(i % 10)}})
		require.NoError(b, err)
		if !online {
			continue
		}
		go func() {
			_ = g.Subscribe(ctx, &patternsv1.SubscribeRequest{Identity: identity}, func(r *patternsv1.SubscribeResponse) error {
				if r.GetSubscribed() != nil {
					active <- struct{}{}
				} else {
					received <- struct{}{}
				}
				return nil
			})
		}()
	}
	for range identities {
		if online {
			<-active
		}
	}
	request := &patternsv1.MulticastRequest{Filter: `attributes.region == "eu"`, Payload: make([]byte, 128)}
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		response, err := g.Multicast(ctx, request)
		took = append(took, time.Since(begin))
		if err != nil || response.GetMatched() != identities {
			b.Fatal(response, err)
		}
		for range response.GetPublished() {
			<-received
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
}

// benchmarked is an instance on the slots themselves.
func benchmarked(b *testing.B, kind slotted) patternsrpc.MulticastRegistryService {
	b.Helper()
	store, err := memstore.Open(b.Context(), backend.Env{}, &backendsv1.MemStore{})
	require.NoError(b, err)
	b.Cleanup(func() { _ = store.Close(context.WithoutCancel(b.Context())) })
	offered, err := store.Namespace(b.Context(), "iot-devices")
	require.NoError(b, err)
	all := offered.Interfaces()
	messaging := []string{"pubsub_basic"}
	if kind.persistent {
		messaging = append(messaging, "pubsub_persistent")
	}
	var durability *prism.Interfaces
	if kind.durable {
		durability = all
	}
	slots, err := patternsv1.NewMulticastRegistrySlots(all, all.Only(messaging...), durability)
	require.NoError(b, err)
	opened, err := Open(b.Context(), pattern.Env{Namespace: "iot-devices", Log: slog.New(slog.DiscardHandler)}, &patternsv1.MulticastRegistry{}, slots)
	require.NoError(b, err)
	return patternsrpc.NewMulticastRegistryServiceClient(rpc.InProcess(opened.Handlers()))
}
