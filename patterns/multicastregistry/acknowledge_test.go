package multicastregistry

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/fault"

	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

func (g *gateway) acknowledge(t *testing.T, identity string, receipts ...string) []string {
	t.Helper()
	answer, err := g.Acknowledge(t.Context(), &patternsv1.AcknowledgeRequest{Identity: identity, Receipts: receipts})
	require.NoError(t, err)
	return answer.GetUnsettled()
}

func TestWhereNothingIsKeptThereIsNothingToAcknowledge(t *testing.T) {
	t.Parallel()
	g := newWorld(t, live).gateway(t, nil)
	g.register(t, "thermo", 0)
	err := g.Subscribe(t.Context(), &patternsv1.SubscribeRequest{Identity: "thermo", Acknowledge: true}, nil)
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	require.Equal(t, "NOTHING_KEEPS_MESSAGES", fault.ReasonOf(err))
	require.Equal(t, []string{"made up"}, g.acknowledge(t, "thermo", "made up"))
	answer, err := g.Redrive(t.Context(), &patternsv1.RedriveRequest{Identity: "thermo"})
	require.NoError(t, err)
	require.Zero(t, answer.GetMoved())
}

func TestAnUnacknowledgedMessageComesAgain(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		g.register(t, "thermo", 0)
		s := g.subscribe(t, "thermo", func(request *patternsv1.SubscribeRequest) {
			request.Acknowledge, request.AcknowledgementTimeout = true, durationpb.New(time.Second)
		})
		g.multicast(t, "", "x")
		first := s.next(t)
		require.Equal(t, uint32(1), first.GetDeliveryCount())
		again := s.next(t)
		require.Equal(t, "x", string(again.GetPayload()), "when it was not acknowledged in time")
		require.Equal(t, first.GetMessageId(), again.GetMessageId())
		require.NotEqual(t, first.GetReceipt(), again.GetReceipt())
		s.leave(t)

		s = g.subscribe(t, "thermo", acknowledging)
		third := s.next(t)
		require.Equal(t, "x", string(third.GetPayload()), "when its stream has ended")
		require.GreaterOrEqual(t, third.GetDeliveryCount(), uint32(2))
		require.Empty(t, g.acknowledge(t, "thermo", third.GetReceipt()))
		s.leave(t)
		s = g.subscribe(t, "thermo", nil)
		g.multicast(t, "", "y")
		require.Equal(t, []string{"y"}, s.texts(t, 1), "what was acknowledged does not")
	})
}

func TestReceiptsThatSettleNothingAreNamed(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.register(t, "thermo", 0)
		a.register(t, "valve", 0)
		s := a.subscribe(t, "thermo", acknowledging)
		other := a.subscribe(t, "valve", acknowledging)
		a.multicast(t, "", "first", "thermo")
		require.Empty(t, a.acknowledge(t, "thermo", s.next(t).GetReceipt()))
		a.multicast(t, "", "x")
		a.multicast(t, "", "y", "thermo")
		x, y, foreign := s.next(t).GetReceipt(), s.next(t).GetReceipt(), other.next(t).GetReceipt()
		require.ElementsMatch(t, []string{"made up", foreign}, b.acknowledge(t, "thermo", x, "made up", y, foreign, x), "on another gateway, one repeated")
		require.Empty(t, b.acknowledge(t, "valve", foreign))
		_, err := b.Acknowledge(t.Context(), &patternsv1.AcknowledgeRequest{Identity: "never", Receipts: []string{"x"}})
		requireNotRegistered(t, err)
	})
}

