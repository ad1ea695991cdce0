package gateway_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/memstore"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
	"github.com/prismgate/prism/gen/go/prism/queue/v1/queuerpc"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

func set(t *testing.T, c rpc.Conn, key, value string) {
	t.Helper()
	_, err := keyvaluerpc.NewBasicClient(c).Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
	require.NoError(t, err)
}

func get(t *testing.T, c rpc.Conn, key string) (string, error) {
	t.Helper()
	answer, err := keyvaluerpc.NewBasicClient(c).Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
	return string(answer.GetValue()), err
}

func TestWhatDidNotChangeIsCarriedOver(t *testing.T) {
	var opened atomic.Int64
	g := newGateway(t, counted(&opened, new(atomic.Int64)))
	apply(t, g, onMemStore("m", nil), 0)
	c := &conn{gateway: g, namespace: "n"}
	set(t, c, "a", "kept")

	for _, limits := range []*configv1.NamespaceLimits{{CallsPerSecond: 1e6}, {MaxConcurrentCalls: 5}, nil} {
		apply(t, g, onMemStore("m", limits), 0)
		value, err := get(t, c, "a")
		require.NoError(t, err)
		require.Equal(t, "kept", value)
	}
	require.EqualValues(t, 1, opened.Load())
}

func TestNewLimitsHoldFromTheReloadOnAndEndNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", nil), 0)
		c := &conn{gateway: g, namespace: "n"}
		answered := make(chan error, 1)
		go func() {
			_, err := queuerpc.NewBasicClient(&conn{gateway: g, namespace: "n"}).Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(20 * time.Second)})
			answered <- err
		}()
		synctest.Wait()
		apply(t, g, onMemStore("m", &configv1.NamespaceLimits{CallsPerSecond: 1}), 0)
		set(t, c, "a", "value")
		_, err := get(t, c, "a")
		require.Equal(t, "RATE_LIMIT_EXCEEDED", fault.ReasonOf(err))
		apply(t, g, onMemStore("m", nil), 0)
		_, err = get(t, c, "a")
		require.NoError(t, err)
		require.NoError(t, <-answered)
	})
}

func TestAChangedInstanceIsAnotherOne(t *testing.T) {
	var opened, closed atomic.Int64
	g := newGateway(t, counted(&opened, &closed))
	apply(t, g, onMemStore("m", nil), 0)
	c := &conn{gateway: g, namespace: "n"}
	set(t, c, "a", "gone")
	apply(t, g, onMemStore("other", nil), 0)
	value, err := get(t, c, "a")
	require.NoError(t, err)
	require.Empty(t, value)
	require.NoError(t, g.Close(t.Context()))
	require.Equal(t, []int64{2, 2}, []int64{opened.Load(), closed.Load()})
}

func TestANamespaceThatIsGoneIsUnknown(t *testing.T) {
	g := newGateway(t)
	apply(t, g, onMemStore("m", nil), 0)
	apply(t, g, &configv1.Config{Namespaces: []*configv1.Namespace{{Name: "other", Backend: "memstore"}}}, 0)
	_, err := get(t, &conn{gateway: g, namespace: "n"}, "a")
	require.Equal(t, "NAMESPACE_NOT_FOUND", fault.ReasonOf(err))
	require.Equal(t, []string{"other"}, g.Namespaces())
}

func TestAConfigurationThatDoesNotOpenChangesNothing(t *testing.T) {
	var opened, closed atomic.Int64
	g := newGateway(t, counted(&opened, &closed))
	apply(t, g, onMemStore("m", nil), 0)
	c := &conn{gateway: g, namespace: "n"}
	set(t, c, "a", "kept")
	err := g.Apply(t.Context(), planOf(t, &configv1.Config{
		Backends: []*configv1.BackendInstance{{Name: "m", Type: "memstore"}, {Name: "a-good-one", Type: "memstore"}, {Name: "refuses", Type: "memstore"}},
		Namespaces: []*configv1.Namespace{
			{Name: "n", Backend: "a-good-one"}, {Name: "m", Backend: "m"}, {Name: "r", Backend: "refuses"},
		},
	}), 0)
	require.ErrorContains(t, err, "no more than two")
	value, err := get(t, c, "a")
	require.NoError(t, err)
	require.Equal(t, "kept", value)
	require.Equal(t, []string{"n"}, g.Namespaces())
	require.EqualValues(t, 1, closed.Load(), "what was opened for the new configuration is closed")
}

func TestUnaryCallsFinishOnWhatTheyBeganOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int64
		g := newGateway(t, counted(new(atomic.Int64), &closed))
		apply(t, g, onMemStore("m", nil), 0)
		c := &conn{gateway: g, namespace: "n"}
		answered := make(chan error, 1)
		go func() {
			answer, err := queuerpc.NewBasicClient(c).Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(20 * time.Second)})
			if err == nil && answer.GetFound() {
				err = errors.New("there is nothing to be found")
			}
			answered <- err
		}()
		synctest.Wait()
		apply(t, g, onMemStore("other", nil), time.Second)
		time.Sleep(10 * time.Second)
		require.Zero(t, closed.Load(), "a call is under way on it")
		require.NoError(t, <-answered)
		synctest.Wait()
		require.EqualValues(t, 1, closed.Load())
	})
}

func TestCloseWaitsForCallsAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", nil), 0)
		c := &conn{gateway: g, namespace: "n"}
		answered := make(chan error, 1)
		go func() {
			_, err := queuerpc.NewBasicClient(c).Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "q", WaitTime: durationpb.New(20 * time.Second)})
			answered <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, g.Close(ctx), "still under way")
		require.NoError(t, <-answered)
		require.Error(t, g.Apply(t.Context(), planOf(t, onMemStore("m", nil)), 0))
	})
}

// counted is memstore, counting. It refuses to have more than two instances open.
func counted(opened, closed *atomic.Int64) backend.Type {
	return backend.Of("memstore", func(ctx context.Context, _ backend.Env, config *backendsv1.MemStore) (*countedStore, error) {
		if opened.Load()-closed.Load() >= 2 {
			return nil, errors.New("no more than two")
		}
		opened.Add(1)
		store, err := memstore.Open(ctx, backend.Env{}, config)
		return &countedStore{store, closed}, err
	})
}

type countedStore struct {
	*memstore.Store
	closed *atomic.Int64
}

func (s *countedStore) Close(ctx context.Context) error {
	s.closed.Add(1)
	return s.Store.Close(ctx)
}

func method(t *testing.T, owner, name string) *rpc.Method {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	i, ok := known.Interface(owner)
	require.True(t, ok)
	at := slices.IndexFunc(i.RPCs, func(r catalog.RPC) bool { return r.Name == name })
	return i.RPCs[at].Method
}
