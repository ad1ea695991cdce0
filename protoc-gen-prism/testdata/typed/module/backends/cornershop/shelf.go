package cornershop

import (
	"context"

	backendsv1 "example.org/shop/gen/shop/backends/v1"
	shelfv1 "example.org/shop/gen/shop/shelf/v1"
)

var _ backendsv1.CornerShopShelf = (*shelf)(nil)

type shelf struct{ room *Room }

func (s *shelf) Put(_ context.Context, request *shelfv1.PutRequest) (*shelfv1.PutResponse, error) {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.goods = append(s.room.goods, request.GetName())
	return &shelfv1.PutResponse{}, nil
}

func (s *shelf) CountGoods(context.Context, *shelfv1.CountGoodsRequest) (*shelfv1.CountGoodsResponse, error) {
	return &shelfv1.CountGoodsResponse{Goods: uint64(len(s.room.Goods()))}, nil
}
