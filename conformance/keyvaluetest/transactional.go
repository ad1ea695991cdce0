package keyvaluetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// maxTransactionKeys is the most distinct keys that a transaction touches.
	maxTransactionKeys = 100
	// maxTransactionValues is how many values of 1 MiB a transaction may write.
	maxTransactionValues = 4
)

// Transactional is the suite of keyvalue_transactional.
func Transactional(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.KeyValueBasic, i.KeyValueTransactional)
		})
	}

	run("HandleIsAtMost512BytesOfASCIIAndUnique", func(t *testing.T, _ keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		seen := make(map[string]bool)
		for range 50 {
			handle := begin(t, transactional).handle
			require.NotEmpty(t, handle)
			require.LessOrEqual(t, len(handle), 512)
			for _, character := range []byte(handle) {
				require.True(t, character >= ' ' && character < 0x7f, "%q is ASCII", handle)
			}
			require.False(t, seen[handle], "%q was issued twice", handle)
			seen[handle] = true
		}
	})
	run("NothingIsVisibleBeforeCommit", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "old", []byte("before"))
		set(t, basic, "removed", []byte("before"))
		transaction, other := begin(t, transactional), begin(t, transactional)
		transaction.set("old", "after")
		transaction.set("new", "after")
		transaction.delete("removed")
		requireValue(t, basic, "old", []byte("before"))
		requireMissing(t, basic, "new")
		requireValue(t, basic, "removed", []byte("before"))
		other.requireValue("old", "before")
		other.requireMissing("new")
		transaction.commit()
		requireValue(t, basic, "old", []byte("after"))
		requireValue(t, basic, "new", []byte("after"))
		requireMissing(t, basic, "removed")
	})
	run("RollbackAppliesNothing", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "old", []byte("before"))
		transaction := begin(t, transactional)
		transaction.set("old", "after")
		transaction.set("new", "after")
		transaction.rollback()
		requireValue(t, basic, "old", []byte("before"))
		requireMissing(t, basic, "new")
	})
	run("TransactionReadsItsOwnWrites", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "key", []byte("before"))
		transaction := begin(t, transactional)
		transaction.set("key", "first")
		transaction.requireValue("key", "first")
		transaction.set("key", "second")
		transaction.requireValue("key", "second")
		transaction.delete("key")
		transaction.requireMissing("key")
		transaction.set("key", "")
		transaction.requireValue("key", "")
		transaction.set("key", "last")
		transaction.requireValue("key", "last")
		transaction.delete("missing")
		transaction.requireMissing("missing")
		transaction.commit()
		requireValue(t, basic, "key", []byte("last"))
	})
	run("LastWriteOfAKeyCounts", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "removed", []byte("before"))
		transaction := begin(t, transactional)
		transaction.set("removed", "again")
		transaction.delete("removed")
		transaction.delete("kept")
		transaction.set("kept", "value")
		transaction.commit()
		requireMissing(t, basic, "removed")
		requireValue(t, basic, "kept", []byte("value"))
	})
	run("ReadingAgainGivesTheSameAnswer", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "key", []byte("before"))
		transaction := begin(t, transactional)
		transaction.requireValue("key", "before")
		transaction.requireMissing("missing")
		set(t, basic, "key", []byte("behind"))
		set(t, basic, "missing", []byte("behind"))
		transaction.requireValue("key", "before")
		transaction.requireMissing("missing")
		require.True(t, remove(t, basic, "key"))
		transaction.requireValue("key", "before")
		transaction.requireAborted()
	})
	run("ReadOfTheStoredValueIsWhenItIsMade", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		transaction := begin(t, transactional)
		set(t, basic, "key", []byte("after begin"))
		transaction.requireValue("key", "after begin")
		transaction.set("other", "value")
		transaction.commit()
		requireValue(t, basic, "other", []byte("value"))
	})
	for _, change := range []struct {
		name   string
		before []byte // nil: missing
		change func(t *testing.T, basic keyvaluev1.Basic)
	}{
		{"WasSet", []byte("before"), func(t *testing.T, basic keyvaluev1.Basic) { set(t, basic, "read", []byte("changed")) }},
		{"WasSetToAnEmptyValue", []byte("before"), func(t *testing.T, basic keyvaluev1.Basic) { set(t, basic, "read", nil) }},
		{"WasRemoved", []byte("before"), func(t *testing.T, basic keyvaluev1.Basic) { require.True(t, remove(t, basic, "read")) }},
		{"WasEmptyAndRemoved", []byte{}, func(t *testing.T, basic keyvaluev1.Basic) { require.True(t, remove(t, basic, "read")) }},
		{"WasCreated", nil, func(t *testing.T, basic keyvaluev1.Basic) { set(t, basic, "read", []byte("created")) }},
		{"WasCreatedEmpty", nil, func(t *testing.T, basic keyvaluev1.Basic) { set(t, basic, "read", nil) }},
	} {
		run("CommitIsAbortedWhenAKeyThatWasRead/"+change.name, func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
			set(t, basic, "old", []byte("before"))
			if change.before != nil {
				set(t, basic, "read", change.before)
			}
			transaction := begin(t, transactional)
			transaction.get("read")
			transaction.set("old", "after")
			transaction.set("new", "after")
			transaction.set("read", "after")
			change.change(t, basic)
			want, found := get(t, basic, "read")
			transaction.requireAborted()
			requireValue(t, basic, "old", []byte("before")) // nothing is applied
			requireMissing(t, basic, "new")
			got, foundAfter := get(t, basic, "read")
			require.Equal(t, found, foundAfter)
			expect.EqualBytes(t, want, got)
			transaction.requireNotOpen()
		})
	}
	run("CommitIsAbortedWhenAnotherTransactionChangedWhatWasRead", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "key", []byte("1"))
		one, other := begin(t, transactional), begin(t, transactional)
		one.requireValue("key", "1")
		other.requireValue("key", "1")
		one.set("key", "2 by one")
		other.set("key", "2 by other")
		one.commit()
		other.requireAborted()
		requireValue(t, basic, "key", []byte("2 by one"))
		again := begin(t, transactional) // as ABORTED asks for
		again.requireValue("key", "2 by one")
		again.set("key", "3")
		again.commit()
		requireValue(t, basic, "key", []byte("3"))
	})
	run("TransactionThatOnlyReadIsAbortedToo", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "a", []byte("1"))
		transaction := begin(t, transactional)
		transaction.requireValue("a", "1")
		set(t, basic, "a", []byte("2"))
		set(t, basic, "b", []byte("2"))
		transaction.requireValue("b", "2") // a mixture, which must not commit
		transaction.requireAborted()
	})
	run("CommitSucceedsWhenWhatWasReadStillHolds", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "a", []byte("1"))
		set(t, basic, "other", []byte("1"))
		transaction := begin(t, transactional)
		transaction.requireValue("a", "1")
		transaction.requireMissing("missing")
		transaction.set("a", "2")
		set(t, basic, "other", []byte("2"))
		transaction.commit()
		requireValue(t, basic, "a", []byte("2"))
		requireValue(t, basic, "other", []byte("2"))
	})
	run("WriteAloneReadsNothing", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "set", []byte("before"))
		set(t, basic, "removed", []byte("before"))
		transaction := begin(t, transactional)
		transaction.set("set", "after")
		transaction.requireValue("set", "after") // its own write, not the stored value
		transaction.delete("removed")
		transaction.requireMissing("removed")
		set(t, basic, "set", []byte("behind"))
		set(t, basic, "removed", []byte("behind"))
		transaction.commit()
		requireValue(t, basic, "set", []byte("after"))
		requireMissing(t, basic, "removed")
	})
	run("EmptyTransactionCommits", func(t *testing.T, _ keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		begin(t, transactional).commit()
		begin(t, transactional).rollback()
	})
	run("EmptyValueIsAValue", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "empty", nil)
		transaction := begin(t, transactional)
		transaction.requireValue("empty", "")
		transaction.set("new", "")
		transaction.commit()
		require.True(t, exists(t, basic, "new"))
	})
	t.Run("CommitClearsTheTimeToLive", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		if i.KeyValueTTL == nil {
			t.Skip("keyvalue_ttl is not offered, so there is no time to live")
		}
		setWithTTL(t, i.KeyValueTTL, "written", []byte("value"), time.Hour)
		setWithTTL(t, i.KeyValueTTL, "read", []byte("value"), time.Hour)
		transaction := begin(t, i.KeyValueTransactional)
		transaction.requireValue("read", "value")
		transaction.set("written", "new")
		requireTTL(t, i.KeyValueTTL, "written", 0, time.Hour)
		transaction.commit()
		requireNoTTL(t, i.KeyValueTTL, "written")
		requireTTL(t, i.KeyValueTTL, "read", 0, time.Hour)
	})
	t.Run("CommitIsAbortedWhenAKeyThatWasReadExpires", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		if i.KeyValueTTL == nil {
			t.Skip("keyvalue_ttl is not offered, so nothing expires")
		}
		for lifetime := short; ; lifetime *= 2 { // until the key is read in time
			require.Less(t, lifetime, expect.Patience)
			setWithTTL(t, i.KeyValueTTL, "key", []byte("value"), lifetime)
			transaction := begin(t, i.KeyValueTransactional)
			if _, found := transaction.get("key"); !found {
				continue
			}
			transaction.set("other", "value")
			waitUntilMissing(t, i.KeyValueBasic, "key")
			transaction.requireAborted()
			requireMissing(t, i.KeyValueBasic, "other")
			return
		}
	})
	run("EndedTransactionIsNotOpen", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		committed := begin(t, transactional)
		committed.set("key", "committed")
		committed.commit()
		committed.requireNotOpen()
		rolledBack := begin(t, transactional)
		rolledBack.set("key", "rolled back")
		rolledBack.rollback()
		rolledBack.requireNotOpen()
		requireValue(t, basic, "key", []byte("committed"))
	})
	run("RollbackOfATransactionThatIsNotOpenIsNoErrorAndUndoesNothing", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		transaction := begin(t, transactional)
		transaction.set("key", "value")
		transaction.commit()
		transaction.rollback()
		transaction.rollback()
		requireValue(t, basic, "key", []byte("value"))
		transaction = begin(t, transactional)
		transaction.rollback()
		transaction.rollback()
		for _, handle := range strangeHandles(transaction.handle) {
			(&openTransaction{t, transactional, handle}).rollback()
		}
	})
	run("HandleThatWasNotIssuedIsNotOpen", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		transaction := begin(t, transactional)
		transaction.set("key", "value")
		for _, handle := range strangeHandles(transaction.handle) {
			(&openTransaction{t, transactional, handle}).requireNotOpen()
		}
		transaction.requireValue("key", "value") // it is as it was
		transaction.commit()
		requireValue(t, basic, "key", []byte("value"))
	})
	t.Run("HandleOfAnotherNamespaceIsNotOpen", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		transaction := begin(t, one.KeyValueTransactional)
		transaction.set("key", "value")
		elsewhere := &openTransaction{t, other.KeyValueTransactional, transaction.handle}
		elsewhere.requireNotOpen()
		elsewhere.rollback()
		transaction.requireValue("key", "value") // it is as it was
		transaction.commit()
		requireValue(t, one.KeyValueBasic, "key", []byte("value"))
		requireMissing(t, other.KeyValueBasic, "key")
	})
	run("HandleIs1To512Bytes", func(t *testing.T, _ keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		for _, handle := range []string{"", strings.Repeat("h", 513)} {
			for _, call := range transactionCalls(transactional) {
				expect.Invalid(t, "transaction", call.run(t.Context(), handle, "key"))
			}
		}
	})
	run("TransactionEndsAtItsTimeoutAndNotBefore", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		for _, timeout := range []time.Duration{time.Millisecond, short} {
			begun := time.Now()
			transaction := beginFor(t, transactional, durationpb.New(timeout))
			expect.Eventually(t, "the transaction ends", func() bool {
				_, err := transactional.GetInTransaction(t.Context(), &keyvaluev1.GetInTransactionRequest{Transaction: transaction.handle, Key: "key"})
				if err != nil {
					expect.Code(t, fault.FailedPrecondition, err)
				}
				return err != nil
			})
			require.GreaterOrEqual(t, time.Since(begun), timeout, "the transaction ended early")
			transaction.requireNotOpen()
			transaction.rollback()
		}
		for timeout := short; ; timeout *= 2 { // until the write is made in time
			require.Less(t, timeout, expect.Patience)
			transaction := beginFor(t, transactional, durationpb.New(timeout))
			_, err := transactional.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: transaction.handle, Key: "key", Value: []byte("value")})
			if err != nil {
				expect.Code(t, fault.FailedPrecondition, err)
				continue
			}
			expect.Eventually(t, "the transaction ends", func() bool {
				_, err := transactional.GetInTransaction(t.Context(), &keyvaluev1.GetInTransactionRequest{Transaction: transaction.handle, Key: "key"})
				return err != nil
			})
			_, err = transactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: transaction.handle})
			expect.Code(t, fault.FailedPrecondition, err)
			requireMissing(t, basic, "key")
			return
		}
	})
	run("TimeoutIs1MillisecondTo5Minutes", func(t *testing.T, _ keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		for _, wrong := range []*durationpb.Duration{
			{}, {Nanos: 1}, durationpb.New(time.Millisecond - 1), durationpb.New(-time.Second), durationpb.New(5*time.Minute + 1), durationpb.New(time.Hour), {Seconds: 315_576_000_000},
		} {
			_, err := transactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{Timeout: wrong})
			expect.Invalid(t, "timeout", err)
		}
		beginFor(t, transactional, durationpb.New(5*time.Minute)).commit()
		beginFor(t, transactional, durationpb.New(time.Millisecond)).rollback()
		beginFor(t, transactional, nil).commit()
	})
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
	run("OverlappingCallsOfOneTransactionEachTakeEffect", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		transaction := begin(t, transactional)
		expect.Concurrently(t, 8, func(i int) error {
			for n := range 10 {
				key := fmt.Sprint("key-", i, "-", n)
				_, err := transactional.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: transaction.handle, Key: key, Value: []byte(key)})
				if err != nil {
					return err
				}
				got, err := transactional.GetInTransaction(t.Context(), &keyvaluev1.GetInTransactionRequest{Transaction: transaction.handle, Key: key})
				if err != nil {
					return err
				}
				if string(got.GetValue()) != key {
					return fmt.Errorf("%s: got %q", key, got.GetValue())
				}
			}
			return nil
		})
		transaction.commit()
		for i := range 8 {
			for n := range 10 {
				key := fmt.Sprint("key-", i, "-", n)
				requireValue(t, basic, key, []byte(key))
			}
		}
	})
	run("OverlappingCommitsAreOneCommit", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		for range 10 {
			transaction := begin(t, transactional)
			transaction.set("key", transaction.handle)
			var committed atomic.Int32
			expect.Concurrently(t, 4, func(int) error {
				_, err := transactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: transaction.handle})
				switch fault.CodeOf(err) {
				case fault.OK:
					committed.Add(1)
					return nil
				case fault.FailedPrecondition:
					return nil
				default:
					return err
				}
			})
			require.EqualValues(t, 1, committed.Load(), "commits that succeeded")
			requireValue(t, basic, "key", []byte(transaction.handle))
		}
	})
	run("ManyTransactionsAreOpenAtOnce", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		var all []*openTransaction
		for i := range 100 {
			transaction := begin(t, transactional)
			transaction.set(fmt.Sprint("key-", i), fmt.Sprint(i))
			all = append(all, transaction)
		}
		for i, transaction := range all {
			transaction.requireValue(fmt.Sprint("key-", i), fmt.Sprint(i))
			transaction.requireMissing(fmt.Sprint("key-", (i+1)%100, "-other"))
			transaction.commit()
		}
		for i := range all {
			requireValue(t, basic, fmt.Sprint("key-", i), fmt.Append(nil, i))
		}
	})
	run("CommitShowsAllWritesAtOnce", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		set(t, basic, "a", []byte("0"))
		set(t, basic, "b", []byte("0"))
		number := func(key string) (int, error) {
			response, err := basic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(string(response.GetValue()))
		}
		look := func(i, _ int) error {
			keys := [][2]string{{"a", "b"}, {"b", "a"}}[i]
			first, err := number(keys[0])
			if err != nil {
				return err
			}
			second, err := number(keys[1])
			if err == nil && second < first {
				err = fmt.Errorf("read %s=%d and then %s=%d, of which both are written in one step", keys[0], first, keys[1], second)
			}
			return err
		}
		during(t, 2, look, func() {
			for n := 1; n <= 200; n++ {
				transaction := begin(t, transactional)
				// The order of the writes must not matter, so it changes.
				transaction.set([]string{"a", "b"}[n%2], strconv.Itoa(n))
				transaction.set([]string{"b", "a"}[n%2], strconv.Itoa(n))
				transaction.commit()
			}
		})
	})
	run("WritesCannotBeSkewed", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		for round := range 20 {
			a, b := fmt.Sprint("a-", round), fmt.Sprint("b-", round)
			set(t, basic, a, []byte("1"))
			set(t, basic, b, []byte("1"))
			// Each takes one of the two away, having seen that the other one is there.
			var transactions [2]*openTransaction
			for i := range transactions {
				transactions[i] = begin(t, transactional)
				transactions[i].requireValue(a, "1")
				transactions[i].requireValue(b, "1")
				transactions[i].set([]string{a, b}[i], "0")
			}
			var committed atomic.Int32
			expect.Concurrently(t, len(transactions), func(i int) error {
				_, err := transactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: transactions[i].handle})
				if fault.CodeOf(err) == fault.Aborted {
					return nil
				}
				committed.Add(1)
				return err
			})
			require.LessOrEqual(t, committed.Load(), int32(1), "both have read what the other has changed")
		}
	})
	run("SumOfAccountsStaysTheSame", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		const accounts, each = 4, 100
		for i := range accounts {
			set(t, basic, fmt.Sprint("account-", i), []byte(strconv.Itoa(each)))
		}
		expect.Concurrently(t, 4, func(client int) error {
			for n := range 15 {
				if err := transfer(t.Context(), transactional, (client+n)%accounts, (client+2*n+1)%accounts, n); err != nil {
					return err
				}
			}
			return nil
		})
		sum := 0
		for i := range accounts {
			value, _ := get(t, basic, fmt.Sprint("account-", i))
			amount, err := strconv.Atoi(string(value))
			require.NoError(t, err)
			sum += amount
		}
		require.Equal(t, accounts*each, sum)
	})
	run("TransactionsAreSerializableAlsoTowardsBasic", func(t *testing.T, basic keyvaluev1.Basic, transactional keyvaluev1.Transactional) {
		expect.Linearizable(t, transactionModel(), recordTransactions(t, basic, transactional))
	})
}

