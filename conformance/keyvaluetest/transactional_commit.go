package keyvaluetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// transactionalCommit is what a transaction reads and writes, and when Commit applies it.
func transactionalCommit(t *testing.T, open Open) {
	run := transactionalCase(t, open)
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
}
