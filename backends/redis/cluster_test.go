package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// TestASlotMovesUnderLoad moves a namespace to another node of a cluster, a key at a time; between any two keys all callers call at once. What was answered must hold then, and no key may come to be
// on both nodes, which would end the move.
func TestASlotMovesUnderLoad(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t)
	i := namespace(t, open(t, &backendsv1.Redis{Address: nodes[0].Address(), Cluster: true}), "n")
	for _, key := range []string{"always/0", "always/1"} {
		set(t, t.Context(), i, key, "value")
	}
	subscribeDurable(t, i, "name").stop()

	var stored map[string]string
	var queued, kept, inOrder map[string]int
	acknowledged := map[string]bool{}
	value := func(key string) bool { return stored[key] == "value" }
	callers := []*caller{
		newCaller("Get and Scan", func(string) error { return looks(t.Context(), i) }, func(string) bool { return true }),
		newCaller("Set", func(n string) error { return sets(t.Context(), i, "set"+n) }, func(n string) bool { return value("set" + n) }),
		newCaller("Delete", func(n string) error { return deletes(t.Context(), i, "deleted"+n) }, func(n string) bool { return !value("deleted" + n) }),
		newCaller("TTL", func(n string) error { return expires(t.Context(), i, "expiring"+n) }, func(n string) bool { return value("expiring" + n) }),
		newCaller("Batch", func(n string) error { return batches(t.Context(), i, n+"/0", n+"/1") }, func(n string) bool { return value(n+"/0") && value(n+"/1") }),
		newCaller("CompareAndSwap", func(n string) error { return swaps(t.Context(), i, "swapped"+n) }, func(n string) bool { return value("swapped" + n) }),
		newCaller("Commit", func(n string) error { return commits(t.Context(), i, "a"+n, "b"+n) }, func(n string) bool { return value("a"+n) && value("b"+n) }),
		newCaller("Enqueue", func(n string) error { return enqueues(t.Context(), i, "queue", n) }, func(n string) bool { return queued[n] == 1 }),
		newCaller("Acknowledge", func(n string) error { return leases(t.Context(), i, "leased", n, acknowledged) }, func(string) bool { return true }),
		newCaller("PublishPersistent", func(n string) error { return keeps(t.Context(), i, n) }, func(n string) bool { return kept[n] == 1 }),
		newCaller("PublishOrdered", func(n string) error { return orders(t.Context(), i, n) }, func(n string) bool { return inOrder[n] == 1 }),
	}
	round := func() {
		var group sync.WaitGroup
		for _, c := range callers {
			group.Go(func() { c.once(t) })
		}
		group.Wait()
	}
	round()
	moveSlot(t, nodes, "{n}", round)
	for _, c := range callers {
		before := len(c.answered)
		require.Eventually(t, func() bool { c.once(t); return len(c.answered) > before }, waiting, time.Millisecond, "%s is answered by the other node", c.name)
	}

	stored, queued, kept, inOrder = scan(t, t.Context(), i), drained(t, i, "queue"), keptMessages(t, i), orderedMessages(t, i)
	for _, c := range callers {
		for _, n := range c.answered {
			require.True(t, c.holds(n), "%s %s was answered", c.name, n)
		}
	}
	for key := range stored {
		if n, ok := strings.CutPrefix(key, "a"); ok && !strings.HasPrefix(n, "lways") {
			require.True(t, value("b"+n), "a commit is applied whole or not at all")
		}
	}
	for payload := range drained(t, i, "leased") {
		require.False(t, acknowledged[payload], "%s was acknowledged", payload)
	}
	count, err := i.KeyValueScan.Count(t.Context(), &keyvaluev1.CountRequest{})
	require.NoError(t, err)
	require.Len(t, stored, int(count.GetCount()))
}

