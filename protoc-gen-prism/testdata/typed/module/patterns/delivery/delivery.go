// Package delivery is a pattern with a service, as an author writes it.
package delivery

import (
	"context"
	"errors"
	"io"

	"github.com/prismgate/prism/runtime/pattern"

	patternsv1 "example.org/shop/gen/shop/patterns/v1"
	"example.org/shop/gen/shop/patterns/v1/patternsrpc"
)

// Delivery is open.
type Delivery struct {
	patternsrpc.DeliveryOffers
	Closed bool
}

// Open opens it.
func Open(_ context.Context, env pattern.Env, _ *patternsv1.Delivery, slots patternsv1.DeliverySlots) (*Delivery, error) {
	return &Delivery{DeliveryOffers: patternsrpc.NewDeliveryOffers(slots.Stock.ShelfBasic, orders{env.Namespace})}, nil
}

// Close closes it.
func (d *Delivery) Close(context.Context) error {
	d.Closed = true
	return nil
}

// orders is the service.
type orders struct{ by string }

func (o orders) OrderAll(_ context.Context, receive func() (*patternsv1.OrderAllRequest, error)) (*patternsv1.OrderAllResponse, error) {
	var count uint32
	for {
		_, err := receive()
		if errors.Is(err, io.EOF) {
			return &patternsv1.OrderAllResponse{Count: count}, nil
		}
		if err != nil {
			return nil, err
		}
		count++
	}
}

func (o orders) Track(_ context.Context, request *patternsv1.TrackRequest, send func(*patternsv1.TrackResponse) error) error {
	return send(&patternsv1.TrackResponse{Place: request.GetThing() + " is here"})
}

func (o orders) Order(context.Context, *patternsv1.OrderRequest) (*patternsv1.OrderResponse, error) {
	return &patternsv1.OrderResponse{By: o.by}, nil
}