// transfer moves an amount between two accounts, beginning again while it is aborted. Optimistic transactions may abort each other for a while but not for
// ever: one of those that meet commits.
func transfer(ctx context.Context, transactional keyvaluev1.Transactional, from, to, amount int) error {
	if from == to {
		return nil
	}
	for range 1000 {
		begun, err := transactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
		if err != nil {
			return err
		}
		handle := begun.GetTransaction()
		for key, change := range map[string]int{fmt.Sprint("account-", from): -amount, fmt.Sprint("account-", to): amount} {
			got, err := transactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: key})
			if err != nil {
				return err
			}
			now, err := strconv.Atoi(string(got.GetValue()))
			if err != nil {
				return err
			}
			_, err = transactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: key, Value: []byte(strconv.Itoa(now + change))})
			if err != nil {
				return err
			}
		}
		_, err = transactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
		if fault.CodeOf(err) != fault.Aborted {
			return err
		}
	}
	return errors.New("aborted 1,000 times")
}

// strangeHandles are handles that were not issued, some of them much like one that was.
func strangeHandles(issued string) []string {
	return []string{
		"x", "0", "*", issued + "A", issued + " ", " " + issued, issued[1:] + "!", strings.ToUpper(issued) + "x", issued[:len(issued)/2],
		"../../etc/passwd", "{}", "\n", "日本語", "\x00", strings.Repeat("h", 512),
	}
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

// openTransaction is a transaction of a test, whose calls must succeed.
type openTransaction struct {
	t             *testing.T
	transactional keyvaluev1.Transactional
	handle        string
}

func begin(t *testing.T, transactional keyvaluev1.Transactional) *openTransaction {
	t.Helper()
	return beginFor(t, transactional, nil)
}

func beginFor(t *testing.T, transactional keyvaluev1.Transactional, timeout *durationpb.Duration) *openTransaction {
	t.Helper()
	response, err := transactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{Timeout: timeout})
	require.NoError(t, err, "BeginTransaction")
	return &openTransaction{t, transactional, response.GetTransaction()}
}

