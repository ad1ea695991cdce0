package multicastregistry

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

func TestOnlyARegisteredIdentityMaySubscribe(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		g.register(t, "thermo", time.Minute)
		w.advance(2 * time.Minute)
		for _, identity := range []string{"never", "thermo"} {
			err := g.Subscribe(t.Context(), &patternsv1.SubscribeRequest{Identity: identity}, func(r *patternsv1.SubscribeResponse) error {
				t.Errorf("a message: %v", r)
				return nil
			})
			requireNotRegistered(t, err)
		}
	})
}

// TestARegistrationThatEndsWhileTheStreamBegins deregisters between the two looks at the record.
func TestARegistrationThatEndsWhileTheStreamBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	a, b := w.gateway(t, nil), w.gateway(t, nil)
	a.register(t, "thermo", 0)
	var gets atomic.Int64
	a.wire.before(func(m *rpc.Method, _ proto.Message) error {
		if m.Name == "Get" && gets.Add(1) == 2 {
			_, err := b.Deregister(t.Context(), &patternsv1.DeregisterRequest{Identity: "thermo"})
			return err
		}
		return nil
	})
	err := a.Subscribe(t.Context(), &patternsv1.SubscribeRequest{Identity: "thermo"}, func(*patternsv1.SubscribeResponse) error { return nil })
	if err != nil { // The signal that it has ended may come first: then the stream ends with OK.
		requireNotRegistered(t, err)
	}
	require.Empty(t, keys(t, w))
}

func TestWhatWasKeptComesFirstOldestFirst(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.register(t, "thermo", 0)
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
			a.multicast(t, "", want[i])
		}
		s := b.subscribe(t, "thermo", nil)
		_, outcomes := a.multicast(t, "", "live")
		require.Equal(t, published, outcomes["thermo"])
		require.Equal(t, append(want, "live"), s.texts(t, 21))
		s.leave(t)
		again := a.subscribe(t, "thermo", nil)
		a.multicast(t, "", "after")
		require.Equal(t, []string{"after"}, again.texts(t, 1), "what was delivered does not come again")
	})
}

// TestNoGapBetweenKeptAndLive sends without a pause while streams come and go on two gateways. Every message comes at least once, and with durability in order.
func TestNoGapBetweenKeptAndLive(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		gateways := []*gateway{w.gateway(t, nil), w.gateway(t, nil)}
		gateways[0].register(t, "thermo", time.Hour)
		const many = 300
		var sending sync.WaitGroup
		sending.Go(func() {
			for i := range many {
				response, err := gateways[i%2].Multicast(t.Context(), &patternsv1.MulticastRequest{Payload: fmt.Appendf(nil, "%d", i)})
				if err != nil || response.GetFailed() > 0 {
					t.Errorf("%v %v", response, err)
				}
			}
		})
		next := 0
		seen := make(map[string]bool)
		for round := 0; len(seen) < many; round++ {
			g := gateways[round%2]
			s := g.subscribe(t, "thermo", acknowledging)
			for range 1 + round%7 {
				if len(seen) == many {
					break
				}
				m := s.next(t)
				text := string(m.GetPayload())
				if !seen[text] {
					seen[text] = true
					if w.name == "durability" {
						require.Equal(t, fmt.Sprint(next), text, "in order")
					}
					next++
				}
				answer, err := g.Acknowledge(t.Context(), &patternsv1.AcknowledgeRequest{Identity: "thermo", Receipts: []string{m.GetReceipt()}})
				require.NoError(t, err)
				require.Empty(t, answer.GetUnsettled())
			}
			s.leave(t)
		}
		sending.Wait()
	})
}

// TestASubscribeTakesOver shows that an identity has one stream, on whichever gateway.
func TestASubscribeTakesOver(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.register(t, "thermo", time.Hour)
		former := a.subscribe(t, "thermo", nil)
		for _, g := range []*gateway{b, b, a} {
			later := g.subscribe(t, "thermo", nil)
			err := former.ends(t)
			require.Equal(t, fault.Aborted, fault.CodeOf(err))
			require.Equal(t, "SUBSCRIPTION_REPLACED", fault.ReasonOf(err))
			_, outcomes := a.multicast(t, "", "x")
			require.Equal(t, published, outcomes["thermo"], "the end of the former one does not make it offline")
			require.Equal(t, []string{"x"}, later.texts(t, 1))
			former = later
		}
	})
}

// TestLostSignalsAreMadeUpFor lets every signal be lost: what they tell is found out all the same.
func TestLostSignalsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	lost := func(m *rpc.Method, _ proto.Message) error {
		if m.Name == "Publish" {
			return fault.New(fault.Unavailable, "lost")
		}
		return nil
	}
	open := func() *gateway {
		g := w.gateway(t, nil)
		g.wire.before(lost)
		g.service.presence = 60 * time.Millisecond
		g.service.mailbox.(*queueMailbox).poll = 10 * time.Millisecond
		return g
	}
	a, b := open(), open()
	a.register(t, "thermo", time.Hour)
	first := a.subscribe(t, "thermo", nil)
	b.multicast(t, "", "x")
	require.Equal(t, []string{"x"}, first.texts(t, 1))
	second := b.subscribe(t, "thermo", nil)
	require.Equal(t, "SUBSCRIPTION_REPLACED", fault.ReasonOf(first.ends(t)))
	_, err := a.Deregister(t.Context(), &patternsv1.DeregisterRequest{Identity: "thermo"})
	require.NoError(t, err)
	require.NoError(t, second.ends(t))
	eventually(t, "nothing is left", func() bool { return len(keys(t, w)) == 0 })
}

