package keyvaluetest_test

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// ttlWith is an implementation with some calls replaced; one that is nil is the real one.
type ttlWith struct {
	keyvaluev1.TTL
	expire     func(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error)
	getTTL     func(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error)
	persist    func(ctx context.Context, request *keyvaluev1.PersistRequest) (*keyvaluev1.PersistResponse, error)
	setWithTTL func(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error)
}

func (w ttlWith) Expire(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error) {
	if w.expire != nil {
		return w.expire(ctx, request)
	}
	return w.TTL.Expire(ctx, request)
}

func (w ttlWith) GetTTL(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error) {
	if w.getTTL != nil {
		return w.getTTL(ctx, request)
	}
	return w.TTL.GetTTL(ctx, request)
}

func (w ttlWith) Persist(ctx context.Context, request *keyvaluev1.PersistRequest) (*keyvaluev1.PersistResponse, error) {
	if w.persist != nil {
		return w.persist(ctx, request)
	}
	return w.TTL.Persist(ctx, request)
}

func (w ttlWith) SetWithTTL(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
	if w.setWithTTL != nil {
		return w.setWithTTL(ctx, request)
	}
	return w.TTL.SetWithTTL(ctx, request)
}

// keepingTTL runs a write and gives the key the time to live back that it had.
func keepingTTL(ctx context.Context, ttl keyvaluev1.TTL, key string, write func() error) error {
	had, err := ttl.GetTTL(ctx, &keyvaluev1.GetTTLRequest{Key: key})
	if err != nil {
		return err
	}
	if err := write(); err != nil || had.GetTtl() == nil {
		return err
	}
	_, err = ttl.Expire(ctx, &keyvaluev1.ExpireRequest{Key: key, Ttl: had.GetTtl()})
	return err
}

func ttlMutants() []mutant {
	of := func(name string, mutate func(i *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) { i.KeyValueTTL = mutate(i, i.KeyValueTTL) }}
	}
	return []mutant{
		{Name: "SetKeepsTheTimeToLive", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueBasic
			i.KeyValueBasic = basicWith{Basic: right, set: func(ctx context.Context, request *keyvaluev1.SetRequest) (*keyvaluev1.SetResponse, error) {
				err := keepingTTL(ctx, i.KeyValueTTL, request.GetKey(), func() error { _, err := right.Set(ctx, request); return err })
				return &keyvaluev1.SetResponse{}, err
			}}
		}},
		{Name: "DeleteOfAnExpiredKeySaysDeleted", Mutate: func(i *prism.Interfaces) {
			var mu sync.Mutex
			timed := make(map[string]bool)
			ttl, basic := i.KeyValueTTL, i.KeyValueBasic
			i.KeyValueTTL = ttlWith{TTL: ttl, setWithTTL: func(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
				mu.Lock()
				timed[request.GetKey()] = true
				mu.Unlock()
				return ttl.SetWithTTL(ctx, request)
			}}
			i.KeyValueBasic = basicWith{Basic: basic, remove: func(ctx context.Context, request *keyvaluev1.DeleteRequest) (*keyvaluev1.DeleteResponse, error) {
				mu.Lock()
				still := timed[request.GetKey()]
				delete(timed, request.GetKey())
				mu.Unlock()
				response, err := basic.Delete(ctx, request)
				if err == nil && still {
					response = &keyvaluev1.DeleteResponse{Deleted: true}
				}
				return response, err
			}}
		}},
		of("KeysExpireATenthEarly", func(_ *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL {
			return ttlWith{TTL: right, setWithTTL: func(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
				lifetime := request.GetTtl()
				if d := lifetime.AsDuration(); d > 10*time.Millisecond && d < time.Second {
					lifetime = durationpb.New(d - d/10)
				}
				return right.SetWithTTL(ctx, &keyvaluev1.SetWithTTLRequest{Key: request.GetKey(), Value: request.GetValue(), Ttl: lifetime})
			}}
		}),
		of("ExpireCreatesTheKey", func(i *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL {
			basic := i.KeyValueBasic
			return ttlWith{TTL: right, expire: func(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error) {
				response, err := right.Expire(ctx, request)
				if err == nil && !response.GetFound() {
					_, err = basic.Set(ctx, &keyvaluev1.SetRequest{Key: request.GetKey()})
				}
				return response, err
			}}
		}),
		of("ExpireOnlyShortens", func(_ *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL {
			return ttlWith{TTL: right, expire: func(ctx context.Context, request *keyvaluev1.ExpireRequest) (*keyvaluev1.ExpireResponse, error) {
				has, err := right.GetTTL(ctx, &keyvaluev1.GetTTLRequest{Key: request.GetKey()})
				if err == nil && has.GetTtl() != nil && has.GetTtl().AsDuration() < request.GetTtl().AsDuration() {
					return &keyvaluev1.ExpireResponse{Found: true}, nil
				}
				return right.Expire(ctx, request)
			}}
		}),
		of("GetTTLWithoutATimeToLiveIsMissing", func(_ *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL {
			return ttlWith{TTL: right, getTTL: func(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error) {
				response, err := right.GetTTL(ctx, request)
				if err == nil && response.GetTtl() == nil {
					response = &keyvaluev1.GetTTLResponse{}
				}
				return response, err
			}}
		}),
		of("GetTTLIsRoundedDown", func(_ *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL {
			return ttlWith{TTL: right, getTTL: func(ctx context.Context, request *keyvaluev1.GetTTLRequest) (*keyvaluev1.GetTTLResponse, error) {
				response, err := right.GetTTL(ctx, request)
				if err == nil && response.GetTtl() != nil {
					response = &keyvaluev1.GetTTLResponse{Found: true, Ttl: durationpb.New(response.GetTtl().AsDuration() - time.Millisecond)}
				}
				return response, err
			}}
		}),
		of("PersistAlwaysSaysPersisted", func(_ *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL {
			return ttlWith{TTL: right, persist: func(ctx context.Context, request *keyvaluev1.PersistRequest) (*keyvaluev1.PersistResponse, error) {
				response, err := right.Persist(ctx, request)
				if err == nil {
					response = &keyvaluev1.PersistResponse{Found: response.GetFound(), Persisted: response.GetFound()}
				}
				return response, err
			}}
		}),
		of("SetWithTTLIsTwoSteps", func(i *prism.Interfaces, right keyvaluev1.TTL) keyvaluev1.TTL {
			basic := i.KeyValueBasic
			return ttlWith{TTL: right, setWithTTL: func(ctx context.Context, request *keyvaluev1.SetWithTTLRequest) (*keyvaluev1.SetWithTTLResponse, error) {
				if d := request.GetTtl(); d == nil || d.AsDuration() < time.Millisecond || d.AsDuration() > 315360000*time.Second {
					return right.SetWithTTL(ctx, request)
				}
				if _, err := basic.Set(ctx, &keyvaluev1.SetRequest{Key: request.GetKey(), Value: request.GetValue()}); err != nil {
					return nil, err
				}
				time.Sleep(time.Millisecond) // so that others come between, however busy the machine is
				_, err := right.Expire(ctx, &keyvaluev1.ExpireRequest{Key: request.GetKey(), Ttl: request.GetTtl()})
				return &keyvaluev1.SetWithTTLResponse{}, err
			}}
		}),
	}
}
