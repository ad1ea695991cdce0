package multicastregistry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/gen/go/prism/patterns/v1/patternsrpc"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/rpc"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	patternsv1 "github.com/prismgate/prism/gen/go/prism/patterns/v1"
	"github.com/prismgate/prism/runtime/backend"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// slotted says what the slots of a world offer.
type slotted struct {
	name                     string
	ttl, persistent, durable bool
}

// The three ways in which the slots keep messages. The registry has keyvalue_ttl in one of them.
var (
	queueing = slotted{"durability", true, true, true} // with pubsub_persistent too, which must not get in the way
	keeping  = slotted{"pubsub_persistent", false, true, false}
	live     = slotted{"live", true, false, false}
)

// world is slots on one MemStore, and a clock, that several gateways share.
type world struct {
	slotted
	slots *prism.Interfaces
	ahead atomic.Int64 // how much the clock is ahead of the real one
}

func newWorld(t *testing.T, kind slotted) *world {
	t.Helper()
	store, err := memstore.Open(t.Context(), backend.Env{}, &backendsv1.MemStore{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	offered, err := store.Namespace(t.Context(), "iot-devices")
	require.NoError(t, err)
	return &world{slotted: kind, slots: offered.Interfaces()}
}

// eachKind runs a test with each kind of slots.
func eachKind(t *testing.T, kinds []slotted, test func(t *testing.T, w *world)) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, kind))
		})
	}
}

var allKinds = []slotted{queueing, keeping, live}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) advance(d time.Duration) { w.ahead.Add(int64(d)) }

// gateway is one instance of the pattern in a world.
type gateway struct {
	patternsrpc.MulticastRegistryService
	service *service
	wire    *wire
}

// gateway opens an instance. Change may change what is configured; it may be nil.
func (w *world) gateway(t *testing.T, change func(*patternsv1.MulticastRegistry)) *gateway {
	t.Helper()
	g := &gateway{wire: &wire{}}
	g.wire.alive, g.wire.kill = context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(g.wire.kill)
	g.wire.next = rpc.InProcess(w.slots.Handlers())
	names := func(names []string, optional bool, name string) []string {
		if optional {
			return append(names, name)
		}
		return names
	}
	registry := prism.Clients(g.wire, names([]string{"keyvalue_basic", "keyvalue_scan"}, w.ttl, "keyvalue_ttl")...)
	messaging := prism.Clients(g.wire, names([]string{"pubsub_basic"}, w.persistent, "pubsub_persistent")...)
	var durability *prism.Interfaces
	if w.durable {
		durability = prism.Clients(g.wire, "queue_basic", "queue_visibility", "queue_dead_letter")
	}
	slots, err := patternsv1.NewMulticastRegistrySlots(registry, messaging, durability)
	require.NoError(t, err)
	config := &patternsv1.MulticastRegistry{}
	if change != nil {
		change(config)
	}
	require.NoError(t, patternsrpc.CheckMulticastRegistry(config))
	g.service, err = newService(pattern.Env{Namespace: "iot-devices", Log: slog.New(slog.DiscardHandler)}, config, slots)
	require.NoError(t, err)
	g.service.now = w.now
	g.MulticastRegistryService = patternsrpc.NewMulticastRegistryServiceClient(rpc.InProcess(patternsrpc.NewMulticastRegistryOffers(g.service).Handlers()))
	return g
}

// wire is a gateway's connection to its slots. It can be made to fail, to tell what passes, and be cut as if the gateway had been killed.
type wire struct {
	next  rpc.Conn
	alive context.Context
	kill  context.CancelFunc
	hooks atomic.Pointer[hooks]
}

// hooks are called around unary calls of slots. An error of before fails the call instead; after may be nil.
type hooks struct {
	before func(m *rpc.Method, request proto.Message) error
	after  func()
}

func (w *wire) before(hook func(m *rpc.Method, request proto.Message) error) {
	w.hooks.Store(&hooks{before: hook})
}

func (w *wire) Invoke(ctx context.Context, m *rpc.Method, request, response proto.Message) error {
	if w.alive.Err() != nil {
		return fault.New(fault.Unavailable, "the gateway was killed")
	}
	if hooks := w.hooks.Load(); hooks != nil {
		if err := hooks.before(m, request); err != nil {
			return err
		}
		if hooks.after != nil {
			defer hooks.after()
		}
	}
	return w.next.Invoke(ctx, m, request, response)
}

func (w *wire) Open(ctx context.Context, m *rpc.Method) (rpc.ClientCall, error) {
	if w.alive.Err() != nil {
		return nil, fault.New(fault.Unavailable, "the gateway was killed")
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.alive, cancel)
	call, err := w.next.Open(ctx, m)
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	return cutCall{call, func() { stop(); cancel() }}, nil
}

type cutCall struct {
	rpc.ClientCall
	end func()
}

func (c cutCall) Close() error {
	defer c.end()
	return c.ClientCall.Close()
}

// failing makes unary calls of one RPC fail where matches says so.
func failing(name string, matches func(proto.Message) bool) func(*rpc.Method, proto.Message) error {
	return func(m *rpc.Method, request proto.Message) error {
		if m.Name == name && matches(request) {
			return fault.New(fault.Unavailable, "the test lets %s fail", name)
		}
		return nil
	}
}