// TestStreamsEndWhenTheirNamespaceMoves moves a namespace to another node of a cluster, where a later subscriber hears it. The former node hears it as well: who listened
// on both would get each message twice.
func TestStreamsEndWhenTheirNamespaceMoves(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t)
	i := namespace(t, open(t, &backendsv1.Redis{Address: nodes[0].Address(), Cluster: true}), "n")
	set(t, t.Context(), i, "key", "value")
	live, durable := subscribe(t, i, "topic"), subscribeDurable(t, i, "name")
	moveSlot(t, nodes, "{n}", func() {})
	for _, err := range []error{live.ending(t), durable.ending(t)} {
		require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	}
	live, durable = subscribe(t, i, "topic"), subscribeDurable(t, i, "name")
	keep(t, i, "once")
	keep(t, i, "last")
	for _, payload := range []string{"once", "last"} {
		require.Equal(t, payload, string(live.next(t).GetMessage().GetPayload()))
		require.Equal(t, payload, string(durable.next(t).GetMessage().GetMessage().GetPayload()))
	}
}

// TestANodeThatIsGoneIsReplacedByItsReplica kills a node of a cluster, and freezes one: its namespaces come back when the replica has taken over, with all they had, and those of the other nodes notice nothing.
func TestANodeThatIsGoneIsReplacedByItsReplica(t *testing.T) {
	t.Parallel()
	t.Run("killed", func(t *testing.T) { t.Parallel(); replaced(t, (*testenv.Server).Kill) })
	t.Run("frozen", func(t *testing.T) { t.Parallel(); replaced(t, (*testenv.Server).Freeze) })
}

func replaced(t *testing.T, lose func(*testenv.Server) error) {
	t.Helper()
	nodes := testenv.RedisCluster(t, "--cluster-require-full-coverage", "no")
	testenv.RedisReplica(t, nodes[0], "--cluster-require-full-coverage", "no")
	status := new(backend.Status)
	store := openIn(t, backend.Env{Status: status}, &backendsv1.Redis{Address: nodes[0].Address(), Addresses: []string{nodes[1].Address()}, Cluster: true, Timeout: durationpb.New(5 * time.Second)})
	direct := dial(t, &client.Options{Addr: nodes[0].Address()})
	names := map[bool]string{}
	for n := 0; len(names) < 2; n++ {
		slot := direct.ClusterKeySlot(t.Context(), fmt.Sprintf("{%d}", n)).Val()
		names[slot < 16384/3] = fmt.Sprint(n)
	}
	dies, stays := namespace(t, store, names[true]), namespace(t, store, names[false])
	set(t, t.Context(), dies, "key", "value")
	live := subscribe(t, dies, "topic")
	require.NoError(t, direct.Set(t.Context(), "{"+names[true]+"}", "last", 0).Err())
	require.EqualValues(t, 1, direct.Wait(t.Context(), 1, waiting).Val(), "the replica has what its master has")

	require.NoError(t, lose(nodes[0]))
	require.Equal(t, fault.Unavailable, fault.CodeOf(sets(t.Context(), dies, "other")))
	require.Equal(t, fault.Unavailable, fault.CodeOf(live.ending(t)))
	require.Eventually(t, func() bool {
		set(t, t.Context(), stays, "key", "value")
		get, err := dies.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
		if err != nil {
			require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
			return false
		}
		require.Equal(t, "value", string(get.GetValue()))
		return true
	}, 2*waiting, time.Millisecond)
	require.Eventually(t, func() bool { unavailable, _ := status.State(); return unavailable == "" }, waiting, time.Millisecond)
	require.NotZero(t, status.Openings.Load())
	set(t, t.Context(), dies, "other", "value")
	live = subscribe(t, dies, "topic")
	publish(t, dies, "topic", "again")
	require.Equal(t, "again", string(live.next(t).GetMessage().GetPayload()))

	started := namespace(t, open(t, &backendsv1.Redis{Address: nodes[0].Address(), Addresses: []string{nodes[1].Address()}, Cluster: true, Timeout: durationpb.New(8 * time.Second)}), names[true])
	require.Eventually(t, func() bool { // the node that is asked may be the last to hear of the other one's end
		_, err := started.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
		return err == nil
	}, waiting, time.Millisecond, "a gateway can start while a node is gone")
}

