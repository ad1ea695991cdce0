package load

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/plan"
	"github.com/prismgate/prism/runtime/rpc"
)

// served is a real gateway that counts the calls that ended well.
type served struct {
	address string
	ok      atomic.Int64
}

func serve(t *testing.T, address string) *served {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	s := new(served)
	count := func(next rpc.ServeFunc) rpc.ServeFunc {
		return func(ctx context.Context, c *rpc.Call, stream rpc.Stream) error {
			err := next(ctx, c, stream)
			if err == nil {
				s.ok.Add(1)
			}
			return err
		}
	}
	planned, err := plan.Make(new(configv1.Config), known)
	require.NoError(t, err)
	g := gateway.New(t.Context(), gateway.Options{Catalog: known, Backends: wiring.Backends(), Steps: []rpc.Middleware{count}, Log: log})
	require.NoError(t, g.Apply(t.Context(), planned, 0))
	listener, err := listen.Open(t.Context(), address)
	require.NoError(t, err)
	server := front.NewServer(g.Routes(health.NewState(gateway.Services(known)...)), front.ServerOptions{Log: log})
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
		_ = g.Close(context.WithoutCancel(t.Context()))
	})
	s.address = listener.Addr().String()
	if listener.Addr().Network() == "unix" {
		s.address = address
	}
	return s
}

func method(t *testing.T, owner, name string) *rpc.Method {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	i, ok := known.Interface(owner)
	require.True(t, ok)
	for _, r := range i.RPCs {
		if r.Name == name {
			return r.Method
		}
	}
	require.FailNow(t, "no such RPC", "%s.%s", owner, name)
	return nil
}

// encoder makes messages of JSON.
func encoder(m *rpc.Method) func(string) ([]byte, error) {
	return func(text string) ([]byte, error) {
		request := m.NewRequest()
		if err := protojson.Unmarshal([]byte(text), request); err != nil {
			return nil, err
		}
		return proto.MarshalOptions{Deterministic: true}.Marshal(request)
	}
}

func template(t *testing.T, owner, name, text string, keys Keys) *Template {
	t.Helper()
	m := method(t, owner, name)
	made, err := NewTemplate(m, text, keys, encoder(m))
	require.NoError(t, err)
	return made
}

// timeout is how long a server of a test may be silent: long, since these machines are busy.
const timeout = time.Minute

func newPlan(keys Keys, mix ...Share) *Plan {
	return &Plan{
		Mix: mix, Keys: keys, Protocol: GRPC, Header: []Field{Namespace("default")},
		Connections: 3, Streams: 5, Calls: 500, Timeout: timeout, WindowBits: 30, ConnectionWindowBits: 30,
	}
}

func get(t *testing.T, keys Keys) Share {
	return Share{template(t, "keyvalue_basic", "Get", `{"key": "{{key}}"}`, keys), 1}
}

func target(t *testing.T, address string) *Target {
	t.Helper()
	parsed, err := ParseAddress(address)
	require.NoError(t, err)
	return &Target{Address: parsed}
}

// mustRun runs a plan of which nothing may fail.
func mustRun(t *testing.T, plan *Plan, to *Target) *Sample {
	t.Helper()
	s, err := Run(t.Context(), plan, to, nil)
	require.NoError(t, err)
	require.Empty(t, s.Failures)
	require.Equal(t, s.Calls, s.OK)
	return s
}
