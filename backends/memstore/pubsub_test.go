package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/runtime/fault"

	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/runtime/backend"
)

// blocked subscribes to "topic" and reads no further than Subscribed until it is released. It returns what came then, up to a message "end".
func blocked(t *testing.T, basic pubsubv1.Basic, bufferSize uint32) (release func() []*pubsubv1.SubscribeResponse) {
	t.Helper()
	active, released, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var came []*pubsubv1.SubscribeResponse
	end := errors.New("the end")
	go func() {
		defer close(ended)
		_ = basic.Subscribe(t.Context(), &pubsubv1.SubscribeRequest{Topic: "topic", BufferSize: bufferSize}, func(r *pubsubv1.SubscribeResponse) error {
			switch {
			case r.GetSubscribed() != nil:
				close(active)
				<-released
			case string(r.GetMessage().GetPayload()) == "end":
				return end
			default:
				came = append(came, r)
			}
			return nil
		})
	}()
	<-active
	return func() []*pubsubv1.SubscribeResponse {
		close(released)
		for {
			publishTo(t, basic, "topic", []byte("end")) // the first one may be missed
			select {
			case <-ended:
				return came
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func publishTo(t testing.TB, basic pubsubv1.Basic, topic string, payload []byte) {
	t.Helper()
	_, err := basic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: topic, Payload: payload})
	require.NoError(t, err)
}

func TestBufferHoldsJustWhatWasAskedFor(t *testing.T) {
	basic := namespace(t, open(t, nil), "name").PubSubBasic
	for size, want := range map[uint32]int{1: 1, 7: 7, 0: 1024, 65536: 65536} {
		release := blocked(t, basic, size)
		for n := range want + 10 {
			publishTo(t, basic, "topic", []byte(strconv.Itoa(n)))
		}
		came := release()
		require.GreaterOrEqual(t, len(came), want+1)
		for n, r := range came[:want] {
			require.Equal(t, strconv.Itoa(n), string(r.GetMessage().GetPayload()), "what is in the buffer stays, in its order")
		}
		require.GreaterOrEqual(t, came[want].GetMissed().GetCount(), uint64(10), "the others are missed, behind it")
	}
}

func TestBufferHoldsJust16MiBOfPayload(t *testing.T) {
	basic := namespace(t, open(t, nil), "name").PubSubBasic
	release := blocked(t, basic, 65536)
	mebibyte := make([]byte, 1<<20)
	for range 15 {
		publishTo(t, basic, "topic", mebibyte)
	}
	publishTo(t, basic, "topic", mebibyte[1:])
	publishTo(t, basic, "topic", mebibyte[:2])
	publishTo(t, basic, "topic", mebibyte[:1]) // fits
	publishTo(t, basic, "topic", nil)          // so does nothing at all
	publishTo(t, basic, "topic", mebibyte[:1])
	var got []int
	for _, r := range release() {
		if r.GetMissed() != nil {
			got = append(got, -int(r.GetMissed().GetCount()))
		} else {
			got = append(got, len(r.GetMessage().GetPayload()))
		}
	}
	want := []int{}
	for range 15 {
		want = append(want, 1<<20)
	}
	require.Equal(t, append(want, 1<<20-1, -1, 1, 0), got[:19], "the Missed stands where the message would have come")
	require.Negative(t, got[19], "the last one is missed too")
}

func TestBufferOfWhatWasReadIsGivenBack(t *testing.T) {
	basic := namespace(t, open(t, nil), "name").PubSubBasic
	read := make(chan int)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(read)
		_ = basic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: "topic"}, func(r *pubsubv1.SubscribeResponse) error {
			select {
			case read <- len(r.GetMessage().GetPayload()):
			case <-ctx.Done():
			}
			return nil
		})
	}()
	<-read // Subscribed
	mebibyte := make([]byte, 1<<20)
	for range 20 {
		for range 3 {
			publishTo(t, basic, "topic", mebibyte)
		}
		for range 3 {
			select {
			case size := <-read:
				require.Equal(t, 1<<20, size, "nothing is missed")
			case <-time.After(30 * time.Second):
				require.FailNow(t, "a message is missed")
			}
		}
	}
	cancel()
	for range read { // until the stream has ended
	}
}

func TestPublishToNobodyIsCheap(t *testing.T) {
	interfaces := namespace(t, open(t, nil), "name")
	request := &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte("payload")}
	ctx := t.Context()
	allocations := testing.AllocsPerRun(1000, func() {
		if _, err := interfaces.PubSubBasic.Publish(ctx, request); err != nil {
			t.Error(err)
		}
	})
	require.LessOrEqual(t, allocations, 2.0, "the response, and the key to look the topic up")
}

