package keyvaluetest_test

import (
	"bytes"
	"context"
	"time"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// casWith is an implementation with some calls replaced; one that is nil is the real one.
type casWith struct {
	keyvaluev1.CAS
	swap   func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error)
	remove func(ctx context.Context, request *keyvaluev1.CompareAndDeleteRequest) (*keyvaluev1.CompareAndDeleteResponse, error)
}

func (c casWith) CompareAndSwap(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
	if c.swap != nil {
		return c.swap(ctx, request)
	}
	return c.CAS.CompareAndSwap(ctx, request)
}

func (c casWith) CompareAndDelete(ctx context.Context, request *keyvaluev1.CompareAndDeleteRequest) (*keyvaluev1.CompareAndDeleteResponse, error) {
	if c.remove != nil {
		return c.remove(ctx, request)
	}
	return c.CAS.CompareAndDelete(ctx, request)
}

func casMutants() []mutant {
	type swapFunc = func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error)
	swapping := func(name string, swap func(i *prism.Interfaces, right keyvaluev1.CAS) swapFunc) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) {
			i.KeyValueCAS = casWith{CAS: i.KeyValueCAS, swap: swap(i, i.KeyValueCAS)}
		}}
	}
	return []mutant{
		swapping("SwapIsReadThenWrite", func(i *prism.Interfaces, right keyvaluev1.CAS) swapFunc {
			basic := i.KeyValueBasic
			return func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
				if len(request.GetExpected()) > 1<<20 {
					return right.CompareAndSwap(ctx, request)
				}
				got, err := basic.Get(ctx, &keyvaluev1.GetRequest{Key: request.GetKey()})
				if err != nil {
					return nil, err
				}
				if got.GetFound() != (request.Expected != nil) || !bytes.Equal(got.GetValue(), request.GetExpected()) {
					return right.CompareAndSwap(ctx, request)
				}
				time.Sleep(time.Millisecond) // so that others come between, however busy the machine is
				if _, err := basic.Set(ctx, &keyvaluev1.SetRequest{Key: request.GetKey(), Value: request.GetValue()}); err != nil {
					return nil, err
				}
				return &keyvaluev1.CompareAndSwapResponse{Swapped: true, Current: append([]byte{}, request.GetValue()...)}, nil
			}
		}),
		swapping("EmptyExpectationIsAbsence", func(_ *prism.Interfaces, right keyvaluev1.CAS) swapFunc {
			return func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
				if len(request.GetExpected()) > 0 {
					return right.CompareAndSwap(ctx, request)
				}
				return right.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: request.GetKey(), Value: request.GetValue()})
			}
		}),
		swapping("SwapKeepsTheTimeToLive", func(i *prism.Interfaces, right keyvaluev1.CAS) swapFunc {
			return func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (response *keyvaluev1.CompareAndSwapResponse, err error) {
				if request.GetKey() == "" {
					return right.CompareAndSwap(ctx, request)
				}
				err = keepingTTL(ctx, i.KeyValueTTL, request.GetKey(), func() (err error) { response, err = right.CompareAndSwap(ctx, request); return err })
				return response, err
			}
		}),
		swapping("EmptyCurrentValueIsLeftOut", func(_ *prism.Interfaces, right keyvaluev1.CAS) swapFunc {
			return func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
				response, err := right.CompareAndSwap(ctx, request)
				if err == nil && len(response.GetCurrent()) == 0 {
					response = &keyvaluev1.CompareAndSwapResponse{Swapped: response.GetSwapped()}
				}
				return response, err
			}
		}),
		swapping("CurrentIsTheValueBeforeTheSwap", func(_ *prism.Interfaces, right keyvaluev1.CAS) swapFunc {
			return func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
				response, err := right.CompareAndSwap(ctx, request)
				if err == nil && response.GetSwapped() {
					response = &keyvaluev1.CompareAndSwapResponse{Swapped: true, Current: request.Expected}
				}
				return response, err
			}
		}),
		swapping("MismatchIsAnError", func(_ *prism.Interfaces, right keyvaluev1.CAS) swapFunc {
			return func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
				response, err := right.CompareAndSwap(ctx, request)
				if err == nil && !response.GetSwapped() {
					return nil, fault.New(fault.Aborted, "the value is another")
				}
				return response, err
			}
		}),
		swapping("TrailingNULsAreNotCompared", func(i *prism.Interfaces, right keyvaluev1.CAS) swapFunc {
			return func(ctx context.Context, request *keyvaluev1.CompareAndSwapRequest) (*keyvaluev1.CompareAndSwapResponse, error) {
				if request.Expected == nil {
					return right.CompareAndSwap(ctx, request)
				}
				got, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: request.GetKey()})
				if err == nil && got.GetFound() && bytes.Equal(bytes.TrimRight(got.GetValue(), "\x00"), bytes.TrimRight(request.GetExpected(), "\x00")) {
					return right.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: request.GetKey(), Expected: append([]byte{}, got.GetValue()...), Value: request.GetValue()})
				}
				return right.CompareAndSwap(ctx, request)
			}
		}),
		{Name: "DeleteExpectingAnEmptyValueRemovesAnyValue", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueCAS
			i.KeyValueCAS = casWith{CAS: right, remove: func(ctx context.Context, request *keyvaluev1.CompareAndDeleteRequest) (*keyvaluev1.CompareAndDeleteResponse, error) {
				if len(request.GetExpected()) > 0 {
					return right.CompareAndDelete(ctx, request)
				}
				removed, err := i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: request.GetKey()})
				return &keyvaluev1.CompareAndDeleteResponse{Deleted: removed.GetDeleted()}, err
			}}
		}},
	}
}
