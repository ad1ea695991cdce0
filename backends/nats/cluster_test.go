//go:build natscluster

// These tests are run by `make nats-cluster`, not by CI yet: elections take as long as they take, and the suites' demands for order were met on three servers only just now.

package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/internal/testrace"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// resumption is how long a test waits for service to resume when a server of a cluster is gone. It takes less than 20 s on a machine that is not busy.
const resumption = 2 * time.Minute

// replicated is the configuration for a server of a cluster, with streams that three servers keep.
func replicated(s *testenv.Server, prefix string) *backendsv1.Nats {
	return &backendsv1.Nats{Urls: []string{"nats://" + s.Address()}, Prefix: prefix, Replicas: 3, Timeout: busy}
}

// TestACluster runs the suites on streams that three servers keep.
func TestACluster(t *testing.T) {
	t.Parallel()
	nodes := testenv.NATSCluster(t)
	t.Run("overlapping acknowledgements", func(t *testing.T) { t.Parallel(); acknowledgeAtOnce(t, nodes[0]) })
	t.Run("overlapping beginnings", func(t *testing.T) { t.Parallel(); beginAtOnce(t, nodes) })
	t.Run("what streams give back", func(t *testing.T) { t.Parallel(); giveBackInOrder(t, nodes) })
	store := open(t, replicated(nodes[0], "suites"))
	var names atomic.Int64
	fresh := func(t *testing.T) *prism.Interfaces {
		t.Helper()
		return namespace(t, store, fmt.Sprint("namespace", names.Add(1)))
	}
	offered := fresh(t).Names()
	for _, suite := range suites.List() {
		if slices.Contains(offered, suite.Interface) {
			t.Run(suite.Interface, func(t *testing.T) {
				if suite.Interface == "keyvalue_scan" && testrace.Enabled {
					t.Skip("takes long, because the leader is asked for one key after the other; it is run by `go test` without -race")
				}
				t.Parallel()
				suite.Run(t, fresh)
			})
		}
	}
}

// TestTheServerThatLeadsIsKilled kills the leader of both streams under load, which comes by one gateway that is connected to that server and by one that is not: its connection stays, and only
// the streams tell it that they have no leader.
func TestTheServerThatLeadsIsKilled(t *testing.T) {
	t.Parallel()
	nodes := testenv.NATSCluster(t)
	var at []*prism.Interfaces
	for _, node := range nodes[:2] {
		config := replicated(node, "killed")
		config.Timeout = nil // what is sent to the server when it dies has no answer
		at = append(at, namespace(t, open(t, config), "name"))
	}
	l := newLoad(t, at)
	l.requireService(t)
	lead(t, "prism-0", nodes[0], "killed")
	require.NoError(t, nodes[0].Kill())
	l.requireService(t)
	require.Eventually(t, func() bool { return l.keep(1, at[1], "idle") }, resumption, 10*time.Millisecond)
	namespace(t, open(t, replicated(nodes[1], "killed")), "name") // a gateway can start while a server is gone
	config := replicated(nodes[1], "more")
	config.Replicas = 5
	_, err := open(t, config).Namespace(t.Context(), "name")
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "replicas")
	l.stop(t)
}

// giveBackInOrder has streams end which have acknowledged nothing, on gateways that are connected to other servers than the one that leads the consumer: what they give back must not come to their
// last questions, which they have withdrawn, and stand behind the rest then.
func giveBackInOrder(t *testing.T, nodes []*testenv.Server) {
	t.Helper()
	var at []*prism.Interfaces
	for _, node := range nodes {
		at = append(at, namespace(t, open(t, replicated(node, "back")), "name"))
	}
	payloads := []string{"0", "1", "2", "3", "4"}
	keep(t, at[0], payloads...)
	for n := range 120 {
		r, _ := readDurable(t, at[n%len(at)], nil)
		for _, payload := range payloads {
			requireDurable(t, payload, r.next(t))
		}
		r.cancel()
		<-r.done
	}
}

