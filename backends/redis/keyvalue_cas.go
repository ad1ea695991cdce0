package redis

import (
	"context"
	_ "embed"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

var (
	//go:embed lua/keyvalue_swap.lua
	swapText string
	//go:embed lua/keyvalue_remove.lua
	removeText string

	swapScript   = newScript(swapText)
	removeScript = newScript(removeText)
)

// CompareAndSwap stores a value if the key is as expected.
func (k *keyValue) CompareAndSwap(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
	arguments := []any{request.GetKey(), request.GetValue()}
	if request.Expected != nil {
		arguments = append(arguments, request.GetExpected())
	}
	done, current, err := k.compare(ctx, "redis.keyvalue.CompareAndSwap", swapScript, request.GetKey(), arguments)
	if err != nil {
		return nil, err
	}
	if done {
		current = append([]byte{}, request.GetValue()...) // it is there, also when it is empty
	}
	return &keyvaluev1.CompareAndSwapResponse{Swapped: done, Current: current}, nil
}

// CompareAndDelete removes a key if its value is the expected one.
func (k *keyValue) CompareAndDelete(ctx context.Context, request *keyvaluev1.CompareAndDeleteRequest) (*keyvaluev1.CompareAndDeleteResponse, error) {
	done, current, err := k.compare(ctx, "redis.keyvalue.CompareAndDelete", removeScript, request.GetKey(), []any{request.GetKey(), request.GetExpected()})
	if err != nil {
		return nil, err
	}
	return &keyvaluev1.CompareAndDeleteResponse{Deleted: done, Current: current}, nil
}

// compare runs a script that answers 1 when it has changed the key, and else with the value that it has found. Current is nil when there is none.
func (k *keyValue) compare(ctx context.Context, op string, script script, key string, arguments []any) (done bool, current []byte, err error) {
	err = k.place.do(ctx, op, false, func(ctx context.Context) error {
		answer, err := k.place.eval(ctx, script, []string{k.values + key, k.index}, arguments...).Result()
		if isNil(err) {
			return nil
		}
		if found, ok := answer.(string); ok {
			current = []byte(found)
		}
		done = answer == int64(1)
		return err
	})
	return done, current, err
}
