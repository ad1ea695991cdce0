package keyvaluetest_test

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// transactionalWith is an implementation with some calls replaced; one that is nil is the real one.
type transactionalWith struct {
	keyvaluev1.Transactional
	set      func(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error)
	get      func(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error)
	remove   func(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error)
	commit   func(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error)
	rollback func(ctx context.Context, request *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error)
}

func (w transactionalWith) SetInTransaction(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error) {
	if w.set != nil {
		return w.set(ctx, request)
	}
	return w.Transactional.SetInTransaction(ctx, request)
}

func (w transactionalWith) GetInTransaction(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
	if w.get != nil {
		return w.get(ctx, request)
	}
	return w.Transactional.GetInTransaction(ctx, request)
}

func (w transactionalWith) DeleteInTransaction(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error) {
	if w.remove != nil {
		return w.remove(ctx, request)
	}
	return w.Transactional.DeleteInTransaction(ctx, request)
}

func (w transactionalWith) Commit(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
	if w.commit != nil {
		return w.commit(ctx, request)
	}
	return w.Transactional.Commit(ctx, request)
}

func (w transactionalWith) Rollback(ctx context.Context, request *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error) {
	if w.rollback != nil {
		return w.rollback(ctx, request)
	}
	return w.Transactional.Rollback(ctx, request)
}

// written remembers what transactions have written: for each handle and key the value, nil for a delete.
type written struct {
	mu     sync.Mutex
	values map[string]map[string][]byte
}

func (w *written) note(handle, key string, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.values == nil {
		w.values = make(map[string]map[string][]byte)
	}
	if w.values[handle] == nil {
		w.values[handle] = make(map[string][]byte)
	}
	w.values[handle][key] = value
}

func (w *written) has(handle, key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.values[handle][key]
	return ok
}

// forget returns what a transaction has written, for the last time.
func (w *written) forget(handle string) map[string][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	values := w.values[handle]
	delete(w.values, handle)
	return values
}

// noting notes the writes of a transactional.
func (w *written) noting(right keyvaluev1.Transactional) transactionalWith {
	return transactionalWith{
		Transactional: right,
		set: func(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error) {
			response, err := right.SetInTransaction(ctx, request)
			if err == nil {
				w.note(request.GetTransaction(), request.GetKey(), append([]byte{}, request.GetValue()...))
			}
			return response, err
		},
		remove: func(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error) {
			response, err := right.DeleteInTransaction(ctx, request)
			if err == nil {
				w.note(request.GetTransaction(), request.GetKey(), nil)
			}
			return response, err
		},
	}
}

