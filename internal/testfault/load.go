package testfault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// load is callers of everything that the subject offers, with a ledger of what was acknowledged.
type load struct {
	f   *fixture
	run int64
	// workers make calls, consumers serve the durable subscription, which goes on for longer.
	workers, consumers *workers
	numbers            atomic.Int64

	mu        sync.Mutex
	wrong     []string           // what a caller must not see
	codes     map[fault.Code]int // of the subject's calls, since the last look
	refused   int                // how many of them the breaker refused at once, since the last look
	slowest   time.Duration      // of the neighbour's calls
	stored    map[string]string  // acknowledged Sets
	enqueued  map[string]bool    // acknowledged Enqueues
	published map[string]bool    // acknowledged PublishPersistents
	received  map[string]bool    // what the durable subscription brought
	ended     map[fault.Code]int // how streams of live subscriptions ended
	live      atomic.Int64       // messages of live subscriptions, since the last look
}

func (f *fixture) load(t *testing.T) *load {
	t.Helper()
	l := &load{
		f: f, run: f.loads.Add(1), workers: newWorkers(t), consumers: newWorkers(t), codes: map[fault.Code]int{}, stored: map[string]string{}, enqueued: map[string]bool{},
		published: map[string]bool{}, received: map[string]bool{}, ended: map[fault.Code]int{},
	}
	t.Cleanup(l.workers.stop)
	t.Cleanup(l.consumers.stop)
	_, err := f.neighbour.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key", Value: []byte("value")})
	require.NoError(t, err)
	l.workers.repeat(2, l.visit)
	l.workers.repeat(8, l.set)
	l.workers.repeat(4, l.get)
	if f.subject.QueueBasic != nil {
		l.workers.repeat(4, l.enqueue)
	}
	if f.subject.PubSubPersistent != nil {
		durable := make(chan struct{})
		l.consumers.wait.Go(func() { l.consume(durable) })
		select { // what is published before it starts is not its own
		case <-durable:
		case <-time.After(patience):
			require.FailNow(t, "the durable subscription does not begin")
		}
		l.workers.repeat(2, l.publish)
	}
	if f.subject.PubSubBasic != nil {
		l.workers.repeat(1, l.listen)
		l.workers.repeat(1, l.tell)
	}
	return l
}

func (l *load) name(kind string) string { return fmt.Sprintf("%s-%d", kind, l.run) }

func (l *load) next() string { return fmt.Sprint(l.numbers.Add(1)) }

// call makes a call of the subject with a deadline, and judges how it ended.
func (l *load) call(ctx context.Context, what string, do func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	began := time.Now()
	err := do(ctx)
	took, code := time.Since(began), fault.CodeOf(err)
	l.mu.Lock()
	l.codes[code]++
	if fault.ReasonOf(err) == "BACKEND_UNAVAILABLE" {
		l.refused++
	}
	if code != fault.OK && code != fault.Unavailable && code != fault.DeadlineExceeded {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %v", what, err))
	}
	if took > hang {
		l.wrong = append(l.wrong, fmt.Sprintf("%s took %s", what, took))
	}
	l.mu.Unlock()
	if err != nil {
		<-time.After(time.Millisecond) // a caller that is refused at once does not come back at once
	}
	return err == nil
}

// visit is a caller of another namespace.
func (l *load) visit(ctx context.Context) {
	began := time.Now()
	_, err := l.f.neighbour.KeyValueBasic.Get(context.WithoutCancel(ctx), &keyvaluev1.GetRequest{Key: "key"})
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err != nil {
		l.wrong = append(l.wrong, fmt.Sprintf("another namespace: %v", err))
	}
}

func (l *load) set(ctx context.Context) {
	key, value := l.name("key")+"-"+l.next(), l.next()
	if l.call(ctx, "Set", func(ctx context.Context) error {
		_, err := l.f.subject.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
		return err
	}) {
		l.mu.Lock()
		l.stored[key] = value
		l.mu.Unlock()
	}
}

func (l *load) get(ctx context.Context) {
	l.call(ctx, "Get", func(ctx context.Context) error {
		_, err := l.f.subject.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: l.name("key") + "-1"})
		return err
	})
}

func (l *load) enqueue(ctx context.Context) {
	payload := l.next()
	if l.call(ctx, "Enqueue", func(ctx context.Context) error {
		_, err := l.f.subject.QueueBasic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: l.name("queue"), Payload: []byte(payload)})
		return err
	}) {
		l.mu.Lock()
		l.enqueued[payload] = true
		l.mu.Unlock()
	}
}

func (l *load) publish(ctx context.Context) {
	payload := l.next()
	if l.call(ctx, "PublishPersistent", func(ctx context.Context) error {
		_, err := l.f.subject.PubSubPersistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: l.name("kept"), Payload: []byte(payload)})
		return err
	}) {
		l.mu.Lock()
		l.published[payload] = true
		l.mu.Unlock()
	}
}