func TestDeregisterEndsTheStreamWithOK(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		for _, g := range []*gateway{a, b} {
			a.register(t, "thermo", time.Hour)
			record, err := a.service.records.record(t.Context(), "thermo")
			require.NoError(t, err)
			s := a.subscribe(t, "thermo", acknowledgingIf(w.name != "live"))
			a.multicast(t, "", "seen and not acknowledged")
			s.next(t)
			_, err = g.Deregister(t.Context(), &patternsv1.DeregisterRequest{Identity: "thermo"})
			require.NoError(t, err)
			require.NoError(t, s.ends(t))
			require.Empty(t, keys(t, w))
			require.Empty(t, inQueue(t, w, record.GetMailbox()), "what was leased is dropped too")
			left, err := w.slots.QueueDeadLetter.GetDeadLetterQueue(t.Context(), &queuev1.GetDeadLetterQueueRequest{Queue: record.GetMailbox()})
			require.NoError(t, err)
			require.False(t, left.GetFound(), "nothing of the mailbox is left")
		}
	})
}

func acknowledgingIf(acknowledge bool) func(*patternsv1.SubscribeRequest) {
	return func(request *patternsv1.SubscribeRequest) { request.Acknowledge = acknowledge }
}

// TestRegisteredAnewEndsTheStreamOfTheFormerRegistration shows that a stream does not go on in the mailbox of a registration that is over.
func TestRegisteredAnewEndsTheStreamOfTheFormerRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	a, b := w.gateway(t, nil), w.gateway(t, nil)
	a.service.presence = 30 * time.Millisecond
	a.register(t, "thermo", time.Hour)
	s := a.subscribe(t, "thermo", nil)
	b.wire.before(failing("Publish", func(proto.Message) bool { return true })) // so that only the record tells
	_, err := b.Deregister(t.Context(), &patternsv1.DeregisterRequest{Identity: "thermo"})
	require.NoError(t, err)
	b.register(t, "thermo", time.Hour)
	require.NoError(t, s.ends(t))
}

func TestOnlineIsSeenOnEveryGatewayAndEndsWithAKilledOne(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.register(t, "thermo", time.Hour)
		online := func() bool { return b.enumerate(t, "")["thermo"].GetOnline() }
		require.False(t, online())
		s := a.subscribe(t, "thermo", nil)
		require.True(t, online())
		s.leave(t)
		require.False(t, online())

		s = a.subscribe(t, "thermo", nil)
		a.wire.kill()
		require.Equal(t, fault.Unavailable, fault.CodeOf(unlessCanceled(s.ends(t))))
		require.True(t, online(), "nobody can know yet")
		w.advance(31 * time.Second)
		require.False(t, online())
		_, outcomes := b.multicast(t, "", "x")
		require.NotEqual(t, published, outcomes["thermo"])
	})
}

// unlessCanceled takes the end of a cut connection for what a real one would say.
func unlessCanceled(err error) error {
	if fault.CodeOf(err) == fault.Canceled {
		return fault.New(fault.Unavailable, "cut")
	}
	return err
}

// TestAKilledGatewayLosesNothing kills gateways while messages are on their way. Whatever a client did not acknowledge comes on another one.
func TestAKilledGatewayLosesNothing(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		sender := w.gateway(t, nil)
		sender.register(t, "thermo", time.Hour)
		seen := make(map[string]bool)
		sent := 0
		send := func() {
			sender.multicast(t, "", fmt.Sprint(sent))
			sent++
		}
		for range 3 {
			g := w.gateway(t, nil)
			if q, ok := g.service.mailbox.(*queueMailbox); ok {
				q.poll = 100 * time.Millisecond
			}
			s := g.subscribe(t, "thermo", func(request *patternsv1.SubscribeRequest) {
				request.Acknowledge, request.AcknowledgementTimeout = true, durationpb.New(time.Second)
			})
			for range 5 {
				send()
			}
			m := s.next(t)
			_, err := g.Acknowledge(t.Context(), &patternsv1.AcknowledgeRequest{Identity: "thermo", Receipts: []string{m.GetReceipt()}})
			require.NoError(t, err)
			seen[string(m.GetPayload())] = true
			g.wire.kill()
			require.Error(t, s.ends(t))
		}
		send()
		g := w.gateway(t, nil)
		if q, ok := g.service.mailbox.(*queueMailbox); ok {
			q.poll = 100 * time.Millisecond
		}
		s := g.subscribe(t, "thermo", nil)
		for len(seen) < sent {
			seen[string(s.next(t).GetPayload())] = true
		}
	})
}

