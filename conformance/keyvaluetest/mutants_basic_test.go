package keyvaluetest_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// basicWith is an implementation with some calls replaced; one that is nil is the real one.
type basicWith struct {
	keyvaluev1.Basic
	set    func(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error)
	get    func(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error)
	remove func(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error)
	exists func(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error)
}

func (b basicWith) Set(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
	if b.set != nil {
		return b.set(ctx, request)
	}
	return b.Basic.Set(ctx, request)
}

func (b basicWith) Get(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
	if b.get != nil {
		return b.get(ctx, request)
	}
	return b.Basic.Get(ctx, request)
}

func (b basicWith) Delete(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
	if b.remove != nil {
		return b.remove(ctx, request)
	}
	return b.Basic.Delete(ctx, request)
}

func (b basicWith) Exists(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
	if b.exists != nil {
		return b.exists(ctx, request)
	}
	return b.Basic.Exists(ctx, request)
}

// withKeys changes every key on its way in.
func withKeys(basic keyvaluev1.Basic, change func(string) string) keyvaluev1.Basic {
	return basicWith{
		set: func(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
			return basic.Set(ctx, &keyvaluev1.SetRequest{Key: change(request.GetKey()), Value: request.GetValue()})
		},
		get: func(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
			return basic.Get(ctx, &keyvaluev1.GetRequest{Key: change(request.GetKey())})
		},
		remove: func(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
			return basic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: change(request.GetKey())})
		},
		exists: func(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
			return basic.Exists(ctx, &keyvaluev1.ExistsRequest{Key: change(request.GetKey())})
		},
	}
}

func basicMutants() []mutant {
	of := func(name string, mutate func(right keyvaluev1.Basic) keyvaluev1.Basic) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.KeyValueBasic = mutate(i.KeyValueBasic) }}
	}
	return []mutant{
		of("GetOfAMissingKeyIsAnError", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return basicWith{Basic: right, get: func(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
				response, err := right.Get(ctx, request)
				if err == nil && !response.GetFound() {
					return nil, fault.New(fault.NotFound, "no such key")
				}
				return response, err
			}}
		}),
		of("EmptyValueRemovesTheKey", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return basicWith{Basic: right, set: func(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
				if len(request.GetValue()) > 0 {
					return right.Set(ctx, request)
				}
				_, err := right.Delete(ctx, &keyvaluev1.DeleteRequest{Key: request.GetKey()})
				return &keyvaluev1.SetResponse{}, err
			}}
		}),
		of("DeleteAlwaysSaysDeleted", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return basicWith{Basic: right, remove: func(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
				_, err := right.Delete(ctx, request)
				return &keyvaluev1.DeleteResponse{Deleted: true}, err
			}}
		}),
		of("KeysAreTrimmed", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return withKeys(right, func(key string) string {
				if trimmed := strings.TrimSpace(key); trimmed != "" {
					return trimmed
				}
				return key
			})
		}),
		of("KeysIgnoreCase", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return withKeys(right, func(key string) string {
				if lower := strings.ToLower(key); len(lower) == len(key) {
					return lower
				}
				return key
			})
		}),
		of("KeyMayHoldNUL", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return withKeys(right, func(key string) string { return strings.ReplaceAll(key, "\x00", "?") })
		}),
		of("LongKeyIsCut", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return withKeys(right, func(key string) string { return key[:min(len(key), 1024)] })
		}),
		of("ValueIsCutAt1MiB", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return basicWith{Basic: right, set: func(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
				return right.Set(ctx, &keyvaluev1.SetRequest{Key: request.GetKey(), Value: request.GetValue()[:min(len(request.GetValue()), 1<<20)]})
			}}
		}),
		of("ContextIsIgnoredByExists", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return basicWith{Basic: right, exists: func(ctx context.Context, request *keyvaluev1.ExistsRequest) (*keyvaluev1.ExistsResponse, error) {
				return right.Exists(context.WithoutCancel(ctx), request)
			}}
		}),
		of("ValuesAreOverwrittenInPlace", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return basicWith{Basic: right, set: func(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
				old, err := right.Get(ctx, &keyvaluev1.GetRequest{Key: request.GetKey()})
				if err == nil && old.GetFound() && len(old.GetValue()) == len(request.GetValue()) {
					copy(old.GetValue(), request.GetValue())
					return &keyvaluev1.SetResponse{}, nil
				}
				return right.Set(ctx, &keyvaluev1.SetRequest{Key: request.GetKey(), Value: bytes.Clone(request.GetValue())})
			}}
		}),
		of("DeleteLooksFirstAndRemovesLater", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			return basicWith{Basic: right, remove: func(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
				there, err := right.Exists(ctx, &keyvaluev1.ExistsRequest{Key: request.GetKey()})
				if err != nil {
					return nil, err
				}
				time.Sleep(time.Millisecond) // so that others come between, however busy the machine is
				_, err = right.Delete(ctx, request)
				return &keyvaluev1.DeleteResponse{Deleted: there.GetExists()}, err
			}}
		}),
		of("ReadsAreStaleWhileOthersWrite", func(right keyvaluev1.Basic) keyvaluev1.Basic {
			var mu sync.Mutex
			writing, former := make(map[string]int), make(map[string]*keyvaluev1.GetResponse)
			note := func(key string, change int) {
				mu.Lock()
				defer mu.Unlock()
				writing[key] += change
			}
			return basicWith{
				Basic: right,
				set: func(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
					key := request.GetKey()
					note(key, 1)
					defer note(key, -1)
					old, err := right.Get(ctx, &keyvaluev1.GetRequest{Key: key})
					if err != nil {
						return nil, err
					}
					response, err := right.Set(ctx, request)
					mu.Lock()
					former[key] = old
					mu.Unlock()
					time.Sleep(time.Millisecond) // so that others come between, however busy the machine is
					return response, err
				},
				get: func(ctx context.Context, request *keyvaluev1.GetRequest) (*keyvaluev1.GetResponse, error) {
					response, err := right.Get(ctx, request)
					mu.Lock()
					defer mu.Unlock()
					// While two write, a reader may see what was there before the one that has already been answered.
					if old := former[request.GetKey()]; err == nil && old != nil && writing[request.GetKey()] > 0 {
						return old, nil
					}
					return response, err
				},
			}
		}),
	}
}
