package memstore

import (
	"bytes"
	"context"
	"strconv"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// Increment swaps until nobody was faster.
func (k *keyValue) Increment(ctx context.Context, request *keyvaluev1.IncrementRequest) (*keyvaluev1.IncrementResponse, error) {
	for {
		got, err := k.Get(ctx, &keyvaluev1.GetRequest{Key: request.GetKey()})
		if err != nil {
			return nil, err
		}
		sum := int64(request.GetBy())
		swap := &keyvaluev1.CompareAndSwapRequest{Key: request.GetKey()}
		if got.GetFound() {
			value, err := strconv.ParseInt(string(bytes.TrimSpace(got.GetValue())), 10, 64)
			if err != nil {
				return nil, fault.New(fault.FailedPrecondition, "the value under the key is not a decimal number")
			}
			sum += value
			swap.Expected = got.GetValue()
		}
		swap.Value = strconv.AppendInt(nil, sum, 10)
		swapped, err := k.CompareAndSwap(ctx, swap)
		if err != nil {
			return nil, err
		}
		if swapped.GetSwapped() {
			return &keyvaluev1.IncrementResponse{Value: sum}, nil
		}
	}
}
