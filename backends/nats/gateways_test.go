package nats_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/gen/go/prism"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/fault"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// reader reads a stream when it is asked to.
type reader[R any] struct {
	came   chan R
	done   chan struct{}
	err    error
	cancel context.CancelFunc
}

func read[R any](t *testing.T, call func(ctx context.Context, send func(R) error) error) *reader[R] {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader[R]{came: make(chan R), done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(r.done)
		r.err = call(ctx, func(response R) error {
			select {
			case r.came <- response:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func (r *reader[R]) next(t *testing.T) R {
	t.Helper()
	select {
	case response := <-r.came:
		return response
	case <-r.done:
		require.FailNow(t, "the stream has ended", "%v", r.err)
	case <-time.After(patience):
		require.FailNow(t, "nothing comes")
	}
	panic("unreachable")
}

func (r *reader[R]) requireNothing(t *testing.T) {
	t.Helper()
	select {
	case response := <-r.came:
		require.FailNow(t, "something comes", "%v", response)
	case <-time.After(100 * time.Millisecond):
	}
}

// ending reads to the end and returns the error.
func (r *reader[R]) ending(t *testing.T) error {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case <-r.came:
		case <-r.done:
			return r.err
		case <-late:
			require.FailNow(t, "the stream does not end")
		}
	}
}

func durableRequest(change func(*pubsubv1.SubscribeDurableRequest)) *pubsubv1.SubscribeDurableRequest {
	request := &pubsubv1.SubscribeDurableRequest{
		Topic: "topic", Subscription: "name", Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
	}
	if change != nil {
		change(request)
	}
	return request
}

// readDurable opens a stream of the durable subscription "name" and returns its id too.
func readDurable(t *testing.T, i *prism.Interfaces, change func(*pubsubv1.SubscribeDurableRequest)) (*reader[*pubsubv1.SubscribeDurableResponse], string) {
	t.Helper()
	r := read(t, func(ctx context.Context, send func(*pubsubv1.SubscribeDurableResponse) error) error {
		return i.PubSubPersistent.SubscribeDurable(ctx, durableRequest(change), send)
	})
	return r, r.next(t).GetSubscribed().GetSubscriptionId()
}

func keep(t *testing.T, i *prism.Interfaces, payloads ...string) {
	t.Helper()
	for _, payload := range payloads {
		_, err := i.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte(payload)})
		require.NoError(t, err)
	}
}

func requireDurable(t *testing.T, want string, got *pubsubv1.SubscribeDurableResponse) string {
	t.Helper()
	require.Equal(t, want, string(got.GetMessage().GetMessage().GetPayload()), "%v", got)
	return got.GetMessage().GetReceipt()
}

func acknowledge(t *testing.T, i *prism.Interfaces, receipts ...string) {
	t.Helper()
	_, err := i.PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: receipts})
	require.NoError(t, err)
}

func set(t *testing.T, i *prism.Interfaces, key, value string) {
	t.Helper()
	_, err := i.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
	require.NoError(t, err)
}

// gateways opens two instances of one configuration, at once.
func gateways(t *testing.T) (one, other *prism.Interfaces) {
	t.Helper()
	config := at(testenv.Shared(t, testenv.NATS))
	stores := []func() (*prism.Interfaces, error){}
	for range 2 {
		store := open(t, config)
		stores = append(stores, func() (*prism.Interfaces, error) {
			found, err := store.Namespace(t.Context(), "name")
			return found.Interfaces(), err
		})
	}
	type opened struct {
		interfaces *prism.Interfaces
		err        error
	}
	came := make(chan opened)
	for _, store := range stores {
		go func() { i, err := store(); came <- opened{i, err} }()
	}
	first, second := <-came, <-came
	require.NoError(t, first.err)
	require.NoError(t, second.err)
	return first.interfaces, second.interfaces
}

func TestTokensAreGoodOnEveryGateway(t *testing.T) {
	t.Parallel()
	one, other := gateways(t)
	for n := range 10 {
		set(t, one, strconv.Itoa(n), "value")
	}
	seen := map[string]bool{}
	token := ""
	for n := 0; n == 0 || token != ""; n++ {
		gateway := []*prism.Interfaces{one, other}[n%2]
		asked := token
		token = ""
		require.NoError(t, gateway.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 3, PageToken: asked}, func(response *keyvaluev1.ScanKeysResponse) error {
			seen[response.GetKey()], token = true, response.GetPageToken()
			return nil
		}))
	}
	require.Len(t, seen, 10)
}

