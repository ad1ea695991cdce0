package typed

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/fault"

	"example.org/shop/backends/cornershop"
	"example.org/shop/gen/prism"
	patternsv1 "example.org/shop/gen/shop/patterns/v1"
)

func everything() *prism.Interfaces {
	_, shop := cornershop.NewRoom()
	return shop.Interfaces()
}

func TestSlotsHoldWhatFillsThem(t *testing.T) {
	stock, money, neighbour := everything(), everything(), everything().Only("shelf_basic")
	slots, err := patternsv1.NewDeliverySlots(stock, money, neighbour)
	require.NoError(t, err)
	require.Same(t, stock, slots.Stock.Interfaces)
	require.Equal(t, stock.ShelfBasic, slots.Stock.ShelfBasic)
	require.Equal(t, stock.ShelfCount, slots.Stock.ShelfCount)
	require.Equal(t, money.TillBasic, slots.Money.TillBasic)
	require.Nil(t, slots.Money.TillRefund, "one of any_of is enough")
	require.Equal(t, neighbour.ShelfBasic, slots.Neighbour.ShelfBasic)
	require.Nil(t, slots.Neighbour.ShelfCount, "an optional interface may be missing")
}

func TestASlotThatMayBeEmptyIsNil(t *testing.T) {
	slots, err := patternsv1.NewDeliverySlots(everything(), everything(), nil)
	require.NoError(t, err)
	require.Nil(t, slots.Neighbour)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	const instead = "; fill it with a backend or a pattern that does"
	for name, test := range map[string]struct {
		stock, money, neighbour *prism.Interfaces
		want                    string
	}{
		"a required interface": {
			everything().Only("shelf_basic"), everything(), nil,
			"pattern delivery: slot stock needs shelf_count; what fills it does not offer that" + instead,
		},
		"every one of any_of": {
			everything(), everything().Only("shelf_basic"), nil,
			"pattern delivery: slot money needs one of till_basic and till_refund; what fills it offers none of them" + instead,
		},
		"what fills a mandatory slot": {
			nil, everything(), nil,
			"pattern delivery: slot stock is empty; fill it with a backend or a pattern that offers shelf_basic and shelf_count",
		},
		"a required interface of a slot that might have been empty": {
			everything(), everything(), everything().Only("till_basic"),
			"pattern delivery: slot neighbour needs shelf_basic; what fills it does not offer that" + instead,
		},
		"much at once": {
			&prism.Interfaces{}, nil, nil,
			"pattern delivery: slot stock needs shelf_basic; what fills it does not offer that" + instead + "\n" +
				"pattern delivery: slot stock needs shelf_count; what fills it does not offer that" + instead + "\n" +
				"pattern delivery: slot money is empty; fill it with a backend or a pattern that offers one of till_basic and till_refund",
		},
	} {
		t.Run(name, func(t *testing.T) {
			slots, err := patternsv1.NewDeliverySlots(test.stock, test.money, test.neighbour)
			require.Equal(t, patternsv1.DeliverySlots{}, slots)
			var failed *fault.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, fault.FailedPrecondition, failed.Code)
			require.Equal(t, test.want, failed.Message)
		})
	}
}
