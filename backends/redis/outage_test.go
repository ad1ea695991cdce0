package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/redis"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// namesOn returns names of namespaces whose slots are on the first node of a cluster of three, or are not.
func namesOn(t *testing.T, node *testenv.Server, first bool, count int) []string {
	t.Helper()
	direct := dial(t, &client.Options{Addr: node.Address()})
	var names []string
	for n := 0; len(names) < count; n++ {
		slot := direct.ClusterKeySlot(t.Context(), fmt.Sprintf("{%d}", n)).Val()
		if (slot < 16384/3) == first {
			names = append(names, fmt.Sprint(n))
		}
	}
	return names
}

// TestAClusterIsFoundThoughAddressesAreSilent has a cluster of whose addresses most say nothing to whoever connects.
func TestAClusterIsFoundThoughAddressesAreSilent(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t)
	config := &backendsv1.Redis{Address: listen(t, nil), Addresses: []string{listen(t, nil), nodes[1].Address()}, Cluster: true, Timeout: durationpb.New(15 * time.Second)}
	set(t, t.Context(), namespace(t, open(t, config), "name"), "key", "value")

	config.Addresses = config.Addresses[:1]
	config.Timeout = durationpb.New(300 * time.Millisecond)
	_, err := redis.Open(t.Context(), backend.Env{}, config)
	require.ErrorContains(t, err, "addresses "+config.GetAddress()+", "+config.GetAddresses()[0]+": the server did not answer within 150ms")
}

// TestAGatewayStartsWhileANodeIsGone freezes a node of a cluster, which has no replica, and starts a gateway: the namespaces of the other nodes are served, and all of them when the node is back.
func TestAGatewayStartsWhileANodeIsGone(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t, "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "60000")
	require.NoError(t, nodes[0].Freeze())
	config := &backendsv1.Redis{Address: nodes[1].Address(), Addresses: []string{nodes[2].Address()}, Cluster: true, Timeout: durationpb.New(8 * time.Second)}
	store := open(t, config)
	gone := namespace(t, store, namesOn(t, nodes[1], true, 1)[0])
	for _, name := range namesOn(t, nodes[1], false, 10) {
		worksWithTokens(t, namespace(t, store, name))
	}
	require.Equal(t, fault.Unavailable, fault.CodeOf(sets(t.Context(), gone, "key")))
	require.NoError(t, nodes[0].Thaw())
	require.Eventually(t, func() bool { return sets(t.Context(), gone, "key") == nil }, waiting, time.Millisecond)
	worksWithTokens(t, gone)
}

// worksWithTokens uses what hands out tokens.
func worksWithTokens(t *testing.T, i *prism.Interfaces) {
	t.Helper()
	set(t, t.Context(), i, "a", "value")
	set(t, t.Context(), i, "b", "value")
	require.NoError(t, i.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1}, func(response *keyvaluev1.ScanKeysResponse) error {
		require.NotEmpty(t, response.GetPageToken())
		return nil
	}))
	live := subscribe(t, i, "topic")
	keep(t, i, "payload")
	require.Equal(t, "payload", string(live.next(t).GetMessage().GetPayload()))
}

// TestListeningDoesNotWaitForAnotherNode freezes a node of a cluster and listens there, for longer than the test waits; meanwhile others listen, and leave, and wait for queues, on another node.
func TestListeningDoesNotWaitForAnotherNode(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t, "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "60000")
	store := openIn(t, backend.Env{}, &backendsv1.Redis{Address: nodes[1].Address(), Cluster: true, Timeout: durationpb.New(3 * waiting)})
	frozen, served := namespace(t, store, namesOn(t, nodes[0], true, 1)[0]), namespace(t, store, namesOn(t, nodes[0], false, 1)[0])
	keep(t, frozen, "the key of tokens is made")
	require.NoError(t, nodes[0].Freeze())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- frozen.PubSubBasic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: "topic"}, func(*pubsubv1.SubscribeResponse) error { return nil })
	}()
	for range 10 { // the other may come late
		live := subscribe(t, served, "topic")
		publish(t, served, "topic", "payload")
		require.Equal(t, "payload", string(live.next(t).GetMessage().GetPayload()))
		live.stop()
		_, err := served.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "queue", WaitTime: durationpb.New(100 * time.Millisecond)})
		require.NoError(t, err)
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, nodes[0].Thaw())
}