func TestDurableSubscriptionIsSharedByGateways(t *testing.T) {
	t.Parallel()
	one, other := gateways(t)
	keep(t, one, "a", "b", "c")
	narrow := func(r *pubsubv1.SubscribeDurableRequest) { r.MaxUnacknowledged = 1 }
	here, hereID := readDurable(t, one, narrow)
	receipt := requireDurable(t, "a", here.next(t))
	there, thereID := readDurable(t, other, narrow)
	second := requireDurable(t, "b", there.next(t))
	here.requireNothing(t)
	acknowledge(t, other, receipt) // on the gateway that does not serve the stream
	third := requireDurable(t, "c", here.next(t))
	acknowledge(t, one, second)
	there.requireNothing(t)

	// Each gateway can end the other's stream, and its message comes on the one that is left.
	response, err := other.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: hereID})
	require.NoError(t, err)
	require.True(t, response.GetUnsubscribed())
	require.NoError(t, here.ending(t))
	requireDurable(t, "c", there.next(t))
	response, err = other.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: hereID})
	require.NoError(t, err)
	require.False(t, response.GetUnsubscribed())

	// Each can forget the subscription, which ends the other's streams and makes receipts worthless.
	response, err = one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: hereID, Forget: true})
	require.NoError(t, err)
	require.False(t, response.GetUnsubscribed())
	require.NoError(t, there.ending(t))
	again, _ := readDurable(t, one, nil)
	requireDurable(t, "a", again.next(t))
	for _, gateway := range []*prism.Interfaces{one, other} {
		_, err = gateway.PubSubPersistent.Acknowledge(t.Context(), &pubsubv1.AcknowledgeRequest{Topic: "topic", Subscription: "name", Receipts: []string{third}})
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	}
	response, err = other.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: thereID, Forget: true})
	require.NoError(t, err)
	require.False(t, response.GetUnsubscribed(), "it is of a subscription that was forgotten")
	requireDurable(t, "b", again.next(t))
}

func TestLiveMessagesReachEveryGateway(t *testing.T) {
	t.Parallel()
	one, other := gateways(t)
	there := read(t, func(ctx context.Context, send func(*pubsubv1.SubscribePatternResponse) error) error {
		return other.PubSubWildcards.SubscribePattern(ctx, &pubsubv1.SubscribePatternRequest{Pattern: "*"}, send)
	})
	id := there.next(t).GetSubscribed().GetSubscriptionId()
	keep(t, one, "kept")
	require.Equal(t, "kept", string(there.next(t).GetMessage().GetPayload()))
	_, err := one.PubSubBasic.Unsubscribe(t.Context(), &pubsubv1.UnsubscribeRequest{SubscriptionId: id})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), "the id of a live subscription is bound to its gateway")
}

// TestNamespacesAreSeparateWhateverTheirNames looks for two names of which one sees what is the other's.
func TestNamespacesAreSeparateWhateverTheirNames(t *testing.T) {
	t.Parallel()
	store := open(t, at(testenv.Shared(t, testenv.NATS)))
	names := rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "a", "A", "aa", "ta", "ha", "a.b", "a", "*", ">", "a.*", "a.>", ".", "..", " ", "a b", "a\r\nPUB x 0\r\n", "\x00", "a\x00", "{a}", "'", `"`, "%s", "日本語", "á", "a\u0301",
			"$JS.API.>", "=", "-", "_", strings.Repeat("n", 40), strings.Repeat("n", 41), strings.Repeat("n", 600), strings.Repeat("é", 300), "\xff",
		}), rapid.StringN(0, 200, 600), rapid.StringOfN(rapid.RuneFrom([]rune("ath.*> {}'\"_-=")), 0, 4, -1))
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		a := names.Draw(r, "a")
		b := names.Filter(func(s string) bool { return s != a }).Draw(r, "b")
		one, other := namespace(t, store, a), namespace(t, store, b)
		key := rapid.SampledFrom([]string{"key", "*", ">", "a.b", strings.Repeat("k", 1024), " ", "日本", "é\r\n"}).Draw(r, "key")
		set(t, one, key, "one of "+a)
		set(t, other, key, "other of "+b)
		for i, want := range map[*prism.Interfaces]string{one: "one of " + a, other: "other of " + b} {
			got, err := i.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
			require.NoError(r, err)
			require.Equal(r, want, string(got.GetValue()))
		}
		_, err := one.KeyValueBasic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: key})
		require.NoError(r, err)
		count, err := other.KeyValueScan.Count(t.Context(), &keyvaluev1.CountRequest{Prefix: key})
		require.NoError(r, err)
		require.EqualValues(r, 1, count.GetCount())
		_, err = other.KeyValueBasic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: key})
		require.NoError(r, err)

		live := read(t, func(ctx context.Context, send func(*pubsubv1.SubscribePatternResponse) error) error {
			return one.PubSubWildcards.SubscribePattern(ctx, &pubsubv1.SubscribePatternRequest{Pattern: ">"}, send)
		})
		require.NotNil(r, live.next(t).GetSubscribed())
		durable, _ := readDurable(t, one, func(request *pubsubv1.SubscribeDurableRequest) { request.Start = nil })
		defer func() { // what the stream has not sent is given back before the next round looks for it
			live.cancel()
			durable.cancel()
			<-live.done
			<-durable.done
		}()
		round++
		keep(t, other, fmt.Sprintf("%d of %s", round, b))
		mine := fmt.Sprintf("%d of %s", round, a)
		keep(t, one, mine)
		require.Equal(r, mine, string(live.next(t).GetMessage().GetPayload()))
		for { // what was kept in a former round comes too
			got := durable.next(t).GetMessage()
			acknowledge(t, one, got.GetReceipt())
			_, of, _ := strings.Cut(string(got.GetMessage().GetPayload()), " of ")
			require.Equal(r, a, of)
			if string(got.GetMessage().GetPayload()) == mine {
				break
			}
		}
	})
}