// TestAddressesThatAreGoneStopNothing has a cluster of whose addresses most are nobody's, and calls that are given up, after each of which the gateway asks whether the server is there: whom it asks
// must be the server of the namespace, which may be slow to answer, and refuses nothing.
func TestAddressesThatAreGoneStopNothing(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t)
	config := &backendsv1.Redis{Address: "127.0.0.1:" + freePort(t), Cluster: true}
	for range 20 {
		config.Addresses = append(config.Addresses, "127.0.0.1:"+freePort(t))
	}
	config.Addresses = append(config.Addresses, nodes[2].Address())
	log := new(lockedBuffer)
	i := namespace(t, openIn(t, backend.Env{Log: slog.New(slog.NewTextHandler(log, nil))}, config), "name")
	for range 60 {
		for _, node := range nodes {
			require.NoError(t, dial(t, &client.Options{Addr: node.Address()}).ClientPause(t.Context(), 30*time.Millisecond).Err())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: "key"}); err != nil {
			require.Contains(t, []fault.Code{fault.DeadlineExceeded, fault.Unavailable}, fault.CodeOf(err), "%v", err)
		}
		cancel()
	}
	require.NotContains(t, log.String(), "connection refused")
}

// lockedBuffer is a buffer for many.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write appends.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// TestAWriteToAClusterIsNotRepeated ends the connection of writes that a node has, and has not done yet: the client repeats what it is not told not to.
func TestAWriteToAClusterIsNotRepeated(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t)
	i := namespace(t, open(t, &backendsv1.Redis{Address: nodes[0].Address(), Cluster: true}), "n")
	set(t, t.Context(), i, "key", "value")
	var direct []*client.Client
	for _, node := range nodes {
		direct = append(direct, dial(t, &client.Options{Addr: node.Address()}))
	}
	each := func(do func(node *client.Client)) {
		for _, node := range direct {
			do(node)
		}
	}
	for name, call := range map[string]func() error{
		"Expire": func() error {
			_, err := i.KeyValueTTL.Expire(t.Context(), &keyvaluev1.ExpireRequest{Key: "key", Ttl: durationpb.New(time.Hour)})
			return err
		},
		"Set": func() error { return sets(t.Context(), i, "key") },
		"Delete": func() error {
			_, err := i.KeyValueBasic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: "key"})
			return err
		},
	} {
		each(func(node *client.Client) {
			require.NoError(t, node.Do(t.Context(), "client", "pause", time.Minute.Milliseconds(), "write").Err())
		})
		ended := make(chan error, 1)
		go func() { ended <- call() }()
		held := func() (clients int) {
			each(func(node *client.Client) {
				clients += strings.Count(node.Info(t.Context(), "clients").Val(), "blocked_clients:1")
			})
			return clients
		}
		require.Eventually(t, func() bool { return held() == 1 }, waiting, time.Millisecond, "%s has come to a node", name)
		each(func(node *client.Client) {
			require.NoError(t, node.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err())
		})
		each(func(node *client.Client) { require.NoError(t, node.ClientUnpause(t.Context()).Err()) })
		require.Equal(t, fault.Unavailable, fault.CodeOf(<-ended), name)
		require.Eventually(t, func() bool { return sets(t.Context(), i, "key") == nil }, waiting, time.Millisecond)
	}
}

