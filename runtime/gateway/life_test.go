package gateway_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// watched is an open backend that knows whether it is used rightly.
type watched struct {
	t      *testing.T
	closed atomic.Bool
	calls  atomic.Int64
}

func (w *watched) use() func() {
	w.calls.Add(1)
	if w.closed.Load() {
		w.t.Error("a call came to a backend that is closed")
	}
	return func() { w.calls.Add(-1) }
}

func (w *watched) Namespace(context.Context, string) (backend.Interfaces, error) {
	defer w.use()()
	subscribe := rpc.ServerStream(method(w.t, "pubsub_basic", "Subscribe"),
		func(ctx context.Context, _ *pubsubv1.SubscribeRequest, _ func(*pubsubv1.SubscribeResponse) error) error {
			defer w.use()()
			<-ctx.Done()
			return ctx.Err()
		})
	return append(handlers(keyvaluerpc.BasicHandlers(watchedStore{watched: w})), subscribe), nil
}

func (w *watched) Close(context.Context) error {
	if w.closed.Swap(true) {
		w.t.Error("a backend was closed twice")
	}
	if w.calls.Load() != 0 {
		w.t.Error("a backend was closed under a call")
	}
	return nil
}

type watchedStore struct {
	keyvaluev1.Basic
	*watched
}

func (s watchedStore) Get(context.Context, *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	defer s.use()()
	for range rand.IntN(5) {
		runtime.Gosched()
	}
	return &keyvaluev1.GetResponse{}, nil
}

// TestCallsThroughManyChanges changes everything that can change, as fast as it goes, under calls and streams.
func TestCallsThroughManyChanges(t *testing.T) {
	var opened []*watched
	g := newGateway(t, backend.Type{Name: "memstore", Open: func(context.Context, backend.Env, proto.Message) (backend.Instance, error) {
		opened = append(opened, &watched{t: t})
		return opened[len(opened)-1], nil
	}})
	apply(t, g, anyConfig(t), 0)
	var stop atomic.Bool
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for !stop.Load() {
				if _, err := get(t, &conn{gateway: g, namespace: "n"}, "a"); err != nil {
					t.Errorf("a unary call: %v", err)
				}
			}
		})
		load.Go(func() {
			for !stop.Load() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond)
				err := (&conn{gateway: g, namespace: "n"}).serve(ctx, method(t, "pubsub_basic", "Subscribe"), &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
				if fault.CodeOf(err) != fault.DeadlineExceeded && fault.ReasonOf(err) != "CONFIGURATION_CHANGED" {
					t.Errorf("a stream: %v", err)
				}
				cancel()
			}
		})
	}
	for range 300 {
		apply(t, g, anyConfig(t), time.Duration(rand.IntN(3))*time.Millisecond)
	}
	stop.Store(true)
	load.Wait()
	require.NoError(t, g.Close(t.Context()))
	for _, w := range opened {
		require.True(t, w.closed.Load())
	}
	require.Greater(t, len(opened), 10)
}

// anyConfig has the namespace n, and others at times, each on some instance.
func anyConfig(t *testing.T) *configv1.Config {
	t.Helper()
	c := new(configv1.Config)
	for _, name := range []string{"a", "b"} {
		config, err := structpb.NewStruct(map[string]any{"max_bytes": rand.IntN(2) + 1})
		require.NoError(t, err)
		c.Backends = append(c.Backends, &configv1.BackendInstance{Name: name, Type: "memstore", Config: config})
	}
	for _, name := range []string{"n", "m", "o"}[:1+rand.IntN(3)] {
		c.Namespaces = append(c.Namespaces, &configv1.Namespace{
			Name: name, Backend: []string{"a", "b"}[rand.IntN(2)], Limits: &configv1.NamespaceLimits{MaxConcurrentCalls: 1000 + rand.Uint32N(2)},
		})
	}
	return c
}

func TestCloseDoesNotWaitForTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", nil), 0)
		transactionsOn(t, g).begin()
		apply(t, g, onMemStore("other", nil), time.Hour)
		apply(t, g, onMemStore("third", nil), time.Hour)
		begin := time.Now()
		require.NoError(t, g.Close(t.Context()))
		require.NoError(t, g.Close(t.Context()), "twice")
		require.Zero(t, time.Since(begin))
	})
}

func TestANamespaceThatComesBackIsServedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		with := onMemStore("m", nil)
		with.Namespaces = append(with.Namespaces, &configv1.Namespace{Name: "always", Backend: "m"})
		without := &configv1.Config{Backends: with.GetBackends(), Namespaces: with.GetNamespaces()[1:]}
		apply(t, g, with, 0)
		c := &conn{gateway: g, namespace: "n"}
		set(t, c, "a", "kept")
		ended := make(chan error, 1)
		go func() {
			ended <- (&conn{gateway: g, namespace: "n"}).serve(t.Context(), method(t, "pubsub_basic", "Subscribe"), &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
		}()
		synctest.Wait()
		apply(t, g, without, 10*time.Second)
		_, err := get(t, c, "a")
		require.Equal(t, "NAMESPACE_NOT_FOUND", fault.ReasonOf(err))
		apply(t, g, with, 10*time.Second)
		value, err := get(t, c, "a")
		require.NoError(t, err)
		require.Equal(t, "kept", value, "the instance was there all the time")
		begin := time.Now()
		require.Equal(t, "CONFIGURATION_CHANGED", fault.ReasonOf(<-ended))
		require.Equal(t, 10*time.Second, time.Since(begin))
	})
}

// Two instances that swap their names are two others: the data goes by the name that the configuration has.
func TestNamespacesThatSwapInstancesGoOn(t *testing.T) {
	g := newGateway(t)
	config := func(of, ofOther string) *configv1.Config {
		return &configv1.Config{
			Backends:   []*configv1.BackendInstance{{Name: "a", Type: "memstore"}, {Name: "b", Type: "memstore"}},
			Namespaces: []*configv1.Namespace{{Name: "n", Backend: of}, {Name: "other", Backend: ofOther}},
		}
	}
	apply(t, g, config("a", "b"), 0)
	n, other := &conn{gateway: g, namespace: "n"}, &conn{gateway: g, namespace: "other"}
	set(t, n, "k", "n on a")
	set(t, other, "k", "other on b")
	apply(t, g, config("b", "a"), 0)
	for _, c := range []*conn{n, other} {
		value, err := get(t, c, "k")
		require.NoError(t, err)
		require.Empty(t, value, "nobody sees what another one has stored")
	}
	apply(t, g, config("a", "b"), 0)
	value, err := get(t, n, "k")
	require.NoError(t, err)
	require.Equal(t, "n on a", value)
}