// beginAtOnce has gateways make the same streams, and then the same durable subscriptions, at the same time. Of several that overlap a cluster may answer one.
func beginAtOnce(t *testing.T, nodes []*testenv.Server) {
	t.Helper()
	type opened struct {
		interfaces *prism.Interfaces
		err        error
	}
	came := make(chan opened, len(nodes))
	for _, node := range nodes {
		config := replicated(node, "beginning")
		config.Timeout = durationpb.New(10 * time.Minute) // nobody is to wait for it
		store := open(t, config)
		go func() {
			found, err := store.Namespace(t.Context(), "name")
			came <- opened{found.Interfaces(), err}
		}()
	}
	late := time.After(2 * resumption)
	var at []*prism.Interfaces
	for range nodes {
		select {
		case one := <-came:
			require.NoError(t, one.err)
			at = append(at, one.interfaces)
		case <-late:
			require.FailNow(t, "a namespace is not opened")
		}
	}
	for n := range 20 {
		var begun []*reader[*pubsubv1.SubscribeDurableResponse]
		for stream := range 6 {
			begun = append(begun, read(t, func(ctx context.Context, send func(*pubsubv1.SubscribeDurableResponse) error) error {
				request := durableRequest(func(r *pubsubv1.SubscribeDurableRequest) { r.Subscription = fmt.Sprint(n) })
				return at[stream%len(at)].PubSubPersistent.SubscribeDurable(ctx, request, send)
			}))
		}
		for _, r := range begun {
			select {
			case response := <-r.came:
				require.NotNil(t, response.GetSubscribed())
			case <-r.done:
				require.NoError(t, r.err)
			case <-late:
				require.FailNow(t, "a durable subscription does not begin")
			}
		}
	}
}

// acknowledgeAtOnce acknowledges a message many times at the same time. Of several that overlap a consumer with replicas answers one.
func acknowledgeAtOnce(t *testing.T, node *testenv.Server) {
	t.Helper()
	config := replicated(node, "overlapping")
	config.Timeout = durationpb.New(10 * time.Minute) // nobody is to wait for it
	i, other := namespace(t, open(t, config), "name"), namespace(t, open(t, config), "name")
	keep(t, i, "message")
	r, _ := readDurable(t, i, nil)
	receipt := requireDurable(t, "message", r.next(t))
	const calls = 16
	ended := make(chan error, calls)
	for n := range calls {
		go func() {
			_, err := []*prism.Interfaces{i, other}[n%2].PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{receipt}})
			ended <- err
		}()
	}
	late := time.After(resumption)
	for range calls {
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-late:
			require.FailNow(t, "an acknowledgement is not answered")
		}
	}
}

func TestReplicasWithoutAClusterAreRefused(t *testing.T) {
	t.Parallel()
	config := at(testenv.Shared(t, testenv.NATS))
	config.Replicas = 3
	_, err := open(t, config).Namespace(t.Context(), "name")
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "replicas")
}

// lead has a server lead the streams of an instance, and the consumers that there are, and returns when those of the idle topic have been asked for a message.
func lead(t *testing.T, leader string, server *testenv.Server, prefix string) {
	t.Helper()
	conn, err := client.Connect("nats://"+server.Address(), client.Timeout(patience))
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	clusters := func() map[string]*jetstream.ClusterInfo {
		found := map[string]*jetstream.ClusterInfo{}
		for _, name := range []string{prefix + "_kv", prefix + "_topics"} {
			stream, err := js.Stream(t.Context(), name)
			if err != nil {
				return nil
			}
			found["STREAM.LEADER.STEPDOWN."+name] = stream.CachedInfo().Cluster
			consumers := stream.ListConsumers(t.Context())
			for consumer := range consumers.Info() {
				if consumer.NumWaiting == 0 && strings.HasSuffix(consumer.Config.FilterSubject, ".idle") {
					return nil
				}
				found["CONSUMER.LEADER.STEPDOWN."+name+"."+consumer.Name] = consumer.Cluster
			}
			if consumers.Err() != nil {
				return nil
			}
		}
		return found
	}
	data, err := json.Marshal(map[string]any{"placement": map[string]string{"preferred": leader}})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		found := clusters()
		led := len(found)
		for request, cluster := range found {
			if cluster.Leader != leader {
				_, _ = conn.Request("$JS.API."+request, data, time.Second) // it is looked at next
			} else if !slices.ContainsFunc(cluster.Replicas, func(p *jetstream.PeerInfo) bool { return !p.Current }) {
				led--
			}
		}
		return len(found) > 0 && led == 0
	}, resumption, 100*time.Millisecond, "one server leads everything")
}