// moveSlot moves the slot of a hash tag from its node to another one, as the server's own tools do, and calls between before and after each key.
func moveSlot(t *testing.T, nodes []*testenv.Server, tag string, between func()) {
	t.Helper()
	ctx := t.Context()
	var ids []string
	var clients []*client.Client
	for _, node := range nodes {
		direct := dial(t, &client.Options{Addr: node.Address()})
		id, err := direct.ClusterMyID(ctx).Result()
		require.NoError(t, err)
		clients, ids = append(clients, direct), append(ids, id)
	}
	slot := clients[0].ClusterKeySlot(ctx, tag).Val()
	from := 0
	for clients[from].ClusterCountKeysInSlot(ctx, int(slot)).Val() == 0 {
		from++
	}
	to := (from + 1) % len(nodes)
	assign := func(at int, arguments ...any) {
		require.NoError(t, clients[at].Do(ctx, append([]any{"cluster", "setslot", slot}, arguments...)...).Err())
	}
	assign(to, "importing", ids[from])
	assign(from, "migrating", ids[to])
	moved := 0
	for {
		keys, err := clients[from].ClusterGetKeysInSlot(ctx, int(slot), 1).Result()
		require.NoError(t, err)
		between()
		if len(keys) == 0 {
			break
		}
		require.NoError(t, clients[from].Migrate(ctx, "127.0.0.1", fmt.Sprint(nodes[to].Port), keys[0], 0, 30*time.Second).Err(), "the move of %s", keys[0])
		moved++
	}
	t.Logf("%d keys were moved", moved)
	assign(to, "node", ids[to]) // first, so that it takes what the other sends on
	for at := range nodes {
		assign(at, "node", ids[to])
	}
}

// caller makes calls, each with a number of its own. They may be UNAVAILABLE.
type caller struct {
	name  string
	call  func(n string) error
	holds func(n string) bool // what a call with this number promised, when it was answered

	calls    int
	answered []string
}

func newCaller(name string, call func(n string) error, holds func(n string) bool) *caller {
	return &caller{name: name, call: call, holds: holds}
}

func (c *caller) once(t *testing.T) {
	c.calls++
	n := fmt.Sprint(c.calls)
	switch err := c.call(n); {
	case err == nil:
		c.answered = append(c.answered, n)
	case fault.CodeOf(err) != fault.Unavailable:
		assert.NoError(t, err, "%s %s", c.name, n)
	}
}

// inTurn makes calls until one fails.
func inTurn(calls ...func() error) error {
	for _, call := range calls {
		if err := call(); err != nil {
			return err
		}
	}
	return nil
}

// unless is the error of a call whose answer is wrong.
func unless(right bool, err error) error {
	if err == nil && !right {
		return fault.New(fault.Internal, "the answer is wrong")
	}
	return err
}

func looks(ctx context.Context, i *prism.Interfaces) error {
	return inTurn(func() error {
		got, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: "always/0"})
		return unless(string(got.GetValue()) == "value", err)
	}, func() error {
		found := 0
		err := i.KeyValueScan.Scan(ctx, &keyvaluev1.ScanRequest{Prefix: "always/"}, func(*keyvaluev1.ScanResponse) error { found++; return nil })
		return unless(found == 2, err)
	})
}

func sets(ctx context.Context, i *prism.Interfaces, key string) error {
	_, err := i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte("value")})
	return err
}

func deletes(ctx context.Context, i *prism.Interfaces, key string) error {
	return inTurn(func() error { return sets(ctx, i, key) }, func() error {
		_, err := i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: key})
		return err
	})
}

func expires(ctx context.Context, i *prism.Interfaces, key string) error {
	return inTurn(func() error {
		_, err := i.KeyValueTTL.SetWithTTL(ctx, &keyvaluev1.SetWithTTLRequest{Key: key, Value: []byte("value"), Ttl: durationpb.New(time.Hour)})
		return err
	}, func() error {
		response, err := i.KeyValueTTL.Expire(ctx, &keyvaluev1.ExpireRequest{Key: key, Ttl: durationpb.New(2 * time.Hour)})
		return unless(response.GetFound(), err)
	}, func() error {
		response, err := i.KeyValueTTL.Persist(ctx, &keyvaluev1.PersistRequest{Key: key})
		return unless(response.GetFound(), err)
	})
}

