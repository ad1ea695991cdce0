package multicastregistry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// inQueue takes all messages out of a queue.
func inQueue(t *testing.T, w *world, queue string) []string {
	t.Helper()
	var texts []string
	for {
		answer, err := w.slots.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: queue})
		require.NoError(t, err)
		if !answer.GetFound() {
			return texts
		}
		texts = append(texts, string(answer.GetMessage().GetPayload()))
	}
}

func TestAMessageReachesThoseWhoSatisfyTheFilter(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.register(t, "eu-1", time.Hour, "region", "eu", "floor", "1")
		a.register(t, "eu-2", 0, "region", "eu", "floor", "2")
		a.register(t, "us-1", 0, "region", "us", "floor", "1")
		eu1, eu2, us1 := a.subscribe(t, "eu-1", nil), b.subscribe(t, "eu-2", nil), b.subscribe(t, "us-1", nil)

		response, err := b.Multicast(t.Context(), &patternsv1.MulticastRequest{
			Filter: `attributes.region == "eu"`, Payload: []byte("\x00bytes"), Metadata: map[string]string{"kind": "alarm"},
		})
		require.NoError(t, err)
		require.Equal(t, []uint32{2, 2, 0, 0}, []uint32{response.GetMatched(), response.GetPublished(), response.GetQueued(), response.GetFailed()})
		for _, s := range []*subscriber{eu1, eu2} {
			m := s.next(t)
			require.Equal(t, "\x00bytes", string(m.GetPayload()))
			require.Equal(t, map[string]string{"kind": "alarm"}, m.GetMetadata())
			require.Empty(t, m.GetReceipt())
			require.Equal(t, w.name != "live", m.GetMessageId() != "")
			require.Equal(t, w.name != "live", m.GetPublishTime() != nil)
		}
		_, outcomes := a.multicast(t, "", "to all")
		require.Equal(t, map[string]patternsv1.MulticastOutcome{"eu-1": published, "eu-2": published, "us-1": published}, outcomes)
		for _, s := range []*subscriber{eu1, eu2, us1} {
			require.Equal(t, []string{"to all"}, s.texts(t, 1), "and us-1 did not get the first")
		}
		response, _ = a.multicast(t, `attributes.region == "asia"`, "nobody")
		require.Zero(t, response.GetMatched())
	})
}

func TestOutcomesOfWhoIsNotOnline(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		g.register(t, "away", 0)
		response, outcomes := g.multicast(t, "", "x")
		if w.name == "live" {
			require.Equal(t, failedOutcome, outcomes["away"])
			require.Equal(t, "it is not online, and nothing keeps messages: the slot durability is empty, and the slot messaging has no pubsub_persistent",
				response.GetRecipients()[0].GetReason())
			s := g.subscribe(t, "away", nil)
			g.multicast(t, "", "y")
			require.Equal(t, []string{"y"}, s.texts(t, 1), "the first is lost")
			return
		}
		require.Equal(t, queuedOutcome, outcomes["away"])
		s := g.subscribe(t, "away", nil)
		require.Equal(t, []string{"x"}, s.texts(t, 1))
		s.leave(t)
		_, outcomes = g.multicast(t, "", "y")
		require.Equal(t, queuedOutcome, outcomes["away"], "whoever leaves is not online any more")
	})
}

func TestListedIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, nil)
	for i := range 5 {
		g.register(t, fmt.Sprintf("id-%d", i), time.Minute, "n", fmt.Sprint(i))
	}
	response, outcomes := g.multicast(t, `attributes.n != "1"`, "x", "id-0", "id-1", "id-2", "id-0", "never")
	require.Equal(t, map[string]patternsv1.MulticastOutcome{"id-0": queuedOutcome, "id-2": queuedOutcome, "never": failedOutcome}, outcomes)
	for _, recipient := range response.GetRecipients() {
		if recipient.GetIdentity() == "never" {
			require.Equal(t, `identity "never" is not registered, or not any more; register it`, recipient.GetReason())
		}
	}
	s := g.subscribe(t, "id-0", nil)
	g.multicast(t, "", "y")
	require.Equal(t, []string{"x", "y"}, s.texts(t, 2), "one that is repeated counts once")
	w.advance(2 * time.Minute)
	_, outcomes = g.multicast(t, "", "x", "id-4")
	require.Equal(t, failedOutcome, outcomes["id-4"], "it has expired")
}

func TestABadFilterIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	g := newWorld(t, live).gateway(t, nil)
	const bad = `attributes.region = "eu"`
	_, err := g.Multicast(t.Context(), &patternsv1.MulticastRequest{Filter: bad})
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	require.ErrorContains(t, err, "filter: byte 18")
	err = g.Enumerate(t.Context(), &patternsv1.EnumerateRequest{Filter: bad}, nil)
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	require.ErrorContains(t, err, "filter: byte 18")
}

func TestMoreRecipientsThanAllowedGetNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, func(c *patternsv1.MulticastRegistry) { c.MaxRecipients = 3 })
	var all []string
	for i := range 4 {
		all = append(all, fmt.Sprintf("id-%d", i))
		g.register(t, all[i], time.Minute, "n", fmt.Sprint(i))
	}
	for _, identities := range [][]string{nil, all} {
		_, err := g.Multicast(t.Context(), &patternsv1.MulticastRequest{Payload: []byte("too many"), Identities: identities})
		require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
		require.Equal(t, "MAX_RECIPIENTS_EXCEEDED", fault.ReasonOf(err))
		require.ErrorContains(t, err, "there are more than 3 recipients, which is max_recipients in the configuration of the pattern")
	}
	_, outcomes := g.multicast(t, `attributes.n != "0"`, "three")
	require.Len(t, outcomes, 3)
	require.Equal(t, []string{"three"}, g.subscribe(t, "id-1", nil).texts(t, 1), "of the refused ones nothing was sent")

	w.advance(2 * time.Minute)
	for _, identity := range all[:3] {
		g.register(t, identity, 0)
	}
	_, outcomes = g.multicast(t, "", "x")
	require.Len(t, outcomes, 3, "one that has expired does not count")
}

func TestARecipientThatFailsDoesNotFailOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind slotted
		rpc  string
	}{"Enqueue": {queueing, "Enqueue"}, "PublishPersistent": {keeping, "PublishPersistent"}, "Publish": {live, "Publish"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.kind)
			g := w.gateway(t, nil)
			subscribers := map[string]*subscriber{}
			boxes := map[string]string{}
			for i := range 10 {
				identity := fmt.Sprintf("id-%d", i)
				g.register(t, identity, 0)
				subscribers[identity] = g.subscribe(t, identity, nil)
				record, err := g.service.records.record(t.Context(), identity)
				require.NoError(t, err)
				boxes[record.GetMailbox()] = identity
			}
			bad := func(box string) bool {
				return boxes[strings.TrimSuffix(box, ".messages")] == "id-3" || boxes[strings.TrimSuffix(box, ".messages")] == "id-7"
			}
			g.wire.before(failing(test.rpc, func(request proto.Message) bool {
				switch request := request.(type) {
				case *queuev1.EnqueueRequest:
					return bad(request.GetQueue())
				case *pubsubv1.PublishPersistentRequest:
					return bad(request.GetTopic())
				default:
					return bad(request.(*pubsubv1.PublishRequest).GetTopic())
				}
			}))
			response, outcomes := g.multicast(t, "", "x")
			require.Equal(t, []uint32{10, 8, 0, 2}, []uint32{response.GetMatched(), response.GetPublished(), response.GetQueued(), response.GetFailed()})
			for identity, s := range subscribers {
				if identity == "id-3" || identity == "id-7" {
					require.Equal(t, failedOutcome, outcomes[identity])
					continue
				}
				require.Equal(t, []string{"x"}, s.texts(t, 1))
			}
			for _, recipient := range response.GetRecipients() {
				if recipient.GetOutcome() == failedOutcome {
					require.Equal(t, "UNAVAILABLE: the test lets "+test.rpc+" fail", recipient.GetReason())
				}
			}
		})
	}
}

