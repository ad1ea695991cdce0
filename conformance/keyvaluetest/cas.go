package keyvaluetest

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/conformance/expect"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// CAS is the suite of keyvalue_cas.
func CAS(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.KeyValueBasic, i.KeyValueCAS)
		})
	}
	empty := []byte{} // an expectation or a value that is there and empty; nil is absence

	run("SwapOfTheExpectedValueStoresTheNewOne", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		set(t, basic, "key", []byte("old"))
		requireSwap(t, cas, "key", []byte("old"), []byte("new"), true, []byte("new"))
		requireValue(t, basic, "key", []byte("new"))
		requireSwap(t, cas, "key", []byte("new"), []byte("newer"), true, []byte("newer"))
		requireValue(t, basic, "key", []byte("newer"))
	})
	run("SwapOfAnotherValueIsAnAnswerAndChangesNothing", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		set(t, basic, "key", []byte("old"))
		for _, other := range []string{"", "o", "ol", "older", "Old", " old", "old ", "old\x00", "\x00old", "olD", "xld", "new"} {
			requireSwap(t, cas, "key", []byte(other), []byte("new"), false, []byte("old"))
			requireValue(t, basic, "key", []byte("old"))
		}
	})
	run("SwapExpectingAbsenceCreatesTheKey", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		requireSwap(t, cas, "key", nil, []byte("new"), true, []byte("new"))
		requireValue(t, basic, "key", []byte("new"))
	})
	run("SwapExpectingAbsenceOfAKeyThatIsThereChangesNothing", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		set(t, basic, "key", []byte("old"))
		requireSwap(t, cas, "key", nil, []byte("new"), false, []byte("old"))
		requireValue(t, basic, "key", []byte("old"))
	})
	run("AbsenceAndAnEmptyValueAreDifferentExpectations", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		requireSwap(t, cas, "key", empty, []byte("new"), false, nil)
		requireMissing(t, basic, "key")
		set(t, basic, "key", nil)
		requireSwap(t, cas, "key", nil, []byte("new"), false, empty)
		requireValue(t, basic, "key", nil)
		requireSwap(t, cas, "key", empty, []byte("new"), true, []byte("new"))
		requireValue(t, basic, "key", []byte("new"))
	})
	run("SwapToAnEmptyValueLeavesTheKeyThere", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		requireSwap(t, cas, "key", nil, nil, true, empty)
		require.True(t, exists(t, basic, "key"))
		set(t, basic, "key", []byte("old"))
		requireSwap(t, cas, "key", []byte("old"), nil, true, empty)
		require.True(t, exists(t, basic, "key"))
		requireValue(t, basic, "key", nil)
	})
	run("SwapOfAMissingKeyTellsThatItIsMissing", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		requireSwap(t, cas, "key", []byte("old"), []byte("new"), false, nil)
		requireMissing(t, basic, "key")
		set(t, basic, "key", []byte("old"))
		require.True(t, remove(t, basic, "key"))
		requireSwap(t, cas, "key", []byte("old"), []byte("new"), false, nil)
		requireMissing(t, basic, "key")
	})
	run("SwapToTheSameValueSwaps", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		set(t, basic, "key", []byte("same"))
		requireSwap(t, cas, "key", []byte("same"), []byte("same"), true, []byte("same"))
		requireValue(t, basic, "key", []byte("same"))
	})
	run("CompareAndDeleteOfTheExpectedValueRemovesTheKey", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		set(t, basic, "key", []byte("old"))
		requireCompareAndDelete(t, cas, "key", []byte("old"), true, nil)
		requireMissing(t, basic, "key")
		requireCompareAndDelete(t, cas, "key", []byte("old"), false, nil)
		set(t, basic, "key", nil)
		requireCompareAndDelete(t, cas, "key", nil, true, nil) // an expectation that is empty is not absence here
		require.False(t, exists(t, basic, "key"))
	})
	run("CompareAndDeleteOfAnotherValueIsAnAnswerAndChangesNothing", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		set(t, basic, "key", []byte("old"))
		for _, other := range []string{"", "o", "older", "Old", "old\x00", "olD"} {
			requireCompareAndDelete(t, cas, "key", []byte(other), false, []byte("old"))
			requireValue(t, basic, "key", []byte("old"))
		}
		set(t, basic, "key", nil)
		requireCompareAndDelete(t, cas, "key", []byte("old"), false, empty)
		requireValue(t, basic, "key", nil)
	})
	run("CompareAndDeleteOfAMissingKeyIsDeletedFalse", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		requireCompareAndDelete(t, cas, "key", []byte("old"), false, nil)
		requireCompareAndDelete(t, cas, "key", nil, false, nil)
		requireMissing(t, basic, "key")
	})
	run("ValuesAreComparedByteByByte", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		for _, pair := range [][2][]byte{
			{[]byte("\xff\x00\xfe"), []byte("\xff\x00\xff")},
			{[]byte("á"), []byte("a\u0301")},
			{[]byte("1"), []byte("1.0")},
			{[]byte("a"), []byte("a\n")},
			{[]byte{0}, []byte{0, 0}},
			{expect.Bytes(1, maxValue), append(expect.Bytes(1, maxValue)[:maxValue-1:maxValue-1], expect.Bytes(1, maxValue)[maxValue-1]^1)},
		} {
			set(t, basic, "key", pair[0])
			requireSwap(t, cas, "key", pair[1], []byte("new"), false, pair[0])
			requireCompareAndDelete(t, cas, "key", pair[1], false, pair[0])
			requireSwap(t, cas, "key", pair[0], pair[1], true, pair[1])
			requireCompareAndDelete(t, cas, "key", pair[1], true, nil)
		}
	})
	t.Run("SwapClearsTheTimeToLive", func(t *testing.T) {
		t.Parallel()
		i := open(t)
		if i.KeyValueTTL == nil {
			t.Skip("keyvalue_ttl is not offered, so there is no time to live")
		}
		setWithTTL(t, i.KeyValueTTL, "key", []byte("old"), time.Hour)
		requireSwap(t, i.KeyValueCAS, "key", []byte("other"), []byte("new"), false, []byte("old"))
		requireSwap(t, i.KeyValueCAS, "key", nil, []byte("new"), false, []byte("old"))
		requireCompareAndDelete(t, i.KeyValueCAS, "key", []byte("other"), false, []byte("old"))
		requireTTL(t, i.KeyValueTTL, "key", 0, time.Hour) // nothing changes
		requireSwap(t, i.KeyValueCAS, "key", []byte("old"), []byte("new"), true, []byte("new"))
		requireNoTTL(t, i.KeyValueTTL, "key")
	})
	run("KeyIs1To1024BytesWithoutNUL", func(t *testing.T, _ keyvaluev1.Basic, cas keyvaluev1.CAS) {
		requireKeyRules(t, casCalls(cas))
	})
	run("ValuesAreAtMost1MiB", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		largest := expect.Bytes(1, maxValue)
		requireSwap(t, cas, "key", nil, largest, true, largest)
		requireSwap(t, cas, "key", largest, expect.Bytes(2, maxValue), true, expect.Bytes(2, maxValue))
		ctx := t.Context()
		_, err := cas.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: "key", Value: expect.Bytes(1, maxValue+1)})
		expect.Invalid(t, "value", err)
		_, err = cas.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: "key", Expected: expect.Bytes(1, maxValue+1)})
		expect.Invalid(t, "expected", err)
		_, err = cas.CompareAndDelete(ctx, &keyvaluev1.CompareAndDeleteRequest{Key: "key", Expected: expect.Bytes(1, maxValue+1)})
		expect.Invalid(t, "expected", err)
		requireValue(t, basic, "key", expect.Bytes(2, maxValue))
	})
	run("HostileKeysAreOrdinaryAndDistinct", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		keys := hostileKeys()
		for i, key := range keys {
			requireSwap(t, cas, key, nil, fmt.Append(nil, i), true, fmt.Append(nil, i))
		}
		for i, key := range keys {
			requireSwap(t, cas, key, fmt.Append(nil, i), fmt.Append(nil, -i), true, fmt.Append(nil, -i))
		}
		for i, key := range keys {
			requireValue(t, basic, key, fmt.Append(nil, -i))
			requireCompareAndDelete(t, cas, key, fmt.Append(nil, -i), true, nil)
			requireMissing(t, basic, key)
		}
	})
	run("RequestsAreNotChanged", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		set(t, basic, "key", []byte("old"))
		swapping := &keyvaluev1.CompareAndSwapRequest{Key: "key", Expected: []byte("old"), Value: []byte("new")}
		expect.Unchanged(t, swapping, func() error { _, err := cas.CompareAndSwap(t.Context(), swapping); return err })
		removing := &keyvaluev1.CompareAndDeleteRequest{Key: "key", Expected: []byte("old")}
		expect.Unchanged(t, removing, func() error { _, err := cas.CompareAndDelete(t.Context(), removing); return err })
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		requireContextRules(t, casCalls(cas))
		set(t, basic, "key", []byte("old"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := cas.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: "key", Expected: []byte("old"), Value: []byte("new")})
		require.Error(t, err)
		requireValue(t, basic, "key", []byte("old")) // the call was over before it began
	})
	run("OfManyCallersWithOneExpectationExactlyOneWins", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		const callers = 16
		var expected []byte
		for round := range 10 {
			var winners atomic.Int32
			var won atomic.Value
			expect.Concurrently(t, callers, func(i int) error {
				mine := fmt.Append(nil, round, " by ", i)
				response, err := cas.CompareAndSwap(t.Context(), &keyvaluev1.CompareAndSwapRequest{Key: "key", Expected: expected, Value: mine})
				if err == nil && response.GetSwapped() {
					winners.Add(1)
					won.Store(mine)
				}
				return err
			})
			require.EqualValues(t, 1, winners.Load(), "winners of round %d", round)
			expected = won.Load().([]byte)
			requireValue(t, basic, "key", expected)
		}
		var removed atomic.Int32
		expect.Concurrently(t, callers, func(int) error {
			response, err := cas.CompareAndDelete(t.Context(), &keyvaluev1.CompareAndDeleteRequest{Key: "key", Expected: expected})
			if err == nil && response.GetDeleted() {
				removed.Add(1)
			}
			return err
		})
		require.EqualValues(t, 1, removed.Load(), "callers that have removed the key")
	})
	run("NoIncrementIsLost", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		const callers, increments = 6, 15
		expect.Concurrently(t, callers, func(int) error {
			var expected []byte // nil: the first one creates the key
			for n := 0; n < increments; {
				now := 0
				if expected != nil {
					var err error
					if now, err = strconv.Atoi(string(expected)); err != nil {
						return err
					}
				}
				response, err := cas.CompareAndSwap(t.Context(), &keyvaluev1.CompareAndSwapRequest{Key: "key", Expected: expected, Value: strconv.AppendInt(nil, int64(now+1), 10)})
				if err != nil {
					return err
				}
				if response.GetSwapped() {
					n++
				}
				expected = response.Current
			}
			return nil
		})
		requireValue(t, basic, "key", strconv.AppendInt(nil, callers*increments, 10))
	})
	run("CallsAreLinearizableAlsoTowardsBasic", func(t *testing.T, basic keyvaluev1.Basic, cas keyvaluev1.CAS) {
		expect.Linearizable(t, registerModel(), recordRegisters(t, basic, cas))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		requireSwap(t, one.KeyValueCAS, "key", nil, []byte("one"), true, []byte("one"))
		requireSwap(t, other.KeyValueCAS, "key", []byte("one"), []byte("two"), false, nil)
		requireCompareAndDelete(t, other.KeyValueCAS, "key", []byte("one"), false, nil)
		requireSwap(t, other.KeyValueCAS, "key", nil, []byte("other"), true, []byte("other"))
		requireValue(t, one.KeyValueBasic, "key", []byte("one"))
	})
}

