package testroutes

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/client"
	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/runtime/rpc"
)

// namespaces is how many namespaces a route has to give away: more than all suites open.
const namespaces = 1000

// gateways serves the instance with some gateways, which start at once, and calls them in turn.
func gateways(t *testing.T, s subject, n int, options ...client.Option) opener {
	t.Helper()
	config := &configv1.Config{Backends: []*configv1.BackendInstance{s.instance}}
	run := rand.Text()
	name := func(i int64) string { return fmt.Sprintf("%s-%d", run, i) }
	for i := range int64(namespaces) {
		config.Namespaces = append(config.Namespaces, &configv1.Namespace{Name: name(i), Backend: s.instance.GetName()})
	}
	addresses := make([]string, n)
	var starting sync.WaitGroup
	for i := range addresses {
		starting.Go(func() { addresses[i] = testgateway.Start(t, config) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var clients []*client.Client
	for _, address := range addresses {
		clients = append(clients, testgateway.Dial(t, address, options...))
	}
	var next atomic.Int64
	return func(t *testing.T) *prism.Interfaces {
		t.Helper()
		i := next.Add(1) - 1
		require.Less(t, i, int64(namespaces), "the suites open more namespaces than a route has; raise the number")
		turns := &turns{}
		for _, c := range clients {
			turns.conns = append(turns.conns, c.Conn(name(i)))
		}
		return prism.Clients(turns, s.backend.Implements...)
	}
}

// turns makes each call on the connection whose turn it is. A subscription is ended where it was begun: its id may be bound to the gateway that serves its stream, as the contract allows.
type turns struct {
	conns []rpc.Conn
	calls atomic.Uint64
	// subscribed holds the connection of each subscription by its id.
	subscribed sync.Map
}

func (c *turns) next() rpc.Conn { return c.conns[(c.calls.Add(1)-1)%uint64(len(c.conns))] }

// Invoke makes a unary call.
func (c *turns) Invoke(ctx context.Context, m *rpc.Method, request, response proto.Message) error {
	conn := c.next()
	if unsubscribe, ok := request.(*pubsubv1.UnsubscribeRequest); ok {
		if bound, ok := c.subscribed.Load(unsubscribe.GetSubscriptionId()); ok {
			conn = bound.(rpc.Conn)
		}
	}
	return conn.Invoke(ctx, m, request, response)
}

// Open starts a stream.
func (c *turns) Open(ctx context.Context, m *rpc.Method) (rpc.ClientCall, error) {
	conn := c.next()
	call, err := conn.Open(ctx, m)
	if err != nil {
		return nil, err
	}
	return &stream{call, c, conn}, nil
}

// stream remembers where a subscription's id came from.
type stream struct {
	rpc.ClientCall
	turns *turns
	conn  rpc.Conn
}

// Receive reads the next response.
func (s *stream) Receive(response proto.Message) error {
	err := s.ClientCall.Receive(response)
	if first, ok := response.(interface{ GetSubscribed() *pubsubv1.Subscribed }); ok && err == nil && first.GetSubscribed() != nil {
		s.turns.subscribed.Store(first.GetSubscribed().GetSubscriptionId(), s.conn)
	}
	return err
}
