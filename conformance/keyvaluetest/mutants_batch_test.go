package keyvaluetest_test

import (
	"context"
	"slices"
	"strings"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// batchWith is an implementation with some calls replaced; one that is nil is the real one.
type batchWith struct {
	keyvaluev1.Batch
	set    func(ctx context.Context, request *keyvaluev1.BatchSetRequest) (*keyvaluev1.BatchSetResponse, error)
	get    func(ctx context.Context, request *keyvaluev1.BatchGetRequest) (*keyvaluev1.BatchGetResponse, error)
	remove func(ctx context.Context, request *keyvaluev1.BatchDeleteRequest) (*keyvaluev1.BatchDeleteResponse, error)
}

func (b batchWith) BatchSet(ctx context.Context, request *keyvaluev1.BatchSetRequest) (*keyvaluev1.BatchSetResponse, error) {
	if b.set != nil {
		return b.set(ctx, request)
	}
	return b.Batch.BatchSet(ctx, request)
}

func (b batchWith) BatchGet(ctx context.Context, request *keyvaluev1.BatchGetRequest) (*keyvaluev1.BatchGetResponse, error) {
	if b.get != nil {
		return b.get(ctx, request)
	}
	return b.Batch.BatchGet(ctx, request)
}

func (b batchWith) BatchDelete(ctx context.Context, request *keyvaluev1.BatchDeleteRequest) (*keyvaluev1.BatchDeleteResponse, error) {
	if b.remove != nil {
		return b.remove(ctx, request)
	}
	return b.Batch.BatchDelete(ctx, request)
}

func batchMutants() []mutant {
	// answering changes what BatchGet answers.
	answering := func(name string, change func(i *prism.Interfaces, request *keyvaluev1.BatchGetRequest, response *keyvaluev1.BatchGetResponse)) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueBatch
			i.KeyValueBatch = batchWith{Batch: right, get: func(ctx context.Context, request *keyvaluev1.BatchGetRequest) (*keyvaluev1.BatchGetResponse, error) {
				response, err := right.BatchGet(ctx, request)
				if err == nil {
					change(i, request, response)
				}
				return response, err
			}}
		}}
	}
	return []mutant{
		answering("ResultsAreSortedByKey", func(_ *prism.Interfaces, _ *keyvaluev1.BatchGetRequest, response *keyvaluev1.BatchGetResponse) {
			slices.SortFunc(response.GetResults(), func(a, b *keyvaluev1.BatchGetResult) int { return strings.Compare(a.GetKey(), b.GetKey()) })
		}),
		answering("RepeatedKeyIsAnsweredAtItsFirstPlaceOnly", func(_ *prism.Interfaces, _ *keyvaluev1.BatchGetRequest, response *keyvaluev1.BatchGetResponse) {
			seen := make(map[string]bool)
			for _, result := range response.GetResults() {
				if seen[result.GetKey()] {
					result.Found, result.Value = false, nil
				}
				seen[result.GetKey()] = true
			}
		}),
		answering("MissingKeyHasTheStatusNotFound", func(_ *prism.Interfaces, _ *keyvaluev1.BatchGetRequest, response *keyvaluev1.BatchGetResponse) {
			for _, result := range response.GetResults() {
				if !result.GetFound() {
					result.Status = &keyvaluev1.BatchStatus{Code: int32(fault.NotFound), Message: "no such key"}
				}
			}
		}),
		answering("NothingIsLeftOut", func(i *prism.Interfaces, _ *keyvaluev1.BatchGetRequest, response *keyvaluev1.BatchGetResponse) {
			for _, result := range response.GetResults() {
				if result.GetStatus().GetCode() != 0 {
					got, _ := i.KeyValueBasic.Get(context.Background(), &keyvaluev1.GetRequest{Key: result.GetKey()})
					result.Value, result.Status = got.GetValue(), &keyvaluev1.BatchStatus{}
				}
			}
		}),
		answering("ValueThatIsLeftOutLooksMissing", func(_ *prism.Interfaces, _ *keyvaluev1.BatchGetRequest, response *keyvaluev1.BatchGetResponse) {
			for _, result := range response.GetResults() {
				if result.GetStatus().GetCode() != 0 {
					result.Found, result.Status = false, &keyvaluev1.BatchStatus{}
				}
			}
		}),
		{Name: "FirstOfARepeatedKeyWins", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueBatch
			i.KeyValueBatch = batchWith{Batch: right, set: func(ctx context.Context, request *keyvaluev1.BatchSetRequest) (*keyvaluev1.BatchSetResponse, error) {
				reversed := slices.Clone(request.GetItems())
				if len(reversed) > 50 || slices.ContainsFunc(reversed, func(item *keyvaluev1.BatchItem) bool { return item.GetKey() == "" || len(item.GetValue()) > 1<<20 }) {
					return right.BatchSet(ctx, request)
				}
				slices.Reverse(reversed)
				return right.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: reversed})
			}}
		}},
		{Name: "BatchSetKeepsTheTimeToLive", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueBatch
			i.KeyValueBatch = batchWith{Batch: right, set: func(ctx context.Context, request *keyvaluev1.BatchSetRequest) (response *keyvaluev1.BatchSetResponse, err error) {
				if len(request.GetItems()) == 0 || request.GetItems()[0].GetKey() == "" {
					return right.BatchSet(ctx, request)
				}
				err = keepingTTL(ctx, i.KeyValueTTL, request.GetItems()[0].GetKey(), func() (err error) { response, err = right.BatchSet(ctx, request); return err })
				return response, err
			}}
		}},
		{Name: "DeleteOfAMissingKeyIsNotFound", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueBatch
			i.KeyValueBatch = batchWith{Batch: right, remove: func(ctx context.Context, request *keyvaluev1.BatchDeleteRequest) (*keyvaluev1.BatchDeleteResponse, error) {
				got, err := right.BatchGet(ctx, &keyvaluev1.BatchGetRequest{Keys: request.GetKeys()})
				if err != nil {
					return nil, err
				}
				response, err := right.BatchDelete(ctx, request)
				for n, result := range got.GetResults() {
					if err == nil && !result.GetFound() {
						response.GetStatuses()[n].Code = int32(fault.NotFound)
					}
				}
				return response, err
			}}
		}},
		{Name: "InvalidItemIsLeftOut", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueBatch
			i.KeyValueBatch = batchWith{Batch: right, set: func(ctx context.Context, request *keyvaluev1.BatchSetRequest) (*keyvaluev1.BatchSetResponse, error) {
				valid := slices.DeleteFunc(slices.Clone(request.GetItems()), func(item *keyvaluev1.BatchItem) bool { return item.GetKey() == "" })
				return right.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: valid})
			}}
		}},
		{Name: "BatchOf1001IsAccepted", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueBatch
			i.KeyValueBatch = batchWith{Batch: right, remove: func(ctx context.Context, request *keyvaluev1.BatchDeleteRequest) (*keyvaluev1.BatchDeleteResponse, error) {
				if len(request.GetKeys()) <= 1000 {
					return right.BatchDelete(ctx, request)
				}
				return right.BatchDelete(ctx, &keyvaluev1.BatchDeleteRequest{Keys: request.GetKeys()[:1000]})
			}}
		}},
	}
}