// casCalls are the calls of keyvalue_cas.
func casCalls(cas keyvaluev1.CAS) []call {
	return []call{
		{"CompareAndSwap", func(ctx context.Context, key string) error {
			_, err := cas.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: key, Expected: []byte("old"), Value: []byte("new")})
			return err
		}, "key"},
		{"CompareAndDelete", func(ctx context.Context, key string) error {
			_, err := cas.CompareAndDelete(ctx, &keyvaluev1.CompareAndDeleteRequest{Key: key, Expected: []byte("old")})
			return err
		}, "key"},
	}
}

// requireSwap swaps and compares the answer; an expectation or a current value of nil is absence.
func requireSwap(t *testing.T, cas keyvaluev1.CAS, key string, expected, value []byte, swapped bool, current []byte) {
	t.Helper()
	response, err := cas.CompareAndSwap(t.Context(), &keyvaluev1.CompareAndSwapRequest{Key: key, Expected: expected, Value: value})
	require.NoError(t, err, "CompareAndSwap %.80q", key)
	require.Equal(t, swapped, response.GetSwapped(), "swapped, expecting %.80q", expected)
	requireCurrent(t, current, response.Current)
}

// requireCompareAndDelete removes and compares the answer; a current value of nil is absence.
func requireCompareAndDelete(t *testing.T, cas keyvaluev1.CAS, key string, expected []byte, deleted bool, current []byte) {
	t.Helper()
	response, err := cas.CompareAndDelete(t.Context(), &keyvaluev1.CompareAndDeleteRequest{Key: key, Expected: expected})
	require.NoError(t, err, "CompareAndDelete %.80q", key)
	require.Equal(t, deleted, response.GetDeleted(), "deleted, expecting %.80q", expected)
	requireCurrent(t, current, response.Current)
}

func requireCurrent(t *testing.T, want, got []byte) {
	t.Helper()
	require.Equal(t, want == nil, got == nil, "whether the current value is absent")
	expect.EqualBytes(t, want, got)
}
