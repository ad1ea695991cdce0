package provider_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/gen/go/prism"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/internal/testgateway"
	"github.com/prismgate/prism/internal/testrace"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/provider"
)

// raced are the interfaces whose suites the race detector sees through a gateway: unary calls, calls that wait, streams that end and streams that do not. What passes bytes on does not know
// one procedure from another.
var raced = []string{"keyvalue_basic", "keyvalue_scan", "pubsub_basic", "queue_basic"}

// TestConformanceThroughAGateway runs the suites on clients of a gateway whose backend is at a provider: bytes pass the gateway as they are, where the protocol allows it. Under the race
// detector, where all of them are ten times the work, it is those of a few.
func TestConformanceThroughAGateway(t *testing.T) {
	address := serve(t).address
	declared, ok := known(t).Backend("memstore")
	require.True(t, ok)
	offered := declared.Implements
	if testrace.Enabled {
		offered = raced
	}
	config := &configv1.Config{Backends: []*configv1.BackendInstance{{Name: "m", Type: "memstore"}}}
	for i := range 1000 {
		config.Namespaces = append(config.Namespaces, &configv1.Namespace{Name: strconv.Itoa(i), Backend: "m"})
	}
	elsewhere := backend.Type{Name: "memstore", Open: func(ctx context.Context, env backend.Env, config proto.Message) (backend.Instance, error) {
		o := optionsFor(t, address)
		o.Env, o.Config = env, config
		return provider.Open(ctx, o)
	}}
	s := testgateway.StartWith(t, testgateway.Options{Config: config, Backends: []backend.Type{elsewhere}})
	c := testgateway.Dial(t, testgateway.Address(s))
	var next atomic.Int64
	suites.Run(t, func(t *testing.T) *prism.Interfaces {
		t.Helper()
		i := next.Add(1)
		require.Less(t, i, int64(1000))
		return prism.Clients(c.Conn(strconv.FormatInt(i, 10)), offered...)
	})
}