func BenchmarkPublishToNobody(b *testing.B) {
	basic, ctx := namespace(b, open(b, nil), "name").PubSubBasic, b.Context()
	request := &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte("payload")}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = basic.Publish(ctx, request)
		}
	})
}

func BenchmarkPublishToOne(b *testing.B) {
	basic := namespace(b, open(b, nil), "name").PubSubBasic
	ctx, cancel := context.WithCancel(b.Context())
	active, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = basic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: "topic"}, func(r *pubsubv1.SubscribeResponse) error {
			if r.GetSubscribed() != nil {
				close(active)
			}
			return nil
		})
	}()
	<-active
	request := &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte("payload")}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = basic.Publish(ctx, request)
	}
	cancel()
	<-done
}

func TestIdleSubscriptionIsSmall(t *testing.T) {
	const subscriptions = 10_000
	i := namespace(t, open(t, nil), "name")
	ctx, cancel := context.WithCancel(t.Context())
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	var active, ended sync.WaitGroup
	active.Add(subscriptions)
	for n := range subscriptions {
		ended.Go(func() {
			request := &pubsubv1.SubscribeRequest{Topic: "topic-" + strconv.Itoa(n), BufferSize: 65536}
			_ = i.PubSubBasic.Subscribe(ctx, request, func(r *pubsubv1.SubscribeResponse) error {
				if r.GetSubscribed() != nil {
					active.Done()
				}
				return nil
			})
		})
	}
	active.Wait()
	each := (heap() - before) / subscriptions
	t.Logf("an idle subscription to a topic of its own takes %d bytes beside its goroutine's stack", each)
	require.Less(t, each, uint64(2<<10))
	cancel()
	ended.Wait()
	require.Less(t, int64(heap())-int64(before), int64(7<<20), "what they took is given back; the runtime keeps some 450 bytes of each goroutine")
}

func TestStreamsEndWithUnavailableWhenTheStoreIsClosed(t *testing.T) {
	store, err := memstore.Open(t.Context(), backend.Env{}, nil)
	require.NoError(t, err)
	i := namespace(t, store, "name")
	ctx := t.Context()
	active := make(chan struct{}, 10)
	tell := func(subscribed *pubsubv1.Subscribed) error {
		if subscribed != nil {
			active <- struct{}{}
		}
		return nil
	}
	calls := map[string]func() error{
		"Subscribe": func() error {
			return i.PubSubBasic.Subscribe(ctx, &pubsubv1.SubscribeRequest{Topic: "topic"}, func(r *pubsubv1.SubscribeResponse) error { return tell(r.GetSubscribed()) })
		},
		"SubscribePattern": func() error {
			return i.PubSubWildcards.SubscribePattern(ctx, &pubsubv1.SubscribePatternRequest{Pattern: ">"}, func(r *pubsubv1.SubscribePatternResponse) error { return tell(r.GetSubscribed()) })
		},
		"SubscribeFiltered": func() error {
			return i.PubSubFiltering.SubscribeFiltered(ctx, &pubsubv1.SubscribeFilteredRequest{Topic: "topic"}, func(r *pubsubv1.SubscribeFilteredResponse) error { return tell(r.GetSubscribed()) })
		},
		"SubscribeOrdered": func() error {
			return i.PubSubOrdering.SubscribeOrdered(ctx, &pubsubv1.SubscribeOrderedRequest{Topic: "topic"}, func(r *pubsubv1.SubscribeOrderedResponse) error { return tell(r.GetSubscribed()) })
		},
		"SubscribeDurable": func() error {
			request := &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "name"}
			return i.PubSubPersistent.SubscribeDurable(ctx, request, func(r *pubsubv1.SubscribeDurableResponse) error { return tell(r.GetSubscribed()) })
		},
	}
	ended := make(chan error, len(calls))
	for _, call := range calls {
		go func() { ended <- call() }()
	}
	for range calls {
		<-active
	}
	require.NoError(t, store.Close(t.Context()))
	for range calls {
		require.Equal(t, fault.Unavailable, fault.CodeOf(<-ended))
	}
	for name, call := range calls {
		require.Equal(t, fault.Unavailable, fault.CodeOf(call()), "%s after Close", name)
	}
}