// consume serves a durable subscription, and begins again whenever its stream ends.
func (l *load) consume(begun chan<- struct{}) {
	topic := l.name("kept")
	var once sync.Once
	for l.consumers.ctx.Err() == nil {
		err := l.f.subject.PubSubPersistent.SubscribeDurable(l.consumers.ctx, &pubsubv1.SubscribeDurableRequest{
			Topic: topic, Subscription: "ledger", AcknowledgementTimeout: durationpb.New(2 * time.Second),
		}, func(response *pubsubv1.SubscribeDurableResponse) error {
			once.Do(func() { close(begun) })
			message := response.GetMessage()
			if message == nil {
				return nil
			}
			l.mu.Lock()
			l.received[string(message.GetMessage().GetPayload())] = true
			l.mu.Unlock()
			l.call(l.consumers.ctx, "Acknowledge", func(ctx context.Context) error {
				_, err := l.f.subject.PubSubPersistent.Acknowledge(ctx, &pubsubv1.AcknowledgeRequest{Topic: topic, Subscription: "ledger", Receipts: []string{message.GetReceipt()}})
				return err
			})
			return nil
		})
		l.streamEnded(l.consumers, "SubscribeDurable", err)
	}
}

// listen serves a live subscription, and begins again whenever its stream ends.
func (l *load) listen(ctx context.Context) {
	err := l.f.subject.PubSubBasic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: l.name("live")}, func(response *pubsubv1.SubscribeResponse) error {
		if response.GetMessage() != nil {
			l.live.Add(1)
		}
		return nil
	})
	l.streamEnded(l.workers, "Subscribe", err)
}

func (l *load) streamEnded(of *workers, what string, err error) {
	if of.ctx.Err() != nil {
		return
	}
	code := fault.CodeOf(err)
	l.mu.Lock()
	l.ended[code]++
	if code != fault.Unavailable && code != fault.DeadlineExceeded {
		l.wrong = append(l.wrong, fmt.Sprintf("a stream of %s has ended with %v", what, err))
	}
	l.mu.Unlock()
	<-time.After(10 * time.Millisecond)
}

func (l *load) tell(ctx context.Context) {
	l.call(ctx, "Publish", func(ctx context.Context) error {
		_, err := l.f.subject.PubSubBasic.Publish(ctx, &pubsubv1.PublishRequest{Topic: l.name("live"), Payload: []byte("payload")})
		return err
	})
}

// look returns what was counted since the last look.
func (l *load) look() (codes map[fault.Code]int, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	codes, refused = maps.Clone(l.codes), l.refused
	clear(l.codes)
	l.refused = 0
	return codes, refused
}

// healthy waits until calls succeed, all of those of a while, and messages come to live subscriptions.
func (l *load) healthy(t *testing.T) {
	t.Helper()
	l.look()
	var codes map[fault.Code]int
	require.Eventually(t, func() bool {
		codes, _ = l.look()
		brought := l.live.Swap(0)
		return codes[fault.OK] > 0 && len(codes) == 1 && (brought > 0 || l.f.subject.PubSubBasic == nil)
	}, patience, 200*time.Millisecond, "service resumes: all calls of a while succeed, and subscriptions bring messages")
}

// broken waits until calls are refused at once because the breaker is open.
func (l *load) broken(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, refused := l.look()
		return refused > 0
	}, patience, 100*time.Millisecond, "calls are refused at once")
}

// stop ends the load, and holds what is there to the ledger.
func (l *load) stop(t *testing.T) {
	t.Helper()
	f := l.f
	l.workers.stop()
	l.workers.wait.Wait()
	if f.subject.PubSubPersistent != nil {
		require.Eventually(t, func() bool { return len(l.missing()) == 0 }, patience, 50*time.Millisecond, "every message that was kept comes")
	}
	l.consumers.stop()
	l.consumers.wait.Wait()
	require.Empty(t, l.wrong)
	for key, value := range l.stored {
		got, err := f.subject.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
		require.NoError(t, err)
		require.True(t, got.GetFound(), "an acknowledged Set is lost")
		require.Equal(t, value, string(got.GetValue()))
	}
	if f.subject.QueueBasic != nil {
		l.drain(t)
	}
	t.Logf("acknowledged: %d Sets, %d Enqueues, %d PublishPersistents; streams have ended with %v; the slowest call of the other namespace took %s",
		len(l.stored), len(l.enqueued), len(l.published), l.ended, l.slowest)
}

// missing are published messages that have not come yet.
func (l *load) missing() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(func(yield func(string) bool) {
		for payload := range l.published {
			if !l.received[payload] && !yield(payload) {
				return
			}
		}
	})
}

// drain takes what is in the queue: every acknowledged message is there, and none twice, since an Enqueue without an idempotency key may not be repeated.
func (l *load) drain(t *testing.T) {
	t.Helper()
	taken := map[string]int{}
	for {
		got, err := l.f.subject.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: l.name("queue")})
		require.NoError(t, err)
		if !got.GetFound() {
			break
		}
		taken[string(got.GetMessage().GetPayload())]++
	}
	for payload := range l.enqueued {
		require.Positive(t, taken[payload], "an acknowledged Enqueue is lost")
	}
	for payload, times := range taken {
		require.Equal(t, 1, times, "message %s was enqueued twice", payload)
	}
}
