package multicastregistry

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
)

func requireNotRegistered(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, fault.NotFound, fault.CodeOf(err), "%v", err)
	require.Equal(t, "IDENTITY_NOT_REGISTERED", fault.ReasonOf(err))
}

func TestARegisteredIdentityIsEnumeratedOnEveryGateway(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		before := w.now().Truncate(time.Millisecond)
		answer, err := a.Register(t.Context(), &patternsv1.RegisterRequest{Identity: "térmo/1", Metadata: map[string]string{"region": "eu"}, Ttl: durationpb.New(time.Hour)})
		require.NoError(t, err)
		a.register(t, "valve", 0)

		found := b.enumerate(t, "")
		require.Len(t, found, 2)
		thermo := found["térmo/1"]
		require.Equal(t, map[string]string{"region": "eu"}, thermo.GetMetadata())
		require.False(t, thermo.GetOnline())
		require.WithinRange(t, thermo.GetRegisterTime().AsTime(), before, w.now())
		require.Equal(t, thermo.GetRegisterTime().AsTime().Add(time.Hour), thermo.GetExpireTime().AsTime())
		require.True(t, proto.Equal(answer.GetExpireTime(), thermo.GetExpireTime()))
		require.Nil(t, found["valve"].GetExpireTime(), "without a time to live it does not end by itself")

		require.Len(t, b.enumerate(t, `attributes.region == "eu"`), 1)
		require.Empty(t, b.enumerate(t, `attributes.region == "us"`))
	})
}

func TestRegisterAgainReplacesMetadataAndTimeToLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	a, b := w.gateway(t, nil), w.gateway(t, nil)
	a.register(t, "thermo", time.Hour, "region", "eu", "floor", "1")
	began := a.enumerate(t, "")["thermo"].GetRegisterTime()
	a.multicast(t, "", "kept")
	b.register(t, "thermo", time.Minute, "region", "us")
	thermo := a.enumerate(t, "")["thermo"]
	require.Equal(t, map[string]string{"region": "us"}, thermo.GetMetadata())
	require.WithinDuration(t, w.now().Add(time.Minute), thermo.GetExpireTime().AsTime(), 20*time.Second, "the shorter time to live counts, whatever was given before")
	require.True(t, proto.Equal(began, thermo.GetRegisterTime()), "the registration goes on")
	require.Equal(t, []string{"kept"}, a.subscribe(t, "thermo", nil).texts(t, 1), "with its messages")
	b.register(t, "thermo", 0)
	require.Nil(t, a.enumerate(t, "")["thermo"].GetExpireTime())
	ttl, err := w.slots.KeyValueTTL.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: "r/thermo"})
	require.NoError(t, err)
	require.Nil(t, ttl.GetTtl())
}

func TestHeartbeatRenewsAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		a, b := w.gateway(t, nil), w.gateway(t, nil)
		a.register(t, "thermo", time.Hour, "region", "eu")
		w.advance(50 * time.Minute)
		answer, err := b.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "thermo"})
		require.NoError(t, err)
		require.WithinDuration(t, w.now().Add(time.Hour), answer.GetExpireTime().AsTime(), 20*time.Second)
		w.advance(50 * time.Minute)
		thermo := a.enumerate(t, "")["thermo"]
		require.Equal(t, map[string]string{"region": "eu"}, thermo.GetMetadata())
		require.True(t, proto.Equal(answer.GetExpireTime(), thermo.GetExpireTime()))
		_, outcomes := a.multicast(t, "", "x")
		require.Len(t, outcomes, 1)

		w.advance(11 * time.Minute)
		require.Empty(t, a.enumerate(t, ""))
		_, err = b.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "thermo"})
		requireNotRegistered(t, err)
		_, err = b.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "never"})
		requireNotRegistered(t, err)

		a.register(t, "valve", 0)
		answer, err = b.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "valve"})
		require.NoError(t, err)
		require.Nil(t, answer.GetExpireTime())
	})
}

