package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/rpc"
)

// transactions makes the calls of transactions on the namespace n.
type transactions struct {
	t    *testing.T
	conn keyvaluev1.Transactional
}

func transactionsOn(t *testing.T, g *gateway.Gateway) transactions {
	t.Helper()
	return transactions{t, keyvaluerpc.NewTransactionalClient(&conn{gateway: g, namespace: "n"})}
}

func (c transactions) begin() string {
	c.t.Helper()
	answer, err := c.conn.BeginTransaction(c.t.Context(), &keyvaluev1.BeginTransactionRequest{Timeout: durationpb.New(5 * time.Minute)})
	require.NoError(c.t, err)
	return answer.GetTransaction()
}

func (c transactions) write(handle string) error {
	_, err := c.conn.SetInTransaction(c.t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "a", Value: []byte("v")})
	return err
}

func (c transactions) commit(handle string) error {
	_, err := c.conn.Commit(c.t.Context(), &keyvaluev1.CommitRequest{Transaction: handle})
	return err
}

func (c transactions) rollback(handle string) error {
	_, err := c.conn.Rollback(c.t.Context(), &keyvaluev1.RollbackRequest{Transaction: handle})
	return err
}

func TestTransactionsGoOnForTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		apply(t, g, onMemStore("m", nil), 0)
		kv := transactionsOn(t, g)
		first, second := kv.begin(), kv.begin()
		apply(t, g, onMemStore("other", nil), 30*time.Second)
		time.Sleep(20 * time.Second)
		require.NoError(t, kv.write(first))
		require.NoError(t, kv.commit(first), "it was begun before the change and ends within the grace")
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(kv.commit(first)), "it has ended")
		fresh := kv.begin()
		require.NoError(t, kv.write(fresh))
		require.NoError(t, kv.commit(fresh))

		time.Sleep(11 * time.Second)
		require.Equal(t, "CONFIGURATION_CHANGED", fault.ReasonOf(kv.write(second)))
		require.Equal(t, "CONFIGURATION_CHANGED", fault.ReasonOf(kv.commit(second)))
		require.NoError(t, kv.rollback(second), "Rollback is no error wherever the transaction is")
		time.Sleep(6 * time.Minute)
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(kv.commit(second)), "no transaction lives that long")
	})
}

// Each transaction has the whole grace of the change that replaced its backend, whatever changes in the meantime.
func TestTransactionsGoOnThroughSeveralChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		kv := transactionsOn(t, g)
		apply(t, g, onMemStore("first", nil), 0)
		ofFirst, lateOfFirst := kv.begin(), kv.begin()
		apply(t, g, onMemStore("second", nil), 30*time.Second)
		ofSecond := kv.begin()
		time.Sleep(10 * time.Second)
		apply(t, g, onMemStore("second", &configv1.NamespaceLimits{CallsPerSecond: 1000}), 30*time.Second)
		require.NoError(t, kv.write(ofFirst))
		require.NoError(t, kv.write(ofSecond))
		apply(t, g, onMemStore("third", nil), 30*time.Second)
		time.Sleep(10 * time.Second)
		require.NoError(t, kv.commit(ofFirst))
		time.Sleep(11 * time.Second)
		require.Equal(t, "CONFIGURATION_CHANGED", fault.ReasonOf(kv.commit(lateOfFirst)))
		require.NoError(t, kv.commit(ofSecond))
	})
}

// A namespace may leave a backend that others stay on.
func TestTransactionsGoOnWhenANamespaceMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := func(instance string) *configv1.Config {
			return &configv1.Config{
				Backends:   []*configv1.BackendInstance{{Name: "m", Type: "memstore"}, {Name: "other", Type: "memstore"}},
				Namespaces: []*configv1.Namespace{{Name: "n", Backend: instance}, {Name: "stays", Backend: "m"}, {Name: "there", Backend: "other"}},
			}
		}
		g := newGateway(t)
		apply(t, g, config("m"), 0)
		kv := transactionsOn(t, g)
		first, second := kv.begin(), kv.begin()
		apply(t, g, config("other"), 30*time.Second)
		require.NoError(t, kv.commit(first))
		time.Sleep(31 * time.Second)
		require.Equal(t, "CONFIGURATION_CHANGED", fault.ReasonOf(kv.commit(second)))
	})
}

// scripted is the backend type memstore, whose instances are those given, in the order in which they are opened.
func scripted(instances ...backend.Instance) backend.Type {
	return backend.Type{Name: "memstore", Open: func(context.Context, backend.Env, proto.Message) (backend.Instance, error) {
		next := instances[0]
		instances = instances[1:]
		return next, nil
	}}
}

// handlers is an open backend that gives the same to each namespace.
type handlers []rpc.Handler

