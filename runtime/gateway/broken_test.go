package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/gen/go/prism/keyvalue/v1/keyvaluerpc"
	"github.com/prismgate/prism/gen/go/registry"
	"github.com/prismgate/prism/gen/go/wiring"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/pattern"
)

// secret is what a panic of a driver might tell.
const secret = "password=hunter2"

// loggedGateway is a gateway on some code, and its log.
func loggedGateway(t *testing.T, backends []backend.Type, patterns []pattern.Type) (*gateway.Gateway, *strings.Builder) {
	t.Helper()
	known, err := registry.Catalog()
	require.NoError(t, err)
	log := new(strings.Builder)
	g := gateway.New(t.Context(), gateway.Options{Catalog: known, Backends: backends, Patterns: patterns, Log: slog.New(slog.NewTextHandler(log, nil))})
	return g, log
}

// onPattern is a configuration whose namespace n is also served by a pattern.
func onPattern() *configv1.Config {
	slot := func() *configv1.Slot { return &configv1.Slot{Filling: &configv1.Slot_Backend{Backend: "m"}} }
	return &configv1.Config{
		Backends:   []*configv1.BackendInstance{{Name: "m", Type: "memstore"}},
		Namespaces: []*configv1.Namespace{{Name: "n", Pattern: "multicast-registry", Slots: map[string]*configv1.Slot{"registry": slot(), "messaging": slot()}}},
	}
}

// A defect in one backend or pattern must not end the gateway, which serves others.
func TestCodeThatPanicsWhenItIsOpenedChangesNothing(t *testing.T) {
	panics := func(context.Context, pattern.Env, proto.Message, map[string]backend.Interfaces) (pattern.Instance, error) {
		panic(secret)
	}
	g, log := loggedGateway(t, wiring.Backends(), []pattern.Type{{Name: "multicast-registry", Open: panics}})
	apply(t, g, onMemStore("m", nil), 0)
	c := &conn{gateway: g, namespace: "n"}
	set(t, c, "a", "kept")
	err := g.Apply(t.Context(), planOf(t, onPattern()), 0)
	require.ErrorContains(t, err, `namespace "n": it panicked with a string`)
	value, err := get(t, c, "a")
	require.NoError(t, err)
	require.Equal(t, "kept", value)
	require.NoError(t, g.Close(t.Context()))
	require.Contains(t, log.String(), "broken_test.go", "the log has the stack")
	require.NotContains(t, log.String(), secret)
}

func TestABackendThatPanicsWhenItIsOpenedIsAnError(t *testing.T) {
	for name, opens := range map[string]func() (backend.Instance, error){
		"open":      func() (backend.Instance, error) { panic(secret) },
		"namespace": func() (backend.Instance, error) { return panicsAtNamespace{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			g, log := loggedGateway(t, []backend.Type{{Name: "memstore", Open: func(context.Context, backend.Env, proto.Message) (backend.Instance, error) { return opens() }}}, nil)
			err := g.Apply(t.Context(), planOf(t, onMemStore("m", nil)), 0)
			require.ErrorContains(t, err, "it panicked with a string")
			require.NoError(t, g.Close(t.Context()))
			require.NotContains(t, log.String(), secret)
		})
	}
}

type panicsAtNamespace struct{ handlers }

func (panicsAtNamespace) Namespace(context.Context, string) (backend.Interfaces, error) {
	panic(secret)
}

func TestWhatPanicsWhenItIsClosedKeepsNothingOpen(t *testing.T) {
	var closed int
	store := closes{nil, func(context.Context) error { closed++; panic(secret) }}
	g, log := loggedGateway(t, []backend.Type{scripted(store)}, []pattern.Type{{
		Name: "multicast-registry",
		Open: func(context.Context, pattern.Env, proto.Message, map[string]backend.Interfaces) (pattern.Instance, error) {
			return panicsAtClose{}, nil
		},
	}})
	apply(t, g, onPattern(), 0)
	require.NoError(t, g.Close(t.Context()))
	require.Equal(t, 1, closed)
	require.Contains(t, log.String(), `namespace \"n\": close: it panicked with a string`)
	require.Contains(t, log.String(), `backend \"m\": close: it panicked with a string`)
	require.NotContains(t, log.String(), secret)
}

type panicsAtClose struct{ handlers }

func (panicsAtClose) Close(context.Context) error { panic(secret) }

func TestACallThatPanicsIsOver(t *testing.T) {
	g := newGateway(t, scripted(handlers(keyvaluerpc.BasicHandlers(broken{})))) // it has no Get
	apply(t, g, onMemStore("m", &configv1.NamespaceLimits{MaxConcurrentCalls: 1}), 0)
	c := &conn{gateway: g, namespace: "n"}
	for range 2 {
		require.Panics(t, func() { _, _ = get(t, c, "a") }, "no call is under way any more")
	}
	g.InFlight(func(_ string, calls int64) { require.Zero(t, calls) })
}

// Whoever gives up must be able to leave in order.
func TestWhatWasOpenedIsClosedInOrderWhenTheCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	closed := errors.New("not closed")
	first := true
	g := newGateway(t, backend.Type{Name: "memstore", Open: func(ctx context.Context, _ backend.Env, _ proto.Message) (backend.Instance, error) {
		if first {
			first = false
			return closes{nil, func(ctx context.Context) error { closed = ctx.Err(); return nil }}, nil
		}
		cancel()
		return nil, ctx.Err()
	}})
	config := onMemStore("m", nil)
	config.Backends = append(config.Backends, &configv1.BackendInstance{Name: "second", Type: "memstore"})
	config.Namespaces = append(config.Namespaces, &configv1.Namespace{Name: "second", Backend: "second"})
	require.ErrorIs(t, g.Apply(ctx, planOf(t, config), 0), context.Canceled)
	require.NoError(t, closed)
}