func transactionalMutants() []mutant {
	of := func(name string, mutate func(i *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) {
			i.KeyValueTransactional = mutate(i, i.KeyValueTransactional, &written{})
		}}
	}
	// unnoticed reads a key so that the transaction does not learn of it.
	unnoticed := func(ctx context.Context, i *prism.Interfaces, key string) (*keyvaluev1.GetInTransactionResponse, error) {
		got, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
		return &keyvaluev1.GetInTransactionResponse{Found: got.GetFound(), Value: got.GetValue()}, err
	}
	return []mutant{
		of("ReadOfAMissingKeyIsNotValidated", func(i *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			with := writes.noting(right)
			with.get = func(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
				if strings.HasPrefix(request.GetKey(), "read") && !writes.has(request.GetTransaction(), request.GetKey()) {
					if got, err := unnoticed(ctx, i, request.GetKey()); err == nil && !got.GetFound() {
						return got, nil
					}
				}
				return right.GetInTransaction(ctx, request)
			}
			return with
		}),
		of("OnlyReadsOfKeysThatAreWrittenAreValidated", func(i *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			with := writes.noting(right)
			with.get = func(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
				if !strings.ContainsAny(request.GetKey(), "ab") || len(request.GetKey()) > 4 || writes.has(request.GetTransaction(), request.GetKey()) {
					return right.GetInTransaction(ctx, request)
				}
				return unnoticed(ctx, i, request.GetKey())
			}
			set := with.set
			with.set = func(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error) {
				if strings.ContainsAny(request.GetKey(), "ab") && len(request.GetKey()) <= 4 {
					if _, err := right.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: request.GetTransaction(), Key: request.GetKey()}); err != nil {
						return nil, err
					}
				}
				return set(ctx, request)
			}
			return with
		}),
		of("TransactionThatOnlyReadAlwaysCommits", func(_ *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			with := writes.noting(right)
			with.commit = func(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
				response, err := right.Commit(ctx, request)
				writes.mu.Lock()
				defer writes.mu.Unlock()
				if fault.CodeOf(err) == fault.Aborted && len(writes.values[request.GetTransaction()]) == 0 {
					return &keyvaluev1.CommitResponse{}, nil
				}
				return response, err
			}
			return with
		}),
		of("CommitAppliesOneKeyAfterTheOther", func(i *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			// A second transaction holds what was read; it is committed alone, and then the writes follow one by one.
			var mu sync.Mutex
			readers := make(map[string]string)
			readerOf := func(ctx context.Context, handle string) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				if reader, ok := readers[handle]; ok {
					return reader, nil
				}
				begun, err := right.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
				readers[handle] = begun.GetTransaction()
				return begun.GetTransaction(), err
			}
			with := writes.noting(right)
			with.get = func(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
				response, err := right.GetInTransaction(ctx, request)
				if err != nil || writes.has(request.GetTransaction(), request.GetKey()) {
					return response, err
				}
				reader, err := readerOf(ctx, request.GetTransaction())
				if err != nil {
					return nil, err
				}
				return right.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: reader, Key: request.GetKey()})
			}
			with.rollback = func(ctx context.Context, request *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error) {
				writes.forget(request.GetTransaction())
				return right.Rollback(ctx, request)
			}
			with.commit = func(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
				values := writes.forget(request.GetTransaction())
				if len(values) == 0 || ctx.Err() != nil {
					return right.Commit(ctx, request)
				}
				if _, err := right.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: request.GetTransaction(), Key: "open?"}); fault.CodeOf(err) == fault.FailedPrecondition {
					return nil, err // it has expired
				}
				reader, err := readerOf(ctx, request.GetTransaction())
				if err != nil {
					return nil, err
				}
				if _, err := right.Rollback(ctx, &keyvaluev1.RollbackRequest{Transaction: request.GetTransaction()}); err != nil {
					return nil, err
				}
				if _, err := right.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: reader}); err != nil {
					return nil, err
				}
				for key, value := range values {
					if value == nil {
						_, err = i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: key})
					} else {
						_, err = i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: value})
					}
					if err != nil {
						return nil, err
					}
					time.Sleep(time.Millisecond) // so that others come between, however busy the machine is
				}
				return &keyvaluev1.CommitResponse{}, nil
			}
			return with
		}),
		of("SecondReadReadsAgain", func(i *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			with := writes.noting(right)
			with.get = func(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
				response, err := right.GetInTransaction(ctx, request)
				if err != nil || writes.has(request.GetTransaction(), request.GetKey()) {
					return response, err
				}
				return unnoticed(ctx, i, request.GetKey())
			}
			return with
		}),
		of("OwnWritesAreNotRead", func(i *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			with := writes.noting(right)
			with.get = func(ctx context.Context, request *keyvaluev1.GetInTransactionRequest) (*keyvaluev1.GetInTransactionResponse, error) {
				response, err := right.GetInTransaction(ctx, request)
				if err != nil || !writes.has(request.GetTransaction(), request.GetKey()) {
					return response, err
				}
				return unnoticed(ctx, i, request.GetKey())
			}
			return with
		}),
		of("DeleteIsVisibleAtOnce", func(i *prism.Interfaces, right keyvaluev1.Transactional, _ *written) transactionalWith {
			return transactionalWith{Transactional: right, remove: func(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error) {
				response, err := right.DeleteInTransaction(ctx, request)
				if err == nil {
					_, err = i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: request.GetKey()})
				}
				return response, err
			}}
		}),
		of("WriteIsTakenForARead", func(_ *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			with := writes.noting(right)
			set := with.set
			with.set = func(ctx context.Context, request *keyvaluev1.SetInTransactionRequest) (*keyvaluev1.SetInTransactionResponse, error) {
				if request.GetKey() != "" && len(request.GetKey()) <= 1024 && !strings.Contains(request.GetKey(), "\x00") {
					if _, err := right.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: request.GetTransaction(), Key: request.GetKey()}); err != nil {
						return nil, err
					}
				}
				return set(ctx, request)
			}
			return with
		}),
		of("RollbackOfATransactionThatIsNotOpenIsAnError", func(_ *prism.Interfaces, right keyvaluev1.Transactional, _ *written) transactionalWith {
			return transactionalWith{Transactional: right, rollback: func(ctx context.Context, request *keyvaluev1.RollbackRequest) (*keyvaluev1.RollbackResponse, error) {
				_, err := right.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: request.GetTransaction(), Key: "rollback"})
				if fault.CodeOf(err) == fault.FailedPrecondition {
					return nil, err
				}
				return right.Rollback(ctx, request)
			}}
		}),
		of("OneKeyTooManyEndsTheTransaction", func(_ *prism.Interfaces, right keyvaluev1.Transactional, _ *written) transactionalWith {
			return transactionalWith{Transactional: right, remove: func(ctx context.Context, request *keyvaluev1.DeleteInTransactionRequest) (*keyvaluev1.DeleteInTransactionResponse, error) {
				response, err := right.DeleteInTransaction(ctx, request)
				if fault.CodeOf(err) == fault.ResourceExhausted {
					_, _ = right.Rollback(ctx, &keyvaluev1.RollbackRequest{Transaction: request.GetTransaction()})
				}
				return response, err
			}}
		}),
		of("CommitAgainSucceeds", func(_ *prism.Interfaces, right keyvaluev1.Transactional, _ *written) transactionalWith {
			var mu sync.Mutex
			committed := make(map[string]bool)
			return transactionalWith{Transactional: right, commit: func(ctx context.Context, request *keyvaluev1.CommitRequest) (*keyvaluev1.CommitResponse, error) {
				response, err := right.Commit(ctx, request)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					committed[request.GetTransaction()] = true
				} else if committed[request.GetTransaction()] {
					return &keyvaluev1.CommitResponse{}, nil
				}
				return response, err
			}}
		}),
		of("CommitKeepsTheTimeToLive", func(i *prism.Interfaces, right keyvaluev1.Transactional, writes *written) transactionalWith {
			with := writes.noting(right)
			with.commit = func(ctx context.Context, request *keyvaluev1.CommitRequest) (response *keyvaluev1.CommitResponse, err error) {
				writes.mu.Lock()
				values := writes.values[request.GetTransaction()]
				writes.mu.Unlock()
				for key := range values {
					if len(values) == 1 {
						err = keepingTTL(ctx, i.KeyValueTTL, key, func() (err error) { response, err = right.Commit(ctx, request); return err })
						return response, err
					}
				}
				return right.Commit(ctx, request)
			}
			return with
		}),
	}
}