func TestAReasonIsCutToItsBound(t *testing.T) {
	t.Parallel()
	reason := failed("id", fault.New(fault.Unavailable, "%s", strings.Repeat("é", 200))).GetReason()
	require.LessOrEqual(t, len(reason), 200)
	require.Greater(t, len(reason), 190)
	require.True(t, strings.HasPrefix(reason, "UNAVAILABLE: éé"))
	require.NotContains(t, reason, "\uFFFD")
}

// TestFanOutIsBounded counts the calls of slots that are under way at once.
func TestFanOutIsBounded(t *testing.T) {
	t.Parallel()
	for _, bound := range []uint32{1, 4} {
		w := newWorld(t, queueing)
		g := w.gateway(t, func(c *patternsv1.MulticastRegistry) { c.FanOut = bound })
		for i := range 50 {
			g.register(t, fmt.Sprintf("id-%d", i), time.Hour)
		}
		var under, most atomic.Int64
		g.wire.hooks.Store(&hooks{before: func(*rpc.Method, proto.Message) error {
			now := under.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			// Long enough for the others to come.
			time.Sleep(time.Millisecond)
			return nil
		}, after: func() { under.Add(-1) }})
		for range 2 {
			_, outcomes := g.multicast(t, "", "x")
			require.Len(t, outcomes, 50)
			require.Len(t, g.enumerate(t, ""), 50)
		}
		require.LessOrEqual(t, most.Load(), int64(bound))
		if bound > 1 {
			require.Greater(t, most.Load(), int64(1), "they are called at once")
		}
	}
}

func TestACallThatIsCanceledEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, func(c *patternsv1.MulticastRegistry) { c.FanOut = 2 })
	for i := range 20 {
		g.register(t, fmt.Sprintf("id-%d", i), 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var enqueued atomic.Int64
	g.wire.before(func(m *rpc.Method, _ proto.Message) error {
		if m.Name == "Enqueue" && enqueued.Add(1) == 3 {
			cancel()
		}
		return nil
	})
	_, err := g.Multicast(ctx, &patternsv1.MulticastRequest{Payload: []byte("x")})
	require.Equal(t, fault.Canceled, fault.CodeOf(err))
	require.Less(t, enqueued.Load(), int64(10), "the rest is not sent to")
}

// twice is a scan that says every key twice, which its contract allows.
type twice struct{ keyvalueScan }

type keyvalueScan = keyvaluev1.Scan

func (s twice) Scan(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error {
	return s.keyvalueScan.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
		return errors.Join(send(response), send(response))
	})
}

func TestAScanThatSaysAnIdentityTwiceSendsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, nil)
	g.register(t, "thermo", 0)
	g.service.records.scans = twice{g.service.records.scans}
	_, outcomes := g.multicast(t, "", "x")
	require.Len(t, outcomes, 1)
}

func TestManyPagesAreRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	g := w.gateway(t, nil)
	const many = 2*scanPage + 7
	for i := range many {
		g.register(t, fmt.Sprintf("id-%d", i), 0)
	}
	require.Len(t, g.enumerate(t, ""), many)
	response, _ := g.multicast(t, "", "x")
	require.Equal(t, uint32(many), response.GetQueued())
}

func TestTheLargestPayload(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		g.register(t, "thermo", 0)
		s := g.subscribe(t, "thermo", nil)
		large := strings.Repeat("x", 1<<20)
		g.multicast(t, "", large)
		require.Equal(t, large, string(s.next(t).GetPayload()))
		_, err := g.Multicast(t.Context(), &patternsv1.MulticastRequest{Payload: []byte(large + "x")})
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	})
}
