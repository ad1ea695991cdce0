package keyvaluetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// recorder takes down what clients do, with the times between which each operation had its effect.
type recorder struct {
	start   time.Time
	mu      sync.Mutex
	history []porcupine.Operation
}

// record runs an operation and takes it down; an operation that failed must have had no effect.
func (r *recorder) record(client int, input any, run func() (output any, err error)) error {
	call := time.Since(r.start)
	output, err := run()
	end := time.Since(r.start)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: input, Call: int64(call), Output: output, Return: int64(end)})
	return nil
}

// stored is the content of one key: missing when there is none.
type stored string

const missing = stored("")

func storedValue(value []byte, found bool) stored {
	if !found {
		return missing
	}
	return stored("=" + string(value))
}

// registerKind is an operation on one key.
type registerKind string

const (
	registerSet              registerKind = "Set"
	registerGet              registerKind = "Get"
	registerDelete           registerKind = "Delete"
	registerExists           registerKind = "Exists"
	registerCompareAndSwap   registerKind = "CompareAndSwap"
	registerCompareAndDelete registerKind = "CompareAndDelete"
)

// registerInput is an operation on one key and its arguments.
type registerInput struct {
	kind     registerKind
	key      string
	expected stored
	value    stored
}

// registerOutput is the answer: whether it was found, deleted or swapped, and the value.
type registerOutput struct {
	yes   bool
	value stored
}

// registerModel is the sequential model of one key, for keyvalue_basic and keyvalue_cas.
func registerModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := make(map[string][]porcupine.Operation)
			for _, operation := range history {
				key := operation.Input.(registerInput).key
				byKey[key] = append(byKey[key], operation)
			}
			parts := make([][]porcupine.Operation, 0, len(byKey))
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return missing },
		Step: func(state, input, output any) (bool, any) {
			now, in, out := state.(stored), input.(registerInput), output.(registerOutput)
			switch in.kind {
			case registerSet:
				return true, in.value
			case registerGet:
				return out.yes == (now != missing) && out.value == now, now
			case registerExists:
				return out.yes == (now != missing), now
			case registerDelete:
				return out.yes == (now != missing), missing
			case registerCompareAndSwap:
				if now == in.expected {
					return out.yes && out.value == in.value, in.value
				}
				return !out.yes && out.value == now, now
			case registerCompareAndDelete:
				if now == in.expected {
					return out.yes && out.value == missing, missing
				}
				return !out.yes && out.value == now, now
			}
			return false, now
		},
		DescribeOperation: func(input, output any) string {
			in, out := input.(registerInput), output.(registerOutput)
			return fmt.Sprintf("%s(%q, expected %q, value %q) -> %v, %q", in.kind, in.key, in.expected, in.value, out.yes, out.value)
		},
	}
}

