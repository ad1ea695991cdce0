package keyvaluetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// transactionalConcurrency is what transactions do beside each other.
func transactionalConcurrency(t *testing.T, open Open) {
	run := transactionalCase(t, open)
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