func (h handlers) Handlers() []rpc.Handler { return h }

func (h handlers) Namespace(context.Context, string) (backend.Interfaces, error) { return h, nil }

func (h handlers) Close(context.Context) error { return nil }

// scriptedTransactions answers with what its functions return.
type scriptedTransactions struct {
	keyvaluev1.Transactional
	begin            func() (string, error)
	commit, rollback func() error
}

func (s scriptedTransactions) BeginTransaction(context.Context, *keyvaluev1.BeginTransactionRequest) (*keyvaluev1.BeginTransactionResponse, error) {
	handle, err := s.begin()
	return &keyvaluev1.BeginTransactionResponse{Transaction: handle}, err
}

func (s scriptedTransactions) Commit(context.Context, *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
	return &keyvaluev1.CommitResponse{}, s.commit()
}

func (s scriptedTransactions) Rollback(context.Context, *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error) {
	return &keyvaluev1.RollbackResponse{}, s.rollback()
}

func (s scriptedTransactions) opened() handlers {
	return keyvaluerpc.TransactionalHandlers(s)
}

func unknownHandle() error { return fault.New(fault.FailedPrecondition, "no such transaction") }

func nothing() error { return nil }

// A backend is often replaced because it does not answer any more.
func TestABrokenFormerBackendBreaksNoRollback(t *testing.T) {
	broken := scriptedTransactions{rollback: func() error { return fault.New(fault.Unavailable, "away") }}
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, scripted(broken.opened(), scriptedTransactions{rollback: nothing}.opened()))
		apply(t, g, onMemStore("m", nil), 0)
		apply(t, g, onMemStore("other", nil), 30*time.Second)
		require.NoError(t, transactionsOn(t, g).rollback("h"))
	})
}

func TestTransactionsBeginOnlyOnWhatServes(t *testing.T) {
	former := scriptedTransactions{begin: func() (string, error) { return "former", nil }}
	now := scriptedTransactions{begin: func() (string, error) { return "", fault.New(fault.FailedPrecondition, "read only") }}
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, scripted(former.opened(), now.opened()))
		apply(t, g, onMemStore("m", nil), 0)
		apply(t, g, onMemStore("other", nil), 30*time.Second)
		_, err := transactionsOn(t, g).conn.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	})
}

// A call that takes long in the former backend is waited for, and nothing else waits with it.
func TestASlowCallOfAFormerTransactionDelaysNoOther(t *testing.T) {
	subscribe := method(t, "pubsub_basic", "Subscribe")
	waiting := rpc.ServerStream(subscribe, func(ctx context.Context, _ *pubsubv1.SubscribeRequest, _ func(*pubsubv1.SubscribeResponse) error) error {
		<-ctx.Done()
		return ctx.Err()
	})
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		former := scriptedTransactions{commit: func() error { <-released; return nil }}
		now := scriptedTransactions{commit: unknownHandle, begin: func() (string, error) { return "fresh", nil }}
		g := newGateway(t, scripted(append(former.opened(), waiting), now.opened()))
		apply(t, g, onMemStore("m", nil), 0)
		stream, slow, other := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() {
			stream <- (&conn{gateway: g, namespace: "n"}).serve(t.Context(), subscribe, &pubsubv1.SubscribeRequest{Topic: "t"}, discard)
		}()
		synctest.Wait()
		apply(t, g, onMemStore("other", nil), time.Second)
		kv := transactionsOn(t, g)
		go func() { slow <- kv.commit("h") }()
		time.Sleep(2 * time.Second) // the grace is over
		go func() { other <- kv.commit("unknown") }()
		synctest.Wait()
		require.Len(t, stream, 1, "it goes on after the grace")
		require.Len(t, other, 1, "it waits for a call of somebody else")
		require.Equal(t, "CONFIGURATION_CHANGED", fault.ReasonOf(<-other))
		require.Equal(t, "fresh", kv.begin())
		require.Empty(t, slow)
		close(released)
		require.NoError(t, <-slow)
	})
}

// What has no transactions is closed as soon as its calls have ended.
func TestWhatHasNoTransactionsDoesNotWaitForTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan struct{})
		first := closes{handlers(keyvaluerpc.BasicHandlers(broken{})), func(context.Context) error { close(closed); return nil }}
		g := newGateway(t, scripted(first, handlers(nil)))
		apply(t, g, onMemStore("m", nil), 0)
		apply(t, g, onMemStore("other", nil), time.Hour)
		begin := time.Now()
		<-closed
		require.Zero(t, time.Since(begin))
	})
}

// closes is an open backend whose Close is a test's.
type closes struct {
	handlers
	close func(context.Context) error
}

func (c closes) Close(ctx context.Context) error { return c.close(ctx) }