// recordRegisters lets some clients work on a few keys and returns what they saw. cas may be nil.
func recordRegisters(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) []porcupine.Operation {
	t.Helper()
	const clients, operations, keys = 6, 80, 2
	recorder := &recorder{start: time.Now()}
	kinds := []registerKind{registerSet, registerSet, registerGet, registerGet, registerGet, registerDelete, registerExists}
	if cas != nil {
		kinds = []registerKind{
			registerSet, registerGet, registerDelete,
			registerCompareAndSwap, registerCompareAndSwap, registerCompareAndSwap, registerCompareAndSwap, registerCompareAndDelete,
		}
	}
	expect.Concurrently(t, clients, func(client int) error {
		random := rand.New(rand.NewPCG(uint64(client), 1))
		var seen [keys]stored // what this client saw last, to expect it
		for n := range operations {
			at := random.IntN(keys)
			in := registerInput{
				kind:     kinds[random.IntN(len(kinds))],
				key:      fmt.Sprint("key-", at),
				expected: seen[at],
				value:    storedValue(fmt.Append(nil, client, ".", n), true),
			}
			if in.kind == registerCompareAndDelete && in.expected == missing {
				in.kind = registerGet
			}
			err := recorder.record(client, in, func() (any, error) {
				out, err := callRegister(t, basic, cas, in)
				seen[at] = out.value
				return out, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return recorder.history
}

func callRegister(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS, in registerInput) (registerOutput, error) {
	ctx := t.Context()
	bytesOf := func(content stored) []byte {
		if content == missing {
			return nil
		}
		return []byte(content[1:])
	}
	switch in.kind {
	case registerSet:
		_, err := basic.Set(ctx, &keyvaluev1.SetRequest{Key: in.key, Value: bytesOf(in.value)})
		return registerOutput{value: in.value}, err
	case registerGet:
		response, err := basic.Get(ctx, &keyvaluev1.GetRequest{Key: in.key})
		return registerOutput{yes: response.GetFound(), value: storedValue(response.GetValue(), response.GetFound())}, err
	case registerDelete:
		response, err := basic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: in.key})
		return registerOutput{yes: response.GetDeleted()}, err
	case registerExists:
		response, err := basic.Exists(ctx, &keyvaluev1.ExistsRequest{Key: in.key})
		return registerOutput{yes: response.GetExists()}, err
	case registerCompareAndSwap:
		response, err := cas.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: in.key, Expected: bytesOf(in.expected), Value: bytesOf(in.value)})
		if err != nil {
			return registerOutput{}, err
		}
		return registerOutput{yes: response.GetSwapped(), value: storedValue(response.Current, response.Current != nil)}, nil
	case registerCompareAndDelete:
		response, err := cas.CompareAndDelete(ctx, &keyvaluev1.CompareAndDeleteRequest{Key: in.key, Expected: bytesOf(in.expected)})
		if err != nil {
			return registerOutput{}, err
		}
		return registerOutput{yes: response.GetDeleted(), value: storedValue(response.Current, response.Current != nil)}, nil
	}
	return registerOutput{}, errors.New("no such operation")
}

// transactionKeys is how many keys the transactions of a history work on: few, so that they meet.
const transactionKeys = 3

// transactionState is the content of all keys.
type transactionState [transactionKeys]stored

// transactionStep is one step of a transaction, or of a single operation: a read of a key with what was seen, or a write (missing deletes).
type transactionStep struct {
	key   int
	write bool
	value stored
}

// transactionModel is the sequential model of transactions: what one does happens in one step, at its Commit.
func transactionModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return transactionState{} },
		Step: func(state, _, output any) (bool, any) {
			now := state.(transactionState)
			for _, step := range output.([]transactionStep) {
				if step.write {
					now[step.key] = step.value
				} else if now[step.key] != step.value {
					return false, state
				}
			}
			return true, now
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%s %v", input, output) },
	}
}

// recordTransactions lets some clients run transactions and single operations on a few keys and returns those that took effect.
func recordTransactions(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) []porcupine.Operation {
	t.Helper()
	const clients, rounds = 4, 30
	recorder := &recorder{start: time.Now()}
	expect.Concurrently(t, clients, func(client int) error {
		random := rand.New(rand.NewPCG(uint64(client), 2))
		for n := range rounds {
			fresh := storedValue(fmt.Append(nil, client, ".", n), true)
			if random.IntN(3) > 0 {
				if err := recordTransaction(t, recorder, transactional, client, random, fresh); err != nil {
					return err
				}
				continue
			}
			kind := []registerKind{registerSet, registerGet, registerGet, registerDelete}[random.IntN(4)]
			at := random.IntN(transactionKeys)
			err := recorder.record(client, "single", func() (any, error) {
				out, err := callRegister(t, basic, nil, registerInput{kind: kind, key: transactionKey(at), value: fresh})
				step := transactionStep{key: at, write: kind != registerGet, value: out.value}
				if kind == registerDelete {
					step.value = missing
				}
				return []transactionStep{step}, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return recorder.history
}

func transactionKey(i int) string { return fmt.Sprint("key-", i) }

// recordTransaction runs one transaction of a few steps, and takes it down if it commits.
func recordTransaction(t *testing.T, recorder *recorder, transactional keyvaluev1.Transactional, client int, random *rand.Rand, fresh stored) error {
	ctx := t.Context()
	begun, err := transactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
	if err != nil {
		return err
	}
	handle := begun.GetTransaction()
	var steps []transactionStep
	for range 2 + random.IntN(3) {
		at := random.IntN(transactionKeys)
		key := transactionKey(at)
		switch random.IntN(5) {
		case 0, 1:
			steps = append(steps, transactionStep{key: at, write: true, value: fresh})
			_, err = transactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: key, Value: []byte(fresh[1:])})
		case 2:
			steps = append(steps, transactionStep{key: at, write: true, value: missing})
			_, err = transactional.DeleteInTransaction(ctx, &keyvaluev1.DeleteInTransactionRequest{Transaction: handle, Key: key})
		default:
			var got *keyvaluev1.GetInTransactionResponse
			got, err = transactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: key})
			steps = append(steps, transactionStep{key: at, value: storedValue(got.GetValue(), got.GetFound())})
		}
		if err != nil {
			return err
		}
	}
	err = recorder.record(client, "transaction", func() (any, error) {
		_, err := transactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
		return slices.Clone(steps), err
	})
	if fault.CodeOf(err) == fault.Aborted {
		return nil
	}
	return err
}