// TestDurableSubscriptionSettlesEverythingInTurmoil lets streams come and go in every way while messages are published, acknowledged and forgotten by their streams.
func TestDurableSubscriptionSettlesEverythingInTurmoil(t *testing.T) {
	i := namespace(t, open(t, nil), "name")
	const published, publishers, streams = 1200, 3, 5
	var settled sync.Map
	var count atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	serve := func(random *rand.Rand) error {
		ctx, leave := context.WithCancel(ctx)
		defer leave()
		var id string
		request := &pubsubv1.SubscribeDurableRequest{
			Topic: "topic", Subscription: "name", MaxUnacknowledged: uint32(1 + random.IntN(20)),
			Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
		}
		failed := errors.New("send fails")
		err := i.PubSubPersistent.SubscribeDurable(ctx, request, func(r *pubsubv1.SubscribeDurableResponse) error {
			if r.GetSubscribed() != nil {
				id = r.GetSubscribed().GetSubscriptionId()
				return nil
			}
			if r.GetMissed() != nil {
				return errors.New("a message is missed")
			}
			switch random.IntN(60) {
			case 0:
				return failed
			case 1:
				leave()
				return nil
			case 2:
				_, err := i.PubSubBasic.Unsubscribe(ctx, &pubsubv1.UnsubscribeRequest{SubscriptionId: id})
				return err
			}
			acknowledging := &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{r.GetMessage().GetReceipt()}}
			if _, err := i.PubSubPersistent.Acknowledge(ctx, acknowledging); err != nil {
				return err
			}
			if _, twice := settled.LoadOrStore(r.GetMessage().GetMessage().GetMessageId(), true); twice {
				return errors.New("a message came again though it was acknowledged")
			}
			if count.Add(1) == published {
				cancel()
			}
			return nil
		})
		if err == nil || errors.Is(err, failed) || errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	errs := make(chan error, publishers+streams)
	for range publishers {
		go func() {
			for n := range published / publishers {
				_, err := i.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: strconv.AppendInt(nil, int64(n), 10)})
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for n := range streams {
		go func() {
			random := rand.New(rand.NewPCG(uint64(n), 5))
			for ctx.Err() == nil {
				if err := serve(random); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range publishers + streams {
		require.NoError(t, <-errs)
	}
	require.EqualValues(t, published, count.Load(), "every message was settled")
}

// TestLiveSubscriptionsInTurmoil lets subscriptions of every kind come and go while messages are published in every way.
func TestLiveSubscriptionsInTurmoil(t *testing.T) {
	i := namespace(t, open(t, nil), "name")
	before := runtime.NumGoroutine()
	done := make(chan struct{})
	var publishers, subscribers sync.WaitGroup
	for p := range 3 {
		publishers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				topic := fmt.Sprint("topic-", n%3)
				switch (n + p) % 3 {
				case 0:
					_, _ = i.PubSubBasic.Publish(t.Context(), &pubsubv1.PublishRequest{Topic: topic})
				case 1:
					_, _ = i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: topic, OrderingKey: "key"})
				case 2:
					_, _ = i.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: topic})
				}
			}
		})
	}
	end := errors.New("enough")
	for n := range 6 {
		subscribers.Go(func() {
			for round := range 40 {
				left := round % 5
				enough := func() error {
					if left--; left < 0 {
						return end
					}
					return nil
				}
				topic := fmt.Sprint("topic-", round%3)
				var err error
				switch (n + round) % 4 {
				case 0:
					err = i.PubSubBasic.Subscribe(t.Context(), &pubsubv1.SubscribeRequest{Topic: topic, BufferSize: 1}, func(*pubsubv1.SubscribeResponse) error { return enough() })
				case 1:
					err = i.PubSubWildcards.SubscribePattern(t.Context(), &pubsubv1.SubscribePatternRequest{Pattern: []string{"*", ">", topic}[round%3]}, func(*pubsubv1.SubscribePatternResponse) error { return enough() })
				case 2:
					request := &pubsubv1.SubscribeOrderedRequest{Topic: topic, Start: &pubsubv1.SubscribeOrderedRequest_StartPoint{StartPoint: pubsubv1.StartPoint(round % 3)}}
					err = i.PubSubOrdering.SubscribeOrdered(t.Context(), request, func(*pubsubv1.SubscribeOrderedResponse) error { return enough() })
				case 3:
					request := &pubsubv1.SubscribeDurableRequest{Topic: topic, Subscription: strconv.Itoa(round % 2)}
					err = i.PubSubPersistent.SubscribeDurable(t.Context(), request, func(r *pubsubv1.SubscribeDurableResponse) error {
						if r.GetSubscribed() != nil && round%4 == 0 {
							_, err := i.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: r.GetSubscribed().GetSubscriptionId(), Forget: true})
							return err
						}
						return enough()
					})
				}
				if err != nil && !errors.Is(err, end) {
					t.Errorf("a stream ended with: %v", err)
				}
			}
		})
	}
	subscribers.Wait()
	close(done)
	publishers.Wait()
	eventually(t, func() bool { return runtime.NumGoroutine() <= before })
}
