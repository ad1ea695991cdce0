package typed

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"

	"example.org/shop/backends/cornershop"
	"example.org/shop/gen/prism"
	"example.org/shop/gen/registry"
	backendsv1 "example.org/shop/gen/shop/backends/v1"
	patternsv1 "example.org/shop/gen/shop/patterns/v1"
	shelfv1 "example.org/shop/gen/shop/shelf/v1"
	tillv1 "example.org/shop/gen/shop/till/v1"
	"example.org/shop/gen/suites"
	"example.org/shop/gen/wiring"
)

func TestAnInvalidRequestDoesNotReachTheImplementation(t *testing.T) {
	room, shop := cornershop.NewRoom()
	basic := shop.Interfaces().ShelfBasic

	_, err := basic.Put(t.Context(), &shelfv1.PutRequest{})
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "name")
	require.Empty(t, room.Goods())

	_, err = basic.Put(t.Context(), &shelfv1.PutRequest{Name: "tea"})
	require.NoError(t, err)
	require.Equal(t, []string{"tea"}, room.Goods())
}

func TestABackendOffersWhatItDeclaresAndNothingElse(t *testing.T) {
	_, shop := cornershop.NewRoom()
	require.Equal(t, []string{"shelf_basic", "shelf_count", "till_basic"}, shop.Interfaces().Names())
	require.Nil(t, shop.Interfaces().TillRefund)
}

func TestHandlersServe(t *testing.T) {
	room, shop := cornershop.NewRoom()
	handlers := map[string]rpc.Handler{}
	for _, handler := range shop.Handlers() {
		handlers[handler.Method.Procedure] = handler
	}
	require.Len(t, handlers, 3)
	put := handlers["/shop.shelf.v1.ShelfBasicInterface/Put"]

	_, err := put.Call(t.Context(), &shelfv1.PutRequest{})
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%v", err)
	require.Empty(t, room.Goods())
	for _, name := range []string{"tea", "rice"} {
		_, err = put.Call(t.Context(), &shelfv1.PutRequest{Name: name})
		require.NoError(t, err)
	}
	response, err := handlers["/shop.shelf.v1.ShelfCountInterface/CountGoods"].Call(t.Context(), &shelfv1.CountGoodsRequest{})
	require.NoError(t, err)
	require.Equal(t, uint64(2), response.(*shelfv1.CountGoodsResponse).GetGoods())

	var paid stream
	require.NoError(t, handlers["/shop.till.v1.TillBasicInterface/Watch"].Serve(t.Context(), &paid))
	require.Equal(t, []uint64{100, 200}, paid.cents)
}

// stream is a call of Watch.
type stream struct{ cents []uint64 }

func (*stream) Receive(proto.Message) error { return nil }

func (s *stream) Send(response proto.Message) error {
	s.cents = append(s.cents, response.(*tillv1.WatchResponse).GetCents())
	return nil
}

func TestTheWiringOpensEveryBackend(t *testing.T) {
	known, err := registry.Catalog()
	require.NoError(t, err)
	types := wiring.Backends()
	require.Len(t, types, len(known.Backends()))
	for _, backendType := range types {
		declared, ok := known.Backend(backendType.Name)
		require.True(t, ok, backendType.Name)
		instance, err := backendType.Open(t.Context(), backend.Env{}, declared.NewConfig())
		require.NoError(t, err)
		interfaces, err := instance.Namespace(t.Context(), "orders")
		require.NoError(t, err)
		require.NotEmpty(t, interfaces.Handlers())
		require.NoError(t, instance.Close(t.Context()))
	}
	_, err = types[0].Open(t.Context(), backend.Env{}, &backendsv1.Stall{})
	require.ErrorContains(t, err, "it must be a shop.backends.v1.CornerShop")
}

func TestTheRegistryKnowsWhatTheSchemaSays(t *testing.T) {
	known, err := registry.Catalog()
	require.NoError(t, err)
	require.Len(t, known.Interfaces(), 4)
	count, ok := known.Interface("shelf_count")
	require.True(t, ok)
	require.Equal(t, []string{"shelf_basic"}, count.Requires)
	require.Equal(t, "/shop.shelf.v1.ShelfCountInterface/CountGoods", count.RPCs[0].Method.Procedure)
	shop, ok := known.Backend("corner-shop")
	require.True(t, ok)
	require.Equal(t, []string{"Shelf", "Till"}, shop.Models)
	require.Equal(t, []string{"shelf_basic", "shelf_count", "till_basic"}, shop.Implements)
	delivery, ok := known.Pattern("delivery")
	require.True(t, ok)
	require.Equal(t, "money", delivery.Slots[1].Name)
	require.Equal(t, []string{"till_basic", "till_refund"}, delivery.Slots[1].AnyOf)
	require.True(t, delivery.Slots[2].MayBeEmpty)
}

func TestTheSuitesRunWhatIsOffered(t *testing.T) {
	var names []string
	for _, suite := range suites.List() {
		names = append(names, suite.Interface)
	}
	require.Equal(t, []string{"shelf_basic", "shelf_count", "till_basic"}, names)
	opened := 0
	suites.Run(t, func(t *testing.T) *prism.Interfaces {
		opened++
		_, shop := cornershop.NewRoom()
		return shop.Interfaces().Only("shelf_basic", "shelf_count")
	})
	require.Equal(t, 3, opened, "once to see what is offered, and once for each suite")
}

func TestErrorsOfSendComeThrough(t *testing.T) {
	_, shop := cornershop.NewRoom()
	_, err := shop.Interfaces().ShelfBasic.Put(t.Context(), &shelfv1.PutRequest{Name: "tea"})
	require.NoError(t, err)
	gone := errors.New("the caller is gone")
	err = shop.Interfaces().TillBasic.Watch(t.Context(), &tillv1.WatchRequest{}, func(*tillv1.WatchResponse) error { return gone })
	require.Same(t, gone, err)
}

var _ backend.InstanceOf[backendsv1.CornerShopInterfaces] = (*cornershop.Shop)(nil)

var _ func(context.Context, backend.Env, *backendsv1.CornerShop) (*cornershop.Shop, error) = cornershop.Open

func TestConfigurationIsCheckedWhereItHasConstraints(t *testing.T) {
	known, err := registry.Catalog()
	require.NoError(t, err)
	shop, ok := known.Backend("corner-shop")
	require.True(t, ok)
	require.NoError(t, shop.Check(&backendsv1.CornerShop{}))
	require.NoError(t, shop.Check(&backendsv1.CornerShop{Key: &configv1.Secret{Source: &configv1.Secret_Env{Env: "KEY"}}}))
	err = shop.Check(&backendsv1.CornerShop{Key: &configv1.Secret{Source: &configv1.Secret_Env{}}})
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "key.env: must be 1 to 256 bytes")
	require.ErrorContains(t, shop.Check(&backendsv1.Stall{}), "must be a *backendsv1.CornerShop")

	stall, ok := known.Backend("stall")
	require.True(t, ok)
	require.Nil(t, stall.Check, "there is nothing to check")

	delivery, ok := known.Pattern("delivery")
	require.True(t, ok)
	require.ErrorContains(t, delivery.Check(&patternsv1.Delivery{Money: &configv1.Slot{}}), "money.filling: must be set")
}