// TestTheWindowBoundsWhatWaits shows that no more than max_unacknowledged messages are sent, and that an acknowledgement on another gateway lets the next come.
func TestTheWindowBoundsWhatWaits(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.register(t, "thermo", 0)
		for _, text := range []string{"0", "1", "2", "3", "4"} {
			a.multicast(t, "", text)
		}
		s := a.subscribe(t, "thermo", func(request *patternsv1.SubscribeRequest) { request.Acknowledge, request.MaxUnacknowledged = true, 2 })
		zero := s.next(t)
		require.Equal(t, "0", string(zero.GetPayload()))
		require.Empty(t, b.acknowledge(t, "thermo", zero.GetReceipt()))
		one, two := s.next(t), s.next(t)
		require.Equal(t, []string{"1", "2"}, []string{string(one.GetPayload()), string(two.GetPayload())})
		b.multicast(t, "", "5") // which wakes the stream
		s.quiet(t)
		require.Empty(t, b.acknowledge(t, "thermo", one.GetReceipt()))
		three := s.next(t)
		require.Equal(t, "3", string(three.GetPayload()))
		s.quiet(t)
		require.Empty(t, b.acknowledge(t, "thermo", two.GetReceipt(), three.GetReceipt()))
		require.Equal(t, []string{"4", "5"}, s.texts(t, 2))
	})
}

// TestAConnectionThatBreaksAgainAndAgainMakesNoDeadLetters lets a client settle one message of many in each stream.
func TestAConnectionThatBreaksAgainAndAgainMakesNoDeadLetters(t *testing.T) {
	t.Parallel()
	g := newWorld(t, queueing).gateway(t, nil)
	g.register(t, "thermo", 0)
	const many = 50
	for i := range many {
		g.multicast(t, "", fmt.Sprint(i))
	}
	for i := range many {
		s := g.subscribe(t, "thermo", acknowledging)
		m := s.next(t)
		require.Equal(t, fmt.Sprint(i), string(m.GetPayload()))
		require.LessOrEqual(t, m.GetDeliveryCount(), uint32(3))
		require.Empty(t, g.acknowledge(t, "thermo", m.GetReceipt()))
		s.leave(t)
	}
}

func TestWhatIsDeliveredTooOftenBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, func(c *patternsv1.MulticastRegistry) { c.MaxDeliveries = 2 })
	g.register(t, "thermo", 0)
	box := mustRecord(t, g, "thermo").GetMailbox()
	g.multicast(t, "", "poison")
	for range 2 {
		s := g.subscribe(t, "thermo", acknowledging)
		require.Equal(t, []string{"poison"}, s.texts(t, 1))
		s.leave(t)
	}
	g.multicast(t, "", "good")
	s := g.subscribe(t, "thermo", acknowledging)
	good := s.next(t)
	require.Equal(t, "good", string(good.GetPayload()))
	require.Empty(t, g.acknowledge(t, "thermo", good.GetReceipt()))

	answer, err := g.Redrive(t.Context(), &patternsv1.RedriveRequest{Identity: "thermo"})
	require.NoError(t, err)
	require.Equal(t, uint32(1), answer.GetMoved())
	poison := s.next(t)
	require.Equal(t, "poison", string(poison.GetPayload()))
	require.Equal(t, uint32(1), poison.GetDeliveryCount())
	answer, err = g.Redrive(t.Context(), &patternsv1.RedriveRequest{Identity: "thermo"})
	require.NoError(t, err)
	require.Zero(t, answer.GetMoved())
	_, err = g.Redrive(t.Context(), &patternsv1.RedriveRequest{Identity: "never"})
	requireNotRegistered(t, err)

	s.leave(t)
	s = g.subscribe(t, "thermo", acknowledging)
	s.next(t)
	s.leave(t)
	require.Empty(t, inQueue(t, w, box), "it is a dead letter again")
	_, err = g.Deregister(t.Context(), &patternsv1.DeregisterRequest{Identity: "thermo"})
	require.NoError(t, err)
	require.Empty(t, inQueue(t, w, box+".dead"), "dead letters are dropped with the registration")
}

func TestTheDeadLetterQueueIsConfiguredBeforeTheFirstMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, nil)
	g.wire.before(failing("ConfigureDeadLetter", func(_ proto.Message) bool { return true }))
	_, err := g.Register(t.Context(), &patternsv1.RegisterRequest{Identity: "thermo"})
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	require.Empty(t, keys(t, w), "what could not be made ready is not registered")
}
