package keyvaluetest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// transactionalHandle is which handles are open, and for how long.
func transactionalHandle(t *testing.T, open Open) {
	run := transactionalCase(t, open)
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
}

// strangeHandles are handles that were not issued, some of them much like one that was.
func strangeHandles(issued string) []string {
	return []string{
		"x", "0", "*", issued + "A", issued + " ", " " + issued, issued[1:] + "!", strings.ToUpper(issued) + "x", issued[:len(issued)/2],
		"../../etc/passwd", "{}", "\n", "日本語", "\x00", strings.Repeat("h", 512),
	}
}
