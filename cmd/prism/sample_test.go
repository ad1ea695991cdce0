package main

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/rpc"
)

// store stands in for a backend. Get of any key waits until released, when that is set, and tells on entered that it does.
type store struct {
	entered  chan struct{}
	released chan struct{}
	// opened counts how often an instance was opened, closed how often one was closed: by several goroutines at once, as `prism validate --dial` does.
	opened, closed atomic.Int64
	get, keys      *rpc.Method
}

func newStore() *store {
	return &store{entered: make(chan struct{}, 8), released: make(chan struct{})}
}

func (s *store) Namespace(context.Context, string) (backend.Interfaces, error) { return s, nil }

func (s *store) Close(context.Context) error {
	s.closed.Add(1)
	return nil
}

func (s *store) Handlers() []rpc.Handler {
	return []rpc.Handler{
		rpc.Unary(s.get, func(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
			s.entered <- struct{}{}
			select {
			case <-s.released:
				return &keyvaluev1.GetResponse{Found: true, Value: []byte(rpc.CallFrom(ctx).Header.Get("x-echo"))}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}),
		rpc.ServerStream(s.keys, func(ctx context.Context, _ *keyvaluev1.ScanKeysRequest, send func(*keyvaluev1.ScanKeysResponse) error) error {
			if err := send(&keyvaluev1.ScanKeysResponse{Key: "a"}); err != nil {
				return err
			}
			select {
			case <-s.released:
				return send(&keyvaluev1.ScanKeysResponse{Key: "b", PageToken: "t"})
			case <-ctx.Done():
				return ctx.Err()
			}
		}),
	}
}

// sample are dependencies with a small catalog, whose only backend that can be opened is the store, under the name that a gateway without configuration
// opens.
func sample(t *testing.T, s *store) dependencies {
	if s == nil {
		s = newStore()
	}
	known, get, keys := sampleCatalog(t)
	s.get, s.keys = get, keys
	return dependencies{
		catalog: known,
		backends: []backend.Type{backend.Of("memstore", func(context.Context, backend.Env, *backendsv1.MemStore) (*store, error) {
			s.opened.Add(1)
			return s, nil
		})},
		build: testBuild(),
	}
}

func sampleCatalog(t *testing.T) (known *catalog.Catalog, get, keys *rpc.Method) {
	get = method("keyvalue_basic", "prism.keyvalue.v1.KeyValueBasicInterface", "Get", new(keyvaluev1.GetRequest), new(keyvaluev1.GetResponse))
	get.Idempotency = rpc.NoSideEffects
	keys = method("keyvalue_scan", "prism.keyvalue.v1.KeyValueScanInterface", "ScanKeys", new(keyvaluev1.ScanKeysRequest), new(keyvaluev1.ScanKeysResponse))
	keys.Shape, keys.Blocking, keys.MaxMessageBytes = rpc.ShapeServerStream, true, 1000
	swap := method("change_feed", "prism.feed.v1.ChangeFeed", "Swap", new(keyvaluev1.BatchSetRequest), new(keyvaluev1.SetResponse))
	swap.Destructive = true
	watch := method("keyvalue_basic", "prism.keyvalue.v1.KeyValueBasicInterface", "Watch", new(keyvaluev1.GetRequest), new(keyvaluev1.GetResponse))
	watch.Shape = rpc.ShapeBidi
	register := method("", "prism.patterns.v1.MulticastRegistryService", "Register", new(keyvaluev1.GetRequest), new(keyvaluev1.GetResponse))
	memstoreConfig := func() proto.Message { return new(backendsv1.MemStore) }
	known, err := catalog.New([]catalog.Interface{
		{
			Name: "keyvalue_basic", Model: "KeyValue", Flavour: "basic", Service: get.Service, Kind: catalog.Core,
			Doc:  "KeyValueBasicInterface stores values under keys. It is made up.\n\nA second paragraph.",
			RPCs: []catalog.RPC{{Name: "Get", Doc: "Get reads the value under a key.", Args: []string{"key"}, Method: get}, {Name: "Watch", Method: watch}},
		},
		{
			Name: "keyvalue_scan", Model: "KeyValue", Flavour: "scan", Service: keys.Service, Kind: catalog.Extension, Requires: []string{"keyvalue_basic"},
			Alternatives: true, Doc: "KeyValueScanInterface enumerates keys.",
			RPCs: []catalog.RPC{{Name: "ScanKeys", Doc: "ScanKeys streams keys.", Method: keys}},
		},
		{
			Name: "change_feed", Model: "Feed", Flavour: "change", Service: swap.Service, Kind: catalog.SlotKind,
			RPCs: []catalog.RPC{{Name: "Swap", Method: swap}},
		},
	}, []catalog.Backend{
		{
			Name: "memstore", Implements: []string{"keyvalue_basic", "keyvalue_scan"}, Models: []string{"KeyValue"}, Implementability: 100,
			Doc: "MemStore keeps everything in memory.", NewConfig: memstoreConfig,
		},
		{
			Name: "flat", Implements: []string{"change_feed", "keyvalue_basic"}, Models: []string{"Feed", "KeyValue"}, Implementability: 40,
			NewConfig: func() proto.Message { return new(keyvaluev1.SetResponse) },
		},
	}, []catalog.Pattern{
		{
			Name: "multicast-registry", Version: "v1", Doc: "MulticastRegistry registers identities with metadata and multicasts messages to them.",
			Slots: []catalog.Slot{
				{
					Name: "registry", Doc: "Stores what is known of identities.", Required: []string{"keyvalue_basic", "keyvalue_scan"},
					Optional: []string{"keyvalue_ttl"}, Recommended: []string{"redis", "memstore"},
				},
				{Name: "durability", AnyOf: []string{"change_feed", "queue_basic"}, MayBeEmpty: true},
			},
			Offers: []string{"keyvalue_basic"}, NewConfig: memstoreConfig,
			Services: []catalog.Service{{
				Name: "prism.patterns.v1.MulticastRegistryService", Doc: "MulticastRegistryService is made up.",
				RPCs: []catalog.RPC{{Name: "Register", Doc: "Register registers an identity.", Args: []string{"identity"}, Method: register}},
			}},
		},
		{
			Name: "compress", Version: "v2", Slots: []catalog.Slot{{Name: "target"}}, OffersSlot: "target", NewConfig: memstoreConfig,
		},
	})
	require.NoError(t, err)
	return known, get, keys
}

func method(name, service, rpcName string, request, response proto.Message) *rpc.Method {
	return &rpc.Method{
		Procedure: "/" + service + "/" + rpcName, Service: service, Name: rpcName, Interface: name,
		NewRequest:  func() proto.Message { return request.ProtoReflect().New().Interface() },
		NewResponse: func() proto.Message { return response.ProtoReflect().New().Interface() },
	}
}
