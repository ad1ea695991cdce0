package cornershop

import (
	"context"

	backendsv1 "example.org/shop/gen/shop/backends/v1"
	tillv1 "example.org/shop/gen/shop/till/v1"
)

var _ backendsv1.CornerShopTill = (*till)(nil)

type till struct{ room *Room }

func (t *till) Watch(_ context.Context, _ *tillv1.WatchRequest, send func(*tillv1.WatchResponse) error) error {
	for n := range t.room.Goods() {
		if err := send(&tillv1.WatchResponse{Cents: uint64(n+1) * 100}); err != nil {
			return err
		}
	}
	return nil
}