// load is callers of everything, on several gateways, with a ledger of what was answered.
type load struct {
	ctx           context.Context // it ends the subscriptions
	end           context.CancelFunc
	over          chan struct{} // it ends the others
	once          sync.Once
	calls, served sync.WaitGroup
	at            []*prism.Interfaces

	numbers atomic.Int64
	mu      sync.Mutex
	wrong   []string        // what a caller must not see
	done    map[string]int  // by what was done and where, since it was looked at last
	sets    map[string]bool // what was answered
	kept    map[string]bool
	ordered map[string]bool
	came    map[string]bool // what durable subscriptions brought
	inOrder [][]string      // what the ordered subscriptions brought
	ended   map[string]int  // streams that have ended
}

func newLoad(t *testing.T, at []*prism.Interfaces) *load {
	t.Helper()
	l := &load{
		at: at, over: make(chan struct{}), done: map[string]int{}, sets: map[string]bool{}, kept: map[string]bool{}, ordered: map[string]bool{}, came: map[string]bool{}, inOrder: make([][]string, len(at)),
		ended: map[string]int{},
	}
	l.ctx, l.end = context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() { l.finish(); l.end(); l.served.Wait() })
	for gateway, i := range at {
		l.subscribe(gateway, "Subscribe", func(begun func()) error { return l.listen(gateway, i, begun) })
		l.subscribe(gateway, "SubscribeDurable", func(begun func()) error { return l.consume(gateway, i, "topic", begun) })
		l.subscribe(gateway, "SubscribeDurable of an idle topic", func(begun func()) error { return l.consume(gateway, i, "idle", begun) })
		l.subscribe(gateway, "SubscribeOrdered", l.follow(gateway, i))
	}
	for gateway, i := range at {
		l.repeat(func() { l.set(gateway, i) })
		l.repeat(l.register(gateway, i))
		l.repeat(l.count(gateway, i))
		l.repeat(func() { l.keep(gateway, i, "topic") })
		l.repeat(func() { l.order(gateway, i) })
		l.repeat(func() { l.publish(gateway, i) })
	}
	return l
}

// repeat does something until the load ends.
func (l *load) repeat(do func()) {
	l.calls.Go(func() {
		for {
			do()
			select {
			case <-time.After(5 * time.Millisecond): // servers and tests share a machine
			case <-l.over:
				return
			}
		}
	})
}

// finish ends the calls.
func (l *load) finish() {
	l.once.Do(func() { close(l.over) })
	l.calls.Wait()
}

// note notes that something was done.
func (l *load) note(gateway int, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[fmt.Sprintf("%s at %d", what, gateway)]++
}

func (l *load) complain(format string, arguments ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, arguments...))
}

// call makes a call and judges how it ended.
func (l *load) call(gateway int, what string, do func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), resumption)
	defer cancel()
	err := do(ctx)
	if code := fault.CodeOf(err); err != nil && code != fault.Unavailable && code != fault.DeadlineExceeded {
		l.complain("%s: %v", what, err)
	}
	if err == nil {
		l.note(gateway, what)
	}
	return err == nil
}

// subscribe serves a subscription, again whenever its stream ends, and returns when the first has begun.
func (l *load) subscribe(gateway int, what string, serve func(begun func()) error) {
	begun := make(chan struct{})
	var once sync.Once
	l.served.Go(func() {
		for l.ctx.Err() == nil {
			err := serve(func() { once.Do(func() { close(begun) }) })
			if l.ctx.Err() != nil {
				return
			}
			if code := fault.CodeOf(err); code != fault.Unavailable && code != fault.DeadlineExceeded {
				l.complain("%s has ended with %v", what, err)
			}
			l.mu.Lock()
			l.ended[fmt.Sprintf("%s at %d", what, gateway)]++
			l.mu.Unlock()
			<-time.After(10 * time.Millisecond)
		}
	})
	<-begun
}