// TestAHeartbeatElsewhereDoesNotUndoARegister lets a heartbeat read the record, then registers anew on another gateway, and lets the heartbeat go on.
func TestAHeartbeatElsewhereDoesNotUndoARegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queueing)
	a, b := w.gateway(t, nil), w.gateway(t, nil)
	a.register(t, "thermo", time.Hour, "region", "eu")
	a.wire.before(func(m *rpc.Method, _ proto.Message) error {
		if m.Name == "SetWithTTL" {
			b.register(t, "thermo", time.Minute, "region", "us")
		}
		return nil
	})
	_, err := a.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "thermo"})
	require.NoError(t, err)
	thermo := b.enumerate(t, "")["thermo"]
	require.Equal(t, "us", thermo.GetMetadata()["region"])
	require.WithinDuration(t, w.now().Add(time.Minute), thermo.GetExpireTime().AsTime(), 20*time.Second)
}

func TestTheDefaultTimeToLiveIsTheConfigurations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, live)
	g := w.gateway(t, func(c *patternsv1.MulticastRegistry) { c.DefaultTtl = durationpb.New(time.Minute) })
	g.register(t, "thermo", 0)
	require.WithinDuration(t, w.now().Add(time.Minute), g.enumerate(t, "")["thermo"].GetExpireTime().AsTime(), 20*time.Second)
	g.register(t, "thermo", time.Hour)
	require.WithinDuration(t, w.now().Add(time.Hour), g.enumerate(t, "")["thermo"].GetExpireTime().AsTime(), 20*time.Second)
}

func TestWhoRegistersAgainAfterTheEndBeginsWithoutMessages(t *testing.T) {
	t.Parallel()
	eachKind(t, []slotted{queueing, keeping}, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		g.register(t, "expires", time.Minute)
		g.register(t, "leaves", time.Hour)
		g.multicast(t, "", "of the former life")
		w.advance(time.Minute + time.Second)
		answer, err := g.Deregister(t.Context(), &patternsv1.DeregisterRequest{Identity: "leaves"})
		require.NoError(t, err)
		require.True(t, answer.GetDeregistered())
		require.Empty(t, g.enumerate(t, ""))
		for _, identity := range []string{"expires", "leaves"} {
			g.register(t, identity, 0)
			g.multicast(t, "", "of this one", identity)
			s := g.subscribe(t, identity, nil)
			require.Equal(t, []string{"of this one"}, s.texts(t, 1))
			s.quiet(t)
		}
	})
}

func TestDeregisterOfWhoIsNotRegisteredIsNoError(t *testing.T) {
	t.Parallel()
	eachKind(t, allKinds, func(t *testing.T, w *world) {
		g := w.gateway(t, nil)
		deregister := func(identity string) bool {
			answer, err := g.Deregister(t.Context(), &patternsv1.DeregisterRequest{Identity: identity})
			require.NoError(t, err)
			return answer.GetDeregistered()
		}
		require.False(t, deregister("never"))
		g.register(t, "thermo", time.Minute)
		require.True(t, deregister("thermo"))
		require.False(t, deregister("thermo"))
		g.register(t, "thermo", time.Minute)
		w.advance(2 * time.Minute)
		require.False(t, deregister("thermo"), "it has expired")
	})
}