func (o *openTransaction) set(key, value string) {
	o.t.Helper()
	_, err := o.transactional.SetInTransaction(o.t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: o.handle, Key: key, Value: []byte(value)})
	require.NoError(o.t, err, "SetInTransaction %.80q", key)
}

func (o *openTransaction) get(key string) ([]byte, bool) {
	o.t.Helper()
	response, err := o.transactional.GetInTransaction(o.t.Context(), &keyvaluev1.GetInTransactionRequest{Transaction: o.handle, Key: key})
	require.NoError(o.t, err, "GetInTransaction %.80q", key)
	return response.GetValue(), response.GetFound()
}

func (o *openTransaction) requireValue(key, want string) {
	o.t.Helper()
	got, found := o.get(key)
	require.True(o.t, found, "%.80q is there", key)
	expect.EqualBytes(o.t, []byte(want), got)
}

func (o *openTransaction) requireMissing(key string) {
	o.t.Helper()
	got, found := o.get(key)
	require.False(o.t, found, "%.80q is missing", key)
	require.Empty(o.t, got)
}

func (o *openTransaction) delete(key string) {
	o.t.Helper()
	_, err := o.transactional.DeleteInTransaction(o.t.Context(), &keyvaluev1.DeleteInTransactionRequest{Transaction: o.handle, Key: key})
	require.NoError(o.t, err, "DeleteInTransaction %.80q", key)
}

func (o *openTransaction) commit() {
	o.t.Helper()
	_, err := o.transactional.Commit(o.t.Context(), &keyvaluev1.CommitRequest{Transaction: o.handle})
	require.NoError(o.t, err, "Commit")
}

func (o *openTransaction) rollback() {
	o.t.Helper()
	_, err := o.transactional.Rollback(o.t.Context(), &keyvaluev1.RollbackRequest{Transaction: o.handle})
	require.NoError(o.t, err, "Rollback")
}

func (o *openTransaction) requireAborted() {
	o.t.Helper()
	_, err := o.transactional.Commit(o.t.Context(), &keyvaluev1.CommitRequest{Transaction: o.handle})
	expect.Code(o.t, fault.Aborted, err)
}

// requireNotOpen fails unless every call but Rollback is FAILED_PRECONDITION.
func (o *openTransaction) requireNotOpen() {
	o.t.Helper()
	for _, call := range transactionCalls(o.transactional) {
		if call.name == "Rollback" {
			continue
		}
		if got := fault.CodeOf(call.run(o.t.Context(), o.handle, "key")); got != fault.FailedPrecondition {
			require.FailNow(o.t, "wrong code", "%s: got %s, want FAILED_PRECONDITION", call.name, got)
		}
	}
}