// TestStreamsEndAtOnceWhenTheConnectionIsCut cuts the connection that is listened on, on a way that leads nowhere from then on: that must not take as long as finding out about the new one.
func TestStreamsEndAtOnceWhenTheConnectionIsCut(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	way := newWay(t, server.Address())
	i := namespace(t, open(t, &backendsv1.Redis{Address: way.address, Timeout: durationpb.New(3 * waiting)}), "n")
	live := subscribe(t, i, "topic")
	way.cut()
	err := live.ending(t)
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
}

// way is a way to a server for each connection.
type way struct {
	address string

	mu    sync.Mutex
	isCut bool
	heard []net.Conn // the connections that somebody listens on
}

func newWay(t *testing.T, to string) *way {
	t.Helper()
	w := &way{}
	w.address = serve(t, func(conn net.Conn) {
		if w.closed() {
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		there, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer func() { _ = there.Close() }()
		go func() { _, _ = io.Copy(conn, there); _ = conn.Close() }()
		for buffer := make([]byte, 64<<10); ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if bytes.Contains(buffer[:n], []byte("subscribe\r\n")) {
				w.mu.Lock()
				w.heard = append(w.heard, conn)
				w.mu.Unlock()
			}
			if w.closed() {
				continue
			}
			if _, err := there.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	return w
}

func (w *way) closed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.isCut
}

// cut ends the connections that somebody listens on; others stay and say nothing any more.
func (w *way) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	for _, conn := range w.heard {
		_ = conn.Close()
	}
}

// TestGatewaysFindOneKeyAgain has a server lose the key of tokens while a gateway runs, and another one start after it.
func TestGatewaysFindOneKeyAgain(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	one := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "n")
	page := func(i *prism.Interfaces, token string) (next string, err error) {
		err = i.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1, PageToken: token}, func(response *keyvaluev1.ScanKeysResponse) error {
			next = response.GetPageToken()
			return nil
		})
		return next, err
	}
	for n := range 3 {
		set(t, t.Context(), one, fmt.Sprint(n), "value")
	}
	former := direct.Get(t.Context(), "prism:tokens").Val()
	require.NoError(t, direct.Del(t.Context(), "prism:tokens").Err())
	_, err := page(one, strings.Repeat("a", 40))
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%v", err)
	require.Equal(t, former, direct.Get(t.Context(), "prism:tokens").Val(), "who still has the key puts it back")

	require.NoError(t, direct.Del(t.Context(), "prism:tokens").Err())
	other := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "n")
	require.NotEqual(t, former, direct.Get(t.Context(), "prism:tokens").Val())
	durable := subscribeDurable(t, other, "name")
	keep(t, other, "payload")
	receipt := durable.next(t).GetMessage().GetReceipt()
	_, err = one.PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{receipt}})
	require.NoError(t, err)
	ended, err := one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: durable.id})
	require.NoError(t, err)
	require.True(t, ended.GetUnsubscribed())
	token, err := page(other, "")
	require.NoError(t, err)
	token, err = page(one, token)
	require.NoError(t, err)
	token, err = page(other, token)
	require.NoError(t, err)
	require.Empty(t, token)
}

// TestCallsWhileAnInstanceCloses makes calls that begin something in the background, while the instance is closed.
func TestCallsWhileAnInstanceCloses(t *testing.T) {
	t.Parallel()
	for range 20 {
		store, err := redis.Open(t.Context(), backend.Env{}, &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address(), Prefix: t.Name()})
		require.NoError(t, err)
		i := namespace(t, store, "n")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for {
					_, err := i.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "queue"})
					if err != nil {
						require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
						return
					}
				}
			})
		}
		require.NoError(t, store.Close(t.Context()))
		group.Wait()
	}
}