func (l *load) set(gateway int, i *prism.Interfaces) {
	key := fmt.Sprint("key-", l.numbers.Add(1))
	if l.call(gateway, "Set", func(ctx context.Context) error {
		_, err := i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte(key)})
		return err
	}) {
		l.mu.Lock()
		l.sets[key] = true
		l.mu.Unlock()
	}
}

// register writes greater and greater numbers to a key, and reads it on all gateways: what is read is never less than what was answered before.
func (l *load) register(gateway int, i *prism.Interfaces) func() {
	key, last := fmt.Sprint("register-", gateway), 0
	answered := 0
	return func() {
		last++
		if l.call(gateway, "Set", func(ctx context.Context) error {
			_, err := i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte(strconv.Itoa(last))})
			return err
		}) {
			answered = last
		}
		for other, i := range l.at {
			l.call(other, "Get", func(ctx context.Context) error {
				got, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
				if value, _ := strconv.Atoi(string(got.GetValue())); err == nil && value < answered {
					l.complain("Get: %d was answered before, and %d is read", answered, value)
				} else if err == nil {
					answered = value // it may be of a Set that was not answered
				}
				return err
			})
		}
	}
}

// count counts with CompareAndSwap; each gateway has a counter.
func (l *load) count(gateway int, i *prism.Interfaces) func() {
	key, least, most := fmt.Sprint("counter-", gateway), 0, 0
	return func() {
		value := 0
		if !l.call(gateway, "Get", func(ctx context.Context) error {
			got, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
			value, _ = strconv.Atoi(string(got.GetValue()))
			return err
		}) {
			return
		}
		if value < least || value > most {
			l.complain("the counter is %d, and was at least %d and at most %d", value, least, most)
		}
		request := &keyvaluev1.CompareAndSwapRequest{Key: key, Value: []byte(strconv.Itoa(value + 1))}
		if value > 0 {
			request.Expected = []byte(strconv.Itoa(value))
		}
		most = max(most, value+1)
		if l.call(gateway, "CompareAndSwap", func(ctx context.Context) error {
			swapped, err := i.KeyValueCAS.CompareAndSwap(ctx, request)
			if err == nil && swapped.GetSwapped() {
				least = value + 1
			}
			return err
		}) {
			least = max(least, value)
		}
	}
}

func (l *load) keep(gateway int, i *prism.Interfaces, topic string) bool {
	payload := fmt.Sprint(l.numbers.Add(1))
	answered := l.call(gateway, "PublishPersistent", func(ctx context.Context) error {
		_, err := i.PubSubPersistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: topic, Payload: []byte(payload)})
		return err
	})
	if answered {
		l.mu.Lock()
		l.kept[payload] = true
		l.mu.Unlock()
	}
	return answered
}

func (l *load) order(gateway int, i *prism.Interfaces) {
	payload := fmt.Sprint(l.numbers.Add(1))
	if l.call(gateway, "PublishOrdered", func(ctx context.Context) error {
		_, err := i.PubSubOrdering.PublishOrdered(ctx, &pubsubv1.PublishOrderedRequest{Topic: "ordered", OrderingKey: "key", Payload: []byte(payload)})
		return err
	}) {
		l.mu.Lock()
		l.ordered[payload] = true
		l.mu.Unlock()
	}
}

func (l *load) publish(gateway int, i *prism.Interfaces) {
	l.call(gateway, "Publish", func(ctx context.Context) error {
		_, err := i.PubSubBasic.Publish(ctx, &pubsubv1.PublishRequest{Topic: fmt.Sprint("live-", gateway)})
		return err
	})
}

// listen hears what the next gateway publishes.
func (l *load) listen(gateway int, i *prism.Interfaces, begun func()) error {
	topic := fmt.Sprint("live-", (gateway+1)%len(l.at))
	return i.PubSubBasic.Subscribe(l.ctx, &pubsubv1.SubscribeRequest{Topic: topic}, func(response *pubsubv1.SubscribeResponse) error {
		if begun(); response.GetMessage() != nil {
			l.note(gateway, "Subscribe")
		}
		return nil
	})
}

