package typed

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/rpc"

	"example.org/shop/backends/cornershop"
	"example.org/shop/gen/prism"
	"example.org/shop/gen/registry"
	patternsv1 "example.org/shop/gen/shop/patterns/v1"
	"example.org/shop/gen/shop/patterns/v1/patternsrpc"
	"example.org/shop/gen/wiring"
	"example.org/shop/patterns/delivery"
)

// opened is the pattern as the gateway opens it.
func opened(t *testing.T, fillings map[string]backend.Interfaces) (pattern.Instance, error) {
	t.Helper()
	patterns := wiring.Patterns()
	require.Len(t, patterns, 1)
	require.Equal(t, "delivery", patterns[0].Name)
	return patterns[0].Open(t.Context(), pattern.Env{Namespace: "home"}, &patternsv1.Delivery{}, fillings)
}

func TestAnOpenPatternIsServedBehindItsGuards(t *testing.T) {
	room, shop := cornershop.NewRoom()
	instance, err := opened(t, map[string]backend.Interfaces{"stock": shop, "money": shop})
	require.NoError(t, err)
	conn := rpc.InProcess(instance.Handlers())

	orders := patternsrpc.NewDeliveryServiceClient(conn)
	answer, err := orders.Order(t.Context(), &patternsv1.OrderRequest{Thing: "tea"})
	require.NoError(t, err)
	require.Equal(t, "home", answer.GetBy())
	var place string
	require.NoError(t, orders.Track(t.Context(), &patternsv1.TrackRequest{Thing: "tea"}, func(r *patternsv1.TrackResponse) error {
		place = r.GetPlace()
		return nil
	}))
	require.Equal(t, "tea is here", place)
	all, err := orders.OrderAll(t.Context(), things("tea", "milk"))
	require.NoError(t, err)
	require.Equal(t, uint32(2), all.GetCount())

	_, err = orders.Order(t.Context(), &patternsv1.OrderRequest{})
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	_, err = orders.OrderAll(t.Context(), things("tea", ""))
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "each request of a stream is checked")
	err = orders.Track(t.Context(), &patternsv1.TrackRequest{}, nil)
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))

	_ = room
	require.Equal(t, []string{"shelf_basic"}, instance.(*delivery.Delivery).Interfaces().Names())
	require.NotNil(t, prism.From(instance.(rpc.Offering)).ShelfBasic, "it can fill a slot itself")
	require.NoError(t, instance.Close(t.Context()))
	require.True(t, instance.(*delivery.Delivery).Closed)
}

// things are requests of OrderAll.
func things(names ...string) func() (*patternsv1.OrderAllRequest, error) {
	return func() (*patternsv1.OrderAllRequest, error) {
		if len(names) == 0 {
			return nil, io.EOF
		}
		name := names[0]
		names = names[1:]
		return &patternsv1.OrderAllRequest{Thing: name}, nil
	}
}

// foreign stands for a set of another module: another type that offers the same contracts.
type foreign struct{ set *prism.Interfaces }

func (f foreign) Handlers() []rpc.Handler { return f.set.Handlers() }

func (f foreign) Interface(name string) any { return f.set.Interface(name) }

func TestASetOfAnotherModuleFillsASlot(t *testing.T) {
	instance, err := opened(t, map[string]backend.Interfaces{"stock": foreign{everything()}, "money": foreign{everything()}, "neighbour": foreign{everything()}})
	require.NoError(t, err)
	require.Len(t, instance.Handlers(), 3+len(everything().Only("shelf_basic").Handlers()))

	_, err = opened(t, map[string]backend.Interfaces{"stock": foreign{everything().Only("shelf_basic")}, "money": foreign{everything()}})
	require.EqualError(t, err, "FAILED_PRECONDITION: pattern delivery: slot stock needs shelf_count; what fills it does not offer that; fill it with a backend or a pattern that does")
	_, err = opened(t, nil)
	require.ErrorContains(t, err, "pattern delivery: slot stock is empty; fill it with a backend or a pattern that offers shelf_basic and shelf_count\npattern delivery: slot money is empty")
}

func TestTheRegistryKnowsThePatternsService(t *testing.T) {
	known, err := registry.Catalog()
	require.NoError(t, err)
	found, ok := known.Pattern("delivery")
	require.True(t, ok)
	require.Len(t, found.Services, 1)
	service := found.Services[0]
	require.Equal(t, "shop.patterns.v1.DeliveryService", service.Name)
	require.Equal(t, "DeliveryService takes orders.", service.Doc)
	for n, m := range patternsrpc.DeliveryServiceMethods() {
		require.Same(t, m, service.RPCs[n].Method)
		require.Equal(t, m.Name, service.RPCs[n].Name)
		require.NotEmpty(t, service.RPCs[n].Doc)
		require.Empty(t, m.Interface)
	}
	require.NotNil(t, found.Check)
}