// shortRetention is what a test waits for, and how long a machine may hesitate between a message and whoever is to read it.
const shortRetention = 6 * time.Second

func TestRetentionThatOvertakesAnOrderedSubscriberIsToldAsMissed(t *testing.T) {
	t.Parallel()
	config := at(testenv.Shared(t, testenv.NATS))
	config.TopicRetention = durationpb.New(shortRetention)
	i := namespace(t, open(t, config), "name")
	publish := func(payload string) {
		_, err := i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte(payload)})
		require.NoError(t, err)
	}
	follow := func(request *pubsubv1.SubscribeOrderedRequest) *reader[*pubsubv1.SubscribeOrderedResponse] {
		request.Topic = "topic"
		r := read(t, func(ctx context.Context, send func(*pubsubv1.SubscribeOrderedResponse) error) error {
			return i.PubSubOrdering.SubscribeOrdered(ctx, request, send)
		})
		require.NotNil(t, r.next(t).GetSubscribed())
		return r
	}
	idle := follow(&pubsubv1.SubscribeOrderedRequest{})
	publish("first")
	first := idle.next(t).GetMessage()
	require.Equal(t, "first", string(first.GetMessage().GetPayload()))
	publish("overtaken")
	require.Equal(t, "overtaken", string(idle.next(t).GetMessage().GetMessage().GetPayload()))
	for range 2 {
		keep(t, i, "goes")
		// Who does not take what comes is not waiting: it is slow, and may be told of a Missed.
		require.Equal(t, "goes", string(idle.next(t).GetMessage().GetMessage().GetPayload()))
		removed(t, i)
	}
	publish("last")
	response := idle.next(t)
	require.Nil(t, response.GetMissed(), "who waits all the time misses nothing")
	require.Equal(t, "last", string(response.GetMessage().GetMessage().GetPayload()))
	again := follow(&pubsubv1.SubscribeOrderedRequest{Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: first.GetResumeId()}})
	require.NotNil(t, again.next(t).GetMissed(), "who resumes before what is kept is told")
	require.Equal(t, "last", string(again.next(t).GetMessage().GetMessage().GetPayload()))
	again.requireNothing(t)
}

// gone keeps a message and returns when retention has removed it, and all before it.
func gone(t *testing.T, i *prism.Interfaces) {
	t.Helper()
	keep(t, i, "goes")
	removed(t, i)
}

// removed returns when retention has removed all that was kept by PublishPersistent.
func removed(t *testing.T, i *prism.Interfaces) {
	t.Helper()
	require.Eventually(t, func() bool {
		last, err := i.PubSubPersistent.GetLastMessageID(t.Context(), &pubsubv1.GetLastMessageIDRequest{Topic: "topic"})
		require.NoError(t, err)
		return !last.GetFound()
	}, patience, 50*time.Millisecond)
}

func TestRetentionThatOvertakesADurableSubscriptionIsToldAsMissed(t *testing.T) {
	t.Parallel()
	config := at(testenv.Shared(t, testenv.NATS))
	config.TopicRetention = durationpb.New(shortRetention)
	i := namespace(t, open(t, config), "name")
	begin := time.Now()
	r, _ := readDurable(t, i, nil)
	keep(t, i, "acknowledged")
	acknowledge(t, i, requireDurable(t, "acknowledged", r.next(t)))
	r.cancel()
	<-r.done
	gone(t, i)
	keep(t, i, "kept")
	r, _ = readDurable(t, i, nil)
	require.NotNil(t, r.next(t).GetMissed(), "messages are gone that it should have got")
	acknowledge(t, i, requireDurable(t, "kept", r.next(t)))
	r.requireNothing(t)
	r.cancel()
	<-r.done
	r, _ = readDurable(t, i, nil) // it was told once
	r.requireNothing(t)
	since, _ := readDurable(t, i, func(request *pubsubv1.SubscribeDurableRequest) {
		request.Subscription = "since"
		request.Start = &pubsubv1.SubscribeDurableRequest_StartTime{StartTime: timestamppb.New(begin)}
	})
	require.NotNil(t, since.next(t).GetMissed(), "messages are gone that were to be started with")
}
