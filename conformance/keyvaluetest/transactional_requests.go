package keyvaluetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// transactionalRequests is what a transaction may be asked for.
func transactionalRequests(t *testing.T, open Open) {
	run := transactionalCase(t, open)
	run("TransactionTouchesAtMost100Keys", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "key-0", []byte("stored"))
		transaction := begin(t, transactional)
		for i := range maxTransactionKeys {
			switch key := fmt.Sprint("key-", i); i % 3 {
			case 0:
				transaction.get(key)
			case 1:
				transaction.set(key, "value")
			case 2:
				transaction.delete(key)
			}
		}
		ctx := t.Context()
		for range 2 {
			_, err := transactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: transaction.handle, Key: "more"})
			expect.Code(t, fault.ResourceExhausted, err)
			_, err = transactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: transaction.handle, Key: "more"})
			expect.Code(t, fault.ResourceExhausted, err)
			_, err = transactional.DeleteInTransaction(ctx, &keyvaluev1.DeleteInTransactionRequest{Transaction: transaction.handle, Key: "more"})
			expect.Code(t, fault.ResourceExhausted, err)
		}
		// The transaction is as it was: it goes on with the keys that it has, and did not read the one key more.
		transaction.requireValue("key-0", "stored")
		transaction.requireValue("key-1", "value")
		transaction.set("key-0", "after")
		transaction.set("key-2", "after")
		set(t, basic, "more", []byte("behind"))
		transaction.commit()
		requireValue(t, basic, "key-0", []byte("after"))
		requireValue(t, basic, "key-1", []byte("value"))
		requireValue(t, basic, "key-2", []byte("after"))
		requireValue(t, basic, "more", []byte("behind"))
	})
	run("ValuesOfATransactionAreAtMost4MiB", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		transaction := begin(t, transactional)
		for i := range maxTransactionValues {
			transaction.set(fmt.Sprint("large-", i), string(expect.Bytes(i, maxValue)))
		}
		transaction.set("large-0", string(expect.Bytes(7, maxValue))) // a value that is replaced does not count
		_, err := transactional.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: transaction.handle, Key: "more", Value: []byte("x")})
		expect.Code(t, fault.ResourceExhausted, err)
		transaction.requireMissing("more") // it is as it was
		transaction.delete("large-1")      // nor does one that is removed
		transaction.set("more", string(expect.Bytes(8, maxValue)))
		transaction.commit()
		requireValue(t, basic, "large-0", expect.Bytes(7, maxValue))
		requireMissing(t, basic, "large-1")
		requireValue(t, basic, "large-3", expect.Bytes(3, maxValue))
		requireValue(t, basic, "more", expect.Bytes(8, maxValue))
	})
	run("KeyIs1To1024BytesWithoutNULAndValueAtMost1MiB", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		transaction := begin(t, transactional)
		var calls []call
		for _, each := range transactionCalls(transactional) {
			if each.hasKey {
				calls = append(calls, call{each.name, func(ctx context.Context, key string) error { return each.run(ctx, transaction.handle, key) }, "key"})
			}
		}
		requireKeyRules(t, calls)
		_, err := transactional.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: transaction.handle, Key: "key", Value: expect.Bytes(1, maxValue+1)})
		expect.Invalid(t, "value", err)
		transaction.requireMissing("key") // the transaction goes on
		transaction.set("key", string(expect.Bytes(1, maxValue)))
		transaction.commit()
		requireValue(t, basic, "key", expect.Bytes(1, maxValue))
	})
	run("HostileKeysAreOrdinaryAndDistinct", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		keys := hostileKeys()
		require.LessOrEqual(t, len(keys), maxTransactionKeys)
		transaction := begin(t, transactional)
		for i, key := range keys {
			transaction.requireMissing(key)
			transaction.set(key, fmt.Sprint(i))
		}
		transaction.commit()
		transaction = begin(t, transactional)
		for i, key := range keys {
			requireValue(t, basic, key, fmt.Append(nil, i))
			transaction.requireValue(key, fmt.Sprint(i))
			if i%2 == 0 {
				transaction.delete(key)
			}
		}
		transaction.commit()
		for i, key := range keys {
			require.Equal(t, i%2 != 0, exists(t, basic, key), "%.80q is there", key)
		}
	})
	run("RequestsAreNotChanged", func(t *testing.T, _ keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		beginning := &keyvaluev1.BeginTransactionRequest{}
		expect.Unchanged(t, beginning, func() error { _, err := transactional.BeginTransaction(t.Context(), beginning); return err })
		transaction := begin(t, transactional)
		setting := &keyvaluev1.SetInTransactionRequest{Transaction: transaction.handle, Key: "key", Value: []byte("value")}
		expect.Unchanged(t, setting, func() error { _, err := transactional.SetInTransaction(t.Context(), setting); return err })
		committing := &keyvaluev1.CommitRequest{Transaction: transaction.handle}
		expect.Unchanged(t, committing, func() error { _, err := transactional.Commit(t.Context(), committing); return err })
		expect.Unchanged(t, setting, func() error { return nil })
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		requireContextRules(t, []call{{"BeginTransaction", func(ctx context.Context, _ string) error {
			_, err := transactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
			return err
		}, ""}})
		canceled, late := expect.Ended(t)
		for _, call := range transactionCalls(transactional) {
			handle := begin(t, transactional).handle
			expect.Code(t, fault.Canceled, call.run(canceled, handle, "key"))
			expect.Code(t, fault.DeadlineExceeded, call.run(late, handle, "key"))
		}
		transaction := begin(t, transactional)
		transaction.set("a", "value")
		transaction.set("b", "value")
		_, err := transactional.Commit(canceled, &keyvaluev1.CommitRequest{Transaction: transaction.handle})
		require.Error(t, err)
		require.Equal(t, exists(t, basic, "a"), exists(t, basic, "b"), "a call that was canceled takes effect whole or not at all")
	})
}

// transactionCall is one RPC of a transaction that is open.
type transactionCall struct {
	name   string
	hasKey bool
	run    func(ctx context.Context, handle, key string) error
}

func transactionCalls(transactional keyvaluev1.Transactional) []transactionCall {
	return []transactionCall{
		{"SetInTransaction", true, func(ctx context.Context, handle, key string) error {
			_, err := transactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: key, Value: []byte("value")})
			return err
		}},
		{"GetInTransaction", true, func(ctx context.Context, handle, key string) error {
			_, err := transactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: key})
			return err
		}},
		{"DeleteInTransaction", true, func(ctx context.Context, handle, key string) error {
			_, err := transactional.DeleteInTransaction(ctx, &keyvaluev1.DeleteInTransactionRequest{Transaction: handle, Key: key})
			return err
		}},
		{"Commit", false, func(ctx context.Context, handle, _ string) error {
			_, err := transactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
			return err
		}},
		{"Rollback", false, func(ctx context.Context, handle, _ string) error {
			_, err := transactional.Rollback(ctx, &keyvaluev1.RollbackRequest{Transaction: handle})
			return err
		}},
	}
}