func batches(ctx context.Context, i *prism.Interfaces, keys ...string) error {
	for _, key := range keys { // one at a time is more than one key for the server all the same
		items := []*keyvaluev1.BatchItem{{Key: key, Value: []byte("value")}}
		if _, err := i.KeyValueBatch.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: items}); err != nil {
			return err
		}
	}
	response, err := i.KeyValueBatch.BatchGet(ctx, &keyvaluev1.BatchGetRequest{Keys: keys})
	for _, result := range response.GetResults() {
		err = unless(result.GetFound(), err)
	}
	return err
}

func swaps(ctx context.Context, i *prism.Interfaces, key string) error {
	response, err := i.KeyValueCAS.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: key, Value: []byte("value")})
	return unless(response.GetSwapped(), err)
}

func commits(ctx context.Context, i *prism.Interfaces, keys ...string) error {
	begun, err := i.KeyValueTransactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
	if err != nil {
		return err
	}
	handle := begun.GetTransaction()
	seen, err := i.KeyValueTransactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: "always/0"})
	if err := unless(seen.GetFound(), err); err != nil {
		return err
	}
	for _, key := range keys {
		_, err := i.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: key, Value: []byte("value")})
		if err != nil {
			return err
		}
	}
	_, err = i.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
	return err
}

func enqueues(ctx context.Context, i *prism.Interfaces, queue, payload string) error {
	_, err := i.QueueBasic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: queue, Payload: []byte(payload)})
	return err
}

// leases enqueues a message, and leases and acknowledges the first one.
func leases(ctx context.Context, i *prism.Interfaces, queue, payload string, acknowledged map[string]bool) error {
	if err := enqueues(ctx, i, queue, payload); err != nil {
		return err
	}
	leased, err := i.QueueVisibility.DequeueWithTimeout(ctx, &queuev1.DequeueWithTimeoutRequest{Queue: queue, VisibilityTimeout: durationpb.New(time.Hour)})
	if err := unless(leased.GetFound(), err); err != nil {
		return err
	}
	_, err = i.QueueVisibility.Acknowledge(ctx, &queuev1.AcknowledgeRequest{Queue: queue, Receipt: leased.GetReceipt()})
	if err == nil {
		acknowledged[string(leased.GetMessage().GetPayload())] = true
	}
	return err
}

func keeps(ctx context.Context, i *prism.Interfaces, payload string) error {
	_, err := i.PubSubPersistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)})
	return err
}

func orders(ctx context.Context, i *prism.Interfaces, payload string) error {
	_, err := i.PubSubOrdering.PublishOrdered(ctx, &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte(payload)})
	return err
}

// drained takes all messages of a queue and counts each.
func drained(t *testing.T, i *prism.Interfaces, queue string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for message := takeNow(t, i, queue); message != nil; message = takeNow(t, i, queue) {
		found[string(message.GetPayload())]++
	}
	return found
}

// keptMessages counts what the durable subscription delivers.
func keptMessages(t *testing.T, i *prism.Interfaces) map[string]int {
	t.Helper()
	keep(t, i, "last")
	found := map[string]int{}
	for durable := subscribeDurable(t, i, "name"); found["last"] == 0; {
		message := durable.next(t).GetMessage()
		found[string(message.GetMessage().GetPayload())]++
		_, err := i.PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{message.GetReceipt()}})
		require.NoError(t, err)
	}
	return found
}

// orderedMessages counts what the topic keeps.
func orderedMessages(t *testing.T, i *prism.Interfaces) map[string]int {
	t.Helper()
	publishOrdered(t, i, "last")
	found := map[string]int{}
	for stream := start(t, func(ctx context.Context, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
		return i.PubSubOrdering.SubscribeOrdered(ctx, &pubsubv1.SubscribeOrderedRequest{
			Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
		}, send)
	}); found["last"] == 0; {
		if message := stream.next(t).GetMessage().GetMessage(); message != nil && message.GetMessageId() != "" {
			found[string(message.GetPayload())]++
		}
	}
	return found
}