// TestAnOpenStreamKeepsTheRegistrationAlive lets several times to live pass.
func TestAnOpenStreamKeepsTheRegistrationAlive(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.service.presence = 30 * time.Millisecond // as the clock of the world goes, it is online for as long after each sign
		a.register(t, "thermo", time.Hour)
		s := a.subscribe(t, "thermo", nil)
		for range 3 {
			w.advance(50 * time.Minute)
			eventually(t, "the stream renews it", func() bool {
				thermo := b.enumerate(t, "")["thermo"]
				return thermo.GetExpireTime().AsTime().After(w.now().Add(55 * time.Minute))
			})
		}
		w.advance(30 * time.Minute)
		s.leave(t)
		thermo := b.enumerate(t, "")["thermo"]
		require.True(t, thermo.GetExpireTime().AsTime().After(w.now().Add(55*time.Minute)), "the end of the stream is a sign of life too")
		w.advance(2 * time.Hour)
		require.Empty(t, b.enumerate(t, ""))
	})
}

// TestASlotThatFailsForAWhileDoesNotEndTheStream lets the registry be away.
func TestASlotThatFailsForAWhileDoesNotEndTheStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	a, b := w.gateway(t, nil), w.gateway(t, nil)
	a.service.presence = 30 * time.Millisecond
	a.register(t, "thermo", time.Hour)
	var away atomic.Bool
	var refused atomic.Int64
	a.wire.before(failing("Get", func(proto.Message) bool {
		if away.Load() {
			refused.Add(1)
		}
		return away.Load()
	}))
	s := a.subscribe(t, "thermo", nil)
	away.Store(true)
	eventually(t, "the stream has tried", func() bool { return refused.Load() > 2 })
	b.multicast(t, "", "x")
	away.Store(false)
	a.service.signals.tellKept(t.Context(), mustRecord(t, b, "thermo").GetMailbox())
	require.Equal(t, []string{"x"}, s.texts(t, 1))
}

func mustRecord(t *testing.T, g *gateway, identity string) *patternsv1.MulticastRegistryRecord {
	t.Helper()
	record, err := g.service.records.record(t.Context(), identity)
	require.NoError(t, err)
	require.NotNil(t, record)
	return record
}

func TestTheStreamEndsWhenMessagingFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, nil)
	g.register(t, "thermo", 0)
	g.service.signals.pubsub = deaf{g.service.signals.pubsub}
	err := g.Subscribe(t.Context(), &patternsv1.SubscribeRequest{Identity: "thermo"}, func(*patternsv1.SubscribeResponse) error { return nil })
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	require.ErrorContains(t, err, "the subscription in the slot messaging was ended")
}

func TestASlowSubscriberIsWaitedForWhereMessagesAreKept(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		g.register(t, "slow", 0)
		g.register(t, "quick", 0)
		slow, quick := g.subscribe(t, "slow", nil), g.subscribe(t, "quick", nil)
		slow.reading.Lock()
		const many = 2000 // more than a subscription in the slot buffers
		for i := range many {
			g.multicast(t, "", fmt.Sprint(i))
		}
		require.Len(t, quick.texts(t, many), many, "others do not wait")
		slow.reading.Unlock()
		for i := range many {
			require.Equal(t, fmt.Sprint(i), string(slow.next(t).GetPayload()))
		}
		require.Zero(t, slow.missed.Load())
	})
}

func TestASlowSubscriberMissesWhatNobodyKeepsAndIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, live)
	g := w.gateway(t, nil)
	g.register(t, "slow", 0)
	slow := g.subscribe(t, "slow", nil)
	slow.reading.Lock()
	const many = 1500
	for i := range many {
		g.multicast(t, "", fmt.Sprint(i))
	}
	slow.reading.Unlock()
	eventually(t, "received and missed add up", func() bool { return len(slow.messages)+int(slow.missed.Load()) == many })
	require.NotZero(t, slow.missed.Load())
}

func TestAStreamWhoseClientIsGoneReturnsTheErrorOfSend(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		g.register(t, "thermo", 0)
		g.multicast(t, "", "x")
		gone := fault.New(fault.DataLoss, "gone")
		err := g.service.Subscribe(t.Context(), &patternsv1.SubscribeRequest{Identity: "thermo"}, func(response *patternsv1.SubscribeResponse) error {
			if response.GetMessage() != nil {
				return gone
			}
			return nil
		})
		require.Same(t, gone, err)
		require.Equal(t, []string{"x"}, g.subscribe(t, "thermo", nil).texts(t, 1), "what could not be sent is not lost")
	})
}

// deaf is a PubSub whose subscriptions end at once.
type deaf struct{ pubsubv1.Basic }

func (deaf) Subscribe(_ context.Context, _ *pubsubv1.SubscribeRequest, send func(*pubsubv1.SubscribeResponse) error) error {
	return send(&pubsubv1.SubscribeResponse{Event: &pubsubv1.SubscribeResponse_Subscribed{Subscribed: &pubsubv1.Subscribed{}}})
}