// TestKeyValueTTLIsUsed fails when keyvalue_ttl is accepted and unused.
func TestKeyValueTTLIsUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, live)
	g := w.gateway(t, nil)
	g.register(t, "thermo", time.Hour)
	left := func(key string) time.Duration {
		answer, err := w.slots.KeyValueTTL.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: key})
		require.NoError(t, err)
		require.True(t, answer.GetFound(), key)
		return answer.GetTtl().AsDuration()
	}
	require.InDelta(t, time.Hour, left("r/thermo"), float64(time.Minute))
	_, err := w.slots.KeyValueTTL.Expire(t.Context(), &keyvaluev1.ExpireRequest{Key: "r/thermo", Ttl: durationpb.New(time.Minute)})
	require.NoError(t, err)
	_, err = g.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "thermo"})
	require.NoError(t, err)
	require.InDelta(t, time.Hour, left("r/thermo"), float64(time.Minute), "a heartbeat keeps the record")
	require.InDelta(t, time.Hour, left("h/thermo"), float64(time.Minute))
	s := g.subscribe(t, "thermo", nil)
	require.InDelta(t, time.Hour, left("s/thermo"), float64(time.Minute))
	s.leave(t)

	// The record vanishes below a heartbeat.
	g.wire.before(func(m *rpc.Method, _ proto.Message) error {
		if m.Name == "Expire" {
			_, err := w.slots.KeyValueBasic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: "r/thermo"})
			return err
		}
		return nil
	})
	_, err = g.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "thermo"})
	requireNotRegistered(t, err)
}

func keys(t *testing.T, w *world) []string {
	t.Helper()
	var found []string
	require.NoError(t, w.slots.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{}, func(r *keyvaluev1.ScanKeysResponse) error {
		found = append(found, r.GetKey())
		return nil
	}))
	return found
}

// TestWithoutTTLWhatHasExpiredIsSwept shows that memory comes back from a registry that cannot expire keys.
func TestWithoutTTLWhatHasExpiredIsSwept(t *testing.T) {
	t.Parallel()
	for name, visit := range map[string]func(t *testing.T, g *gateway){
		"by Enumerate": func(t *testing.T, g *gateway) { require.Len(t, g.enumerate(t, `attributes.stays == "yes"`), 1) },
		"by Multicast": func(t *testing.T, g *gateway) {
			_, outcomes := g.multicast(t, "", "x")
			require.Len(t, outcomes, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, slotted{"swept", false, false, true})
			g := w.gateway(t, nil)
			g.register(t, "stays", 0, "stays", "yes")
			g.register(t, "goes", time.Minute)
			g.multicast(t, "", "kept", "goes")
			_, err := g.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "goes"})
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"r/stays", "r/goes", "h/goes"}, keys(t, w))
			record, err := g.service.records.record(t.Context(), "goes")
			require.NoError(t, err)

			w.advance(time.Minute + time.Second)
			visit(t, g)
			require.Len(t, keys(t, w), 3, "clocks may differ, so that it waits a little")
			w.advance(time.Minute)
			visit(t, g)
			require.Equal(t, []string{"r/stays"}, keys(t, w))
			require.Empty(t, inQueue(t, w, record.GetMailbox()), "its messages are dropped")
		})
	}
}

func TestWhatTheRequestMayHoldIsChecked(t *testing.T) {
	t.Parallel()
	g := newWorld(t, live).gateway(t, nil)
	for _, request := range []*patternsv1.RegisterRequest{
		{},
		{Identity: strings.Repeat("x", 513)},
		{Identity: "a\x00b"},
		{Identity: "a", Metadata: map[string]string{"Upper": ""}},
		{Identity: "a", Metadata: map[string]string{"a": strings.Repeat("x", 4097)}},
		{Identity: "a", Ttl: durationpb.New(time.Second - 1)},
		{Identity: "a", Ttl: durationpb.New(366 * 24 * time.Hour)},
	} {
		_, err := g.Register(t.Context(), request)
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%v", request)
	}
	longest := strings.Repeat("x", 512)
	g.register(t, longest, 365*24*time.Hour)
	require.Contains(t, g.enumerate(t, ""), longest)
}

func TestARegistrySlotWithOtherThingsIsToldSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, live)
	g := w.gateway(t, nil)
	_, err := w.slots.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "r/thermo", Value: []byte("\xff")})
	require.NoError(t, err)
	_, err = g.Heartbeat(t.Context(), &patternsv1.HeartbeatRequest{Identity: "thermo"})
	require.Equal(t, fault.Internal, fault.CodeOf(err))
	require.ErrorContains(t, err, `the registry slot holds something else under "r/thermo"`)
}