func (g *gateway) register(t *testing.T, identity string, ttl time.Duration, pairs ...string) {
	t.Helper()
	request := &patternsv1.RegisterRequest{Identity: identity, Metadata: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		request.Metadata[pairs[i]] = pairs[i+1]
	}
	if ttl > 0 {
		request.Ttl = durationpb.New(ttl)
	}
	_, err := g.Register(t.Context(), request)
	require.NoError(t, err)
}

// enumerate returns the identities that satisfy a filter.
func (g *gateway) enumerate(t *testing.T, filter string) map[string]*patternsv1.EnumerateResponse {
	t.Helper()
	found := make(map[string]*patternsv1.EnumerateResponse)
	err := g.Enumerate(t.Context(), &patternsv1.EnumerateRequest{Filter: filter}, func(r *patternsv1.EnumerateResponse) error {
		found[r.GetIdentity()] = r
		return nil
	})
	require.NoError(t, err)
	return found
}

// multicast sends a text and returns the response and the outcomes by identity.
func (g *gateway) multicast(t *testing.T, filter, text string, identities ...string) (*patternsv1.MulticastResponse, map[string]patternsv1.MulticastOutcome) {
	t.Helper()
	response, err := g.Multicast(t.Context(), &patternsv1.MulticastRequest{Filter: filter, Payload: []byte(text), Identities: identities})
	require.NoError(t, err)
	outcomes := make(map[string]patternsv1.MulticastOutcome)
	for _, recipient := range response.GetRecipients() {
		require.NotContains(t, outcomes, recipient.GetIdentity(), "one outcome for each")
		require.Equal(t, recipient.GetOutcome() == failedOutcome, recipient.GetReason() != "")
		outcomes[recipient.GetIdentity()] = recipient.GetOutcome()
	}
	require.Len(t, outcomes, int(response.GetMatched()))
	require.Equal(t, response.GetMatched(), response.GetPublished()+response.GetQueued()+response.GetFailed())
	return response, outcomes
}

const (
	published     = patternsv1.MulticastOutcome_MULTICAST_OUTCOME_PUBLISHED
	queuedOutcome = patternsv1.MulticastOutcome_MULTICAST_OUTCOME_QUEUED
	failedOutcome = patternsv1.MulticastOutcome_MULTICAST_OUTCOME_FAILED
)

// subscriber reads a stream. While it is paused, its client takes nothing.
type subscriber struct {
	messages chan *patternsv1.MulticastMessage
	missed   atomic.Uint64
	cancel   context.CancelFunc
	over     chan struct{}
	err      error
	reading  sync.Mutex // held while it is paused
}

// subscribe begins a stream and waits until it is active.
func (g *gateway) subscribe(t *testing.T, identity string, change func(*patternsv1.SubscribeRequest)) *subscriber {
	t.Helper()
	request := &patternsv1.SubscribeRequest{Identity: identity}
	if change != nil {
		change(request)
	}
	s := &subscriber{messages: make(chan *patternsv1.MulticastMessage, 10_000), over: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	active := make(chan struct{})
	go func() {
		defer close(s.over)
		first := true
		s.err = g.Subscribe(ctx, request, func(response *patternsv1.SubscribeResponse) error {
			s.reading.Lock()
			defer s.reading.Unlock()
			switch {
			case response.GetSubscribed() != nil && first:
				close(active)
			case first || response.GetSubscribed() != nil:
				return fmt.Errorf("the first message, and no other, must be Subscribed, is %v", response)
			case response.GetMissed() != nil:
				s.missed.Add(response.GetMissed().GetCount())
			default:
				s.messages <- response.GetMessage()
			}
			first = false
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-s.over
	})
	select {
	case <-active:
	case <-s.over:
		require.NoError(t, s.err, "the stream ended before it was active")
		require.FailNow(t, "the stream ended before it was active")
	case <-time.After(patience):
		require.FailNow(t, "the stream is not active")
	}
	return s
}

func acknowledging(request *patternsv1.SubscribeRequest) { request.Acknowledge = true }

// next returns the next message.
func (s *subscriber) next(t *testing.T) *patternsv1.MulticastMessage {
	t.Helper()
	select {
	case m := <-s.messages:
		return m
	case <-s.over:
		select {
		case m := <-s.messages:
			return m
		default:
		}
		require.FailNow(t, "the stream is over", "%v", s.err)
	case <-time.After(patience):
		require.FailNow(t, "no message came")
	}
	return nil
}

// texts returns the payloads of the next n messages.
func (s *subscriber) texts(t *testing.T, n int) []string {
	t.Helper()
	var texts []string
	for range n {
		texts = append(texts, string(s.next(t).GetPayload()))
	}
	return texts
}

// quiet tells that no message is there.
func (s *subscriber) quiet(t *testing.T) {
	t.Helper()
	select {
	case m := <-s.messages:
		require.FailNow(t, "a message that must not come", "%s", m.GetPayload())
	default:
	}
}

// ends waits until the stream is over and returns its error.
func (s *subscriber) ends(t *testing.T) error {
	t.Helper()
	select {
	case <-s.over:
		return s.err
	case <-time.After(patience):
		require.FailNow(t, "the stream does not end")
		return nil
	}
}

// leave ends the stream as a client that goes away does.
func (s *subscriber) leave(t *testing.T) {
	t.Helper()
	s.cancel()
	require.Equal(t, fault.Canceled, fault.CodeOf(s.ends(t)))
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	require.Eventually(t, holds, patience, 5*time.Millisecond, what)
}
