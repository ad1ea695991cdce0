package nats

import (
	"bytes"
	"context"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// CompareAndSwap stores a value if the one that is there is as expected.
func (k *keyValue) CompareAndSwap(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
	var response *keyvaluev1.CompareAndSwapResponse
	err := k.change(ctx, "nats.keyvalue.CompareAndSwap", request.GetKey(), false, func(found *entry, there bool) *entry {
		if request.Expected == nil != there && (!there || bytes.Equal(found.value, request.GetExpected())) {
			response = &keyvaluev1.CompareAndSwapResponse{Swapped: true, Current: present(request.GetValue())}
			return &entry{value: request.GetValue()}
		}
		response = &keyvaluev1.CompareAndSwapResponse{}
		if there {
			response.Current = present(found.value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// CompareAndDelete removes a key if its value is as expected.
func (k *keyValue) CompareAndDelete(ctx context.Context, request *keyvaluev1.CompareAndDeleteRequest) (*keyvaluev1.CompareAndDeleteResponse, error) {
	var response *keyvaluev1.CompareAndDeleteResponse
	err := k.change(ctx, "nats.keyvalue.CompareAndDelete", request.GetKey(), false, func(found *entry, there bool) *entry {
		if !there {
			response = &keyvaluev1.CompareAndDeleteResponse{}
			return nil
		}
		if !bytes.Equal(found.value, request.GetExpected()) {
			response = &keyvaluev1.CompareAndDeleteResponse{Current: present(found.value)}
			return nil
		}
		response = &keyvaluev1.CompareAndDeleteResponse{Deleted: true}
		return &entry{removed: true}
	})
	if err != nil {
		return nil, err
	}
	return response, nil
}

// present makes a value that is there of one that may be nil.
func present(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