// consume serves a durable subscription of the gateway's own.
func (l *load) consume(gateway int, i *prism.Interfaces, topic string, begun func()) error {
	name := fmt.Sprint("subscription-", gateway)
	request := &pubsubv1.SubscribeDurableRequest{Topic: topic, Subscription: name, AcknowledgementTimeout: durationpb.New(5 * time.Second)}
	return i.PubSubPersistent.SubscribeDurable(l.ctx, request, func(response *pubsubv1.SubscribeDurableResponse) error {
		begun()
		message := response.GetMessage()
		if message == nil {
			return nil
		}
		l.note(gateway, "SubscribeDurable")
		l.mu.Lock()
		l.came[fmt.Sprintf("%s at %d", message.GetMessage().GetPayload(), gateway)] = true
		l.mu.Unlock()
		l.call(gateway, "Acknowledge", func(ctx context.Context) error {
			_, err := i.PubSubPersistent.Acknowledge(ctx, &pubsubv1.AcknowledgeRequest{Topic: topic, Subscription: name, Receipts: []string{message.GetReceipt()}})
			return err
		})
		return nil
	})
}

// follow serves an ordered subscription, which resumes where it was.
func (l *load) follow(gateway int, i *prism.Interfaces) func(begun func()) error {
	request := &pubsubv1.SubscribeOrderedRequest{Topic: "ordered", Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST}}
	return func(begun func()) error {
		return i.PubSubOrdering.SubscribeOrdered(l.ctx, request, func(response *pubsubv1.SubscribeOrderedResponse) error {
			begun()
			if response.GetMissed() != nil {
				l.complain("an ordered subscription has missed messages")
			}
			message := response.GetMessage()
			if message == nil {
				return nil
			}
			request.Start = &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: message.GetResumeId()}
			l.note(gateway, "SubscribeOrdered")
			l.mu.Lock()
			l.inOrder[gateway] = append(l.inOrder[gateway], string(message.GetMessage().GetPayload()))
			l.mu.Unlock()
			return nil
		})
	}
}

// requireService waits until everything is done on all gateways.
func (l *load) requireService(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	clear(l.done)
	l.mu.Unlock()
	var missing []string
	assert.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		missing = nil
		for gateway := range l.at {
			for _, what := range []string{
				"Set", "Get", "CompareAndSwap", "PublishPersistent", "PublishOrdered", "Publish", "Subscribe", "SubscribeDurable", "SubscribeOrdered", "Acknowledge",
			} {
				if what = fmt.Sprintf("%s at %d", what, gateway); l.done[what] == 0 {
					missing = append(missing, what)
				}
			}
		}
		return len(missing) == 0
	}, resumption, 10*time.Millisecond, "service resumes")
	require.Empty(t, missing, "streams have ended: %v", l.ended)
}

// stop ends the load, and holds what is there to the ledger.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.finish()
	if !assert.Eventually(t, func() bool { return l.missing() == "" }, resumption, 50*time.Millisecond, "what was answered comes") {
		require.Empty(t, l.missing())
	}
	l.end()
	l.served.Wait()
	require.Empty(t, l.wrong)
	for gateway, i := range l.at {
		for key := range l.sets {
			got, err := i.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
			require.NoError(t, err)
			require.Equal(t, key, string(got.GetValue()), "a Set that was answered is lost at %d", gateway)
		}
	}
	shorter, longer := l.inOrder[0], l.inOrder[1]
	if len(shorter) > len(longer) {
		shorter, longer = longer, shorter
	}
	require.Equal(t, longer[:len(shorter)], shorter, "all subscribers of ordered messages see one order")
	t.Logf("answered: %d Sets, %d PublishPersistents, %d PublishOrdereds; streams have ended: %v", len(l.sets), len(l.kept), len(l.ordered), l.ended)
}

// missing tells of a message that was answered and has not come to all subscriptions; "" when there is none.
func (l *load) missing() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for gateway := range l.at {
		inOrder := map[string]bool{}
		for _, payload := range l.inOrder[gateway] {
			inOrder[payload] = true
		}
		for payload := range l.ordered {
			if !inOrder[payload] {
				return fmt.Sprintf("ordered message %s at %d", payload, gateway)
			}
		}
		for payload := range l.kept {
			if !l.came[fmt.Sprintf("%s at %d", payload, gateway)] {
				return fmt.Sprintf("kept message %s at %d", payload, gateway)
			}
		}
	}
	return ""
}
