package keyvaluetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/conformance/expect"
	"github.com/prismgate/prism/gen/go/prism"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const (
	// short is a time to live that a case waits for.
	short = 150 * time.Millisecond
	// tenYears is the longest time to live.
	tenYears = 315360000 * time.Second
)

// TTL is the suite of keyvalue_ttl.
func TTL(t *testing.T, open Open) {
	run := func(name string, test func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := open(t)
			test(t, i.KeyValueBasic, i.KeyValueTTL)
		})
	}
	offered := open(t)

	run("SetWithTTLStoresTheValue", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", []byte("value"), time.Hour)
		requireValue(t, basic, "key", []byte("value"))
		require.True(t, exists(t, basic, "key"))
		requireTTL(t, ttl, "key", 0, time.Hour)
	})
	run("KeyExpiresAndNeverEarly", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		for _, lifetime := range []time.Duration{time.Millisecond, 40 * time.Millisecond, short, 1999 * time.Microsecond} {
			begin := time.Now()
			setWithTTL(t, ttl, "key", []byte("value"), lifetime)
			waitUntilMissing(t, basic, "key")
			require.GreaterOrEqual(t, time.Since(begin), lifetime, "the key expired early")
		}
	})
	run("ExpireGivesATimeToLive", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		set(t, basic, "key", []byte("value"))
		begin := time.Now()
		require.True(t, expire(t, ttl, "key", short))
		waitUntilMissing(t, basic, "key")
		require.GreaterOrEqual(t, time.Since(begin), short, "the key expired early")
	})
	run("ExpireKeepsTheValue", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		set(t, basic, "key", []byte("value"))
		require.True(t, expire(t, ttl, "key", time.Hour))
		requireValue(t, basic, "key", []byte("value"))
	})
	run("ExpireReplacesATimeToLiveByAShorterOne", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", []byte("value"), time.Hour)
		require.True(t, expire(t, ttl, "key", time.Minute))
		requireTTL(t, ttl, "key", 0, time.Minute)
		require.True(t, expire(t, ttl, "key", short))
		waitUntilMissing(t, basic, "key")
	})
	run("ExpireReplacesATimeToLiveByALongerOne", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", []byte("value"), time.Minute)
		require.True(t, expire(t, ttl, "key", time.Hour))
		requireTTL(t, ttl, "key", 59*time.Minute, time.Hour)
		requireOutlives(t, basic, ttl, "prolonged", func(key string) bool { return expire(t, ttl, key, time.Hour) })
	})
	run("ExpireOfAMissingKeyIsFoundFalseAndCreatesNothing", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		require.False(t, expire(t, ttl, "missing", time.Hour))
		require.False(t, exists(t, basic, "missing"))
		requireMissing(t, basic, "missing")
		set(t, basic, "missing", nil)
		requireNoTTL(t, ttl, "missing")
	})
	run("GetTTLTellsMissingFromUnlimited", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		requireTTLMissing(t, ttl, "key")
		set(t, basic, "key", []byte("value"))
		requireNoTTL(t, ttl, "key")
	})
	run("GetTTLTellsTheTimeLeftInWholeMillisecondsRoundedUp", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		for _, lifetime := range []time.Duration{time.Minute, time.Hour + time.Nanosecond, 12345*time.Millisecond + 678*time.Microsecond} {
			// A backend's clock may tick in whole milliseconds, and may tick between the two calls; of several pairs that take less than half a tick, not between all.
			quick, rounded := 0, false
			for range 50 {
				begin := time.Now()
				setWithTTL(t, ttl, "key", []byte("value"), lifetime)
				response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: "key"})
				elapsed := time.Since(begin)
				require.NoError(t, err)
				got := response.GetTtl().AsDuration()
				require.Zero(t, got%time.Millisecond, "%s is in whole milliseconds", got)
				require.GreaterOrEqual(t, got, lifetime-elapsed-time.Millisecond, "the time left is rounded up")
				require.LessOrEqual(t, got, lifetime+time.Millisecond, "the time left is no longer than the time given")
				if elapsed < time.Millisecond/2 {
					quick++
					rounded = rounded || got >= lifetime-elapsed
				}
			}
			require.True(t, rounded || quick < 10, "the time left is rounded up")
		}
	})
	run("GetTTLIsMoreThanZeroUntilTheKeyIsMissing", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", []byte("value"), short)
		previous := short
		expect.Eventually(t, "GetTTL says that the key is missing", func() bool {
			response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: "key"})
			require.NoError(t, err)
			if !response.GetFound() {
				require.Nil(t, response.GetTtl(), "a missing key has no time to live")
				return true
			}
			require.NotNil(t, response.GetTtl(), "a key that expires has a time to live")
			left := response.GetTtl().AsDuration()
			require.Positive(t, left)
			require.LessOrEqual(t, left, previous, "the time left does not grow")
			previous = left
			return false
		})
		requireMissing(t, basic, "key")
	})
	run("PersistTakesTheTimeToLiveAway", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", []byte("value"), time.Hour)
		requirePersist(t, ttl, "key", true, true)
		requireNoTTL(t, ttl, "key")
		requireValue(t, basic, "key", []byte("value"))
		requireOutlives(t, basic, ttl, "persisted", func(key string) bool {
			response, err := ttl.Persist(t.Context(), &keyvaluev1.PersistRequest{Key: key})
			require.NoError(t, err)
			return response.GetPersisted()
		})
	})
	run("PersistOfAMissingKeyIsFoundFalse", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		requirePersist(t, ttl, "missing", false, false)
		requireMissing(t, basic, "missing")
	})
	run("PersistWithoutATimeToLiveIsPersistedFalse", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		set(t, basic, "key", []byte("value"))
		requirePersist(t, ttl, "key", true, false)
		setWithTTL(t, ttl, "key", []byte("value"), time.Hour)
		requirePersist(t, ttl, "key", true, true)
		requirePersist(t, ttl, "key", true, false)
	})
	run("SetClearsTheTimeToLive", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", []byte("value"), time.Hour)
		set(t, basic, "key", []byte("value"))
		requireNoTTL(t, ttl, "key")
		requireOutlives(t, basic, ttl, "set", func(key string) bool {
			set(t, basic, key, []byte("value"))
			return true
		})
	})
	run("DeletedKeyLeavesNoTimeToLiveBehind", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", []byte("value"), time.Hour)
		require.True(t, remove(t, basic, "key"))
		requireTTLMissing(t, ttl, "key")
		set(t, basic, "key", []byte("value"))
		requireNoTTL(t, ttl, "key")
	})
	run("SetWithTTLReplacesValueAndTimeToLive", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		set(t, basic, "key", []byte("first"))
		setWithTTL(t, ttl, "key", []byte("second"), time.Minute)
		requireValue(t, basic, "key", []byte("second"))
		requireTTL(t, ttl, "key", 0, time.Minute)
		setWithTTL(t, ttl, "key", []byte("third"), time.Hour)
		requireValue(t, basic, "key", []byte("third"))
		requireTTL(t, ttl, "key", 59*time.Minute, time.Hour)
		setWithTTL(t, ttl, "key", nil, short)
		waitUntilMissing(t, basic, "key")
		setWithTTL(t, ttl, "key", []byte("after"), time.Hour)
		requireValue(t, basic, "key", []byte("after"))
	})
	run("SetWithTTLIsOneStep", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		look := func(int, int) error {
			response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: "key"})
			if err == nil && response.GetFound() && response.GetTtl() == nil {
				err = errors.New("the value was seen without its time to live")
			}
			return err
		}
		during(t, 3, look, func() {
			for range 400 {
				setWithTTL(t, ttl, "key", []byte("value"), time.Hour)
				remove(t, basic, "key")
			}
		})
	})
	run("ExpiredKeyIsAbsentToEveryCall", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		for _, ask := range []func(key string) bool{
			func(key string) bool { return exists(t, basic, key) },
			func(key string) bool { _, found := get(t, basic, key); return found },
			func(key string) bool { return remove(t, basic, key) },
			func(key string) bool { return expire(t, ttl, key, time.Hour) },
			func(key string) bool {
				response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: key})
				require.NoError(t, err)
				return response.GetFound()
			},
			func(key string) bool {
				response, err := ttl.Persist(t.Context(), &keyvaluev1.PersistRequest{Key: key})
				require.NoError(t, err)
				require.Equal(t, response.GetFound(), response.GetPersisted())
				return response.GetFound()
			},
		} {
			expired(t, basic, ttl, "key")
			require.False(t, ask("key"))
			requireMissing(t, basic, "key")
		}
	})
	run("ExpiredKeyCanBeSetAgain", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		expired(t, basic, ttl, "key")
		set(t, basic, "key", []byte("again"))
		requireValue(t, basic, "key", []byte("again"))
		requireNoTTL(t, ttl, "key")
	})
	runWith := func(name string, isOffered bool, test func(t *testing.T, i *prism.Interfaces)) {
		if isOffered {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				i := open(t)
				for _, key := range []string{"gone-1", "gone-2", "gone-3"} {
					expired(t, i.KeyValueBasic, i.KeyValueTTL, key)
				}
				set(t, i.KeyValueBasic, "there", []byte("value"))
				test(t, i)
			})
		}
	}
	runWith("ExpiredKeyIsAbsentToScans", offered.KeyValueScan != nil, func(t *testing.T, i *prism.Interfaces) {
		require.Equal(t, []string{"there"}, keysOf(scanAll(t, scanner(i.KeyValueScan), "", 0)))
		require.Equal(t, []string{"there"}, keysOf(scanAll(t, keyScanner(i.KeyValueScan), "", 1)))
		require.EqualValues(t, 1, count(t, i.KeyValueScan, ""))
		require.EqualValues(t, 0, count(t, i.KeyValueScan, "gone"))
	})
	runWith("ExpiredKeyIsAbsentToBatches", offered.KeyValueBatch != nil, func(t *testing.T, i *prism.Interfaces) {
		response := batchGet(t, i.KeyValueBatch, "gone-1", "there")
		require.False(t, response.GetResults()[0].GetFound())
		require.Empty(t, response.GetResults()[0].GetValue())
		require.True(t, response.GetResults()[1].GetFound())
	})
	runWith("ExpiredKeyIsAbsentToCompareAndSwap", offered.KeyValueCAS != nil, func(t *testing.T, i *prism.Interfaces) {
		requireSwap(t, i.KeyValueCAS, "gone-1", []byte("value"), []byte("new"), false, nil)
		requireSwap(t, i.KeyValueCAS, "gone-1", nil, []byte("new"), true, []byte("new"))
		requireNoTTL(t, i.KeyValueTTL, "gone-1")
		requireCompareAndDelete(t, i.KeyValueCAS, "gone-2", []byte("value"), false, nil)
	})
	runWith("ExpiredKeyIsAbsentToTransactions", offered.KeyValueTransactional != nil, func(t *testing.T, i *prism.Interfaces) {
		transaction := begin(t, i.KeyValueTransactional)
		transaction.requireMissing("gone-1")
		transaction.set("gone-2", "new")
		transaction.commit()
		requireMissing(t, i.KeyValueBasic, "gone-1")
		requireValue(t, i.KeyValueBasic, "gone-2", []byte("new"))
	})
	run("TimeToLiveIs1MillisecondTo10Years", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		for _, call := range ttlCallsWithTTL(ttl) {
			for _, wrong := range []*durationpb.Duration{
				nil,
				{},
				{Nanos: 1},
				durationpb.New(time.Millisecond - 1), durationpb.New(-time.Millisecond), durationpb.New(-time.Hour),
				durationpb.New(tenYears + 1), durationpb.New(tenYears + time.Second), durationpb.New(math.MaxInt64),
				{Seconds: 315_576_000_000},
			} {
				set(t, basic, "key", []byte("before"))
				expect.Invalid(t, "ttl", call(t.Context(), "key", wrong))
				requireValue(t, basic, "key", []byte("before"))
				requireNoTTL(t, ttl, "key")
			}
			require.NoError(t, call(t.Context(), "key", durationpb.New(tenYears)))
			requireTTL(t, ttl, "key", tenYears-time.Minute, tenYears)
			set(t, basic, "key", []byte("before"))
			require.NoError(t, call(t.Context(), "key", durationpb.New(time.Millisecond)))
			waitUntilMissing(t, basic, "key")
		}
	})
	run("KeyIs1To1024BytesWithoutNUL", func(t *testing.T, _ keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		requireKeyRules(t, ttlCalls(ttl))
	})
	run("ValueIsAtMost1MiB", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setWithTTL(t, ttl, "key", expect.Bytes(1, maxValue), time.Hour)
		requireValue(t, basic, "key", expect.Bytes(1, maxValue))
		_, err := ttl.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: "key", Value: expect.Bytes(2, maxValue+1), Ttl: durationpb.New(time.Hour)})
		expect.Invalid(t, "value", err)
		requireValue(t, basic, "key", expect.Bytes(1, maxValue))
	})
	run("HostileKeysAreOrdinaryAndDistinct", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		keys := hostileKeys()
		for i, key := range keys {
			setWithTTL(t, ttl, key, fmt.Append(nil, i), time.Duration(i+1)*time.Hour)
		}
		for i, key := range keys {
			requireValue(t, basic, key, fmt.Append(nil, i))
			requireTTL(t, ttl, key, time.Duration(i)*time.Hour, time.Duration(i+1)*time.Hour)
			requirePersist(t, ttl, key, true, true)
		}
	})
	run("RequestsAreNotChanged", func(t *testing.T, _ keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		setting := &keyvaluev1.SetWithTTLRequest{Key: "key", Value: []byte("value"), Ttl: durationpb.New(time.Hour + 1)}
		expect.Unchanged(t, setting, func() error { _, err := ttl.SetWithTTL(t.Context(), setting); return err })
		expiring := &keyvaluev1.ExpireRequest{Key: "key", Ttl: durationpb.New(time.Hour + 1)}
		expect.Unchanged(t, expiring, func() error { _, err := ttl.Expire(t.Context(), expiring); return err })
	})
	run("ContextThatHasEndedEndsTheCall", func(t *testing.T, _ keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		requireContextRules(t, ttlCalls(ttl))
	})
	run("CallsRunConcurrently", func(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL) {
		set(t, basic, "shared", []byte("value"))
		expect.Concurrently(t, 12, func(i int) error {
			own := fmt.Sprint("own-", i)
			for n := range 20 {
				for _, call := range ttlCalls(ttl) {
					if err := call.withKey(t.Context(), own); err != nil {
						return fmt.Errorf("%s: %w", call.name, err)
					}
				}
				// Every step of these keeps the key.
				var err error
				if n%2 == 0 {
					_, err = ttl.Expire(t.Context(), &keyvaluev1.ExpireRequest{Key: "shared", Ttl: durationpb.New(time.Hour)})
				} else {
					_, err = ttl.Persist(t.Context(), &keyvaluev1.PersistRequest{Key: "shared"})
				}
				if err != nil {
					return err
				}
			}
			response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: own})
			if err == nil && !response.GetFound() {
				err = fmt.Errorf("%s is missing", own)
			}
			return err
		})
		requireValue(t, basic, "shared", []byte("value"))
	})
	t.Run("NamespacesAreSeparate", func(t *testing.T) {
		t.Parallel()
		one, other := open(t), open(t)
		setWithTTL(t, one.KeyValueTTL, "key", []byte("one"), time.Hour)
		requireTTLMissing(t, other.KeyValueTTL, "key")
		require.False(t, expire(t, other.KeyValueTTL, "key", time.Hour))
		requirePersist(t, other.KeyValueTTL, "key", false, false)
		requireTTL(t, one.KeyValueTTL, "key", 0, time.Hour)
		set(t, other.KeyValueBasic, "key", []byte("other"))
		requireNoTTL(t, other.KeyValueTTL, "key")
	})
}

// ttlCalls are the calls of keyvalue_ttl. Made one after the other, they leave the key there.
func ttlCalls(ttl keyvaluev1.TTL) []call {
	return []call{
		{"SetWithTTL", func(ctx context.Context, key string) error {
			_, err := ttl.SetWithTTL(ctx, &keyvaluev1.SetWithTTLRequest{Key: key, Value: []byte("value"), Ttl: durationpb.New(time.Hour)})
			return err
		}, "key"},
		{"Expire", func(ctx context.Context, key string) error {
			_, err := ttl.Expire(ctx, &keyvaluev1.ExpireRequest{Key: key, Ttl: durationpb.New(time.Hour)})
			return err
		}, "key"},
		{"GetTTL", func(ctx context.Context, key string) error {
			_, err := ttl.GetTTL(ctx, &keyvaluev1.GetTTLRequest{Key: key})
			return err
		}, "key"},
		{"Persist", func(ctx context.Context, key string) error {
			_, err := ttl.Persist(ctx, &keyvaluev1.PersistRequest{Key: key})
			return err
		}, "key"},
	}
}

func ttlCallsWithTTL(ttl keyvaluev1.TTL) []func(ctx context.Context, key string, lifetime *durationpb.Duration) error {
	return []func(ctx context.Context, key string, lifetime *durationpb.Duration) error{
		func(ctx context.Context, key string, lifetime *durationpb.Duration) error {
			_, err := ttl.SetWithTTL(ctx, &keyvaluev1.SetWithTTLRequest{Key: key, Value: []byte("value"), Ttl: lifetime})
			return err
		},
		func(ctx context.Context, key string, lifetime *durationpb.Duration) error {
			_, err := ttl.Expire(ctx, &keyvaluev1.ExpireRequest{Key: key, Ttl: lifetime})
			return err
		},
	}
}

func setWithTTL(t *testing.T, ttl keyvaluev1.TTL, key string, value []byte, lifetime time.Duration) {
	t.Helper()
	_, err := ttl.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: key, Value: value, Ttl: durationpb.New(lifetime)})
	require.NoError(t, err, "SetWithTTL %.80q", key)
}

func expire(t *testing.T, ttl keyvaluev1.TTL, key string, lifetime time.Duration) bool {
	t.Helper()
	response, err := ttl.Expire(t.Context(), &keyvaluev1.ExpireRequest{Key: key, Ttl: durationpb.New(lifetime)})
	require.NoError(t, err, "Expire %.80q", key)
	return response.GetFound()
}

func requirePersist(t *testing.T, ttl keyvaluev1.TTL, key string, found, persisted bool) {
	t.Helper()
	response, err := ttl.Persist(t.Context(), &keyvaluev1.PersistRequest{Key: key})
	require.NoError(t, err, "Persist %.80q", key)
	require.Equal(t, found, response.GetFound(), "found")
	require.Equal(t, persisted, response.GetPersisted(), "persisted")
}

// requireTTL fails unless a key's time to live is more than one duration and at most another.
func requireTTL(t *testing.T, ttl keyvaluev1.TTL, key string, over, atMost time.Duration) {
	t.Helper()
	response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: key})
	require.NoError(t, err, "GetTTL %.80q", key)
	require.True(t, response.GetFound(), "%.80q is there", key)
	require.NotNil(t, response.GetTtl(), "%.80q has a time to live", key)
	require.Greater(t, response.GetTtl().AsDuration(), over)
	require.LessOrEqual(t, response.GetTtl().AsDuration(), atMost)
}

// requireNoTTL fails unless a key is there and does not expire.
func requireNoTTL(t *testing.T, ttl keyvaluev1.TTL, key string) {
	t.Helper()
	response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: key})
	require.NoError(t, err, "GetTTL %.80q", key)
	require.True(t, response.GetFound(), "%.80q is there", key)
	require.Nil(t, response.GetTtl(), "%.80q has no time to live", key)
}

func requireTTLMissing(t *testing.T, ttl keyvaluev1.TTL, key string) {
	t.Helper()
	response, err := ttl.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: key})
	require.NoError(t, err, "GetTTL %.80q", key)
	require.False(t, response.GetFound(), "%.80q is missing", key)
	require.Nil(t, response.GetTtl(), "a missing key has no time to live")
}

func waitUntilMissing(t *testing.T, basic keyvaluev1.Basic, key string) {
	t.Helper()
	expect.Eventually(t, "the key expires", func() bool { return !exists(t, basic, key) })
	requireMissing(t, basic, key)
}

// expired leaves a key that has expired just now.
func expired(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL, key string) {
	t.Helper()
	setWithTTL(t, ttl, key, []byte("value"), 5*time.Millisecond)
	waitUntilMissing(t, basic, key)
}

// requireOutlives gives a key a short time to live, has it prolonged, and fails if the key is gone after that time. prolong tells whether it found the key. On a
// machine so slow that the time has passed before, it begins again with a longer one.
func requireOutlives(t *testing.T, basic keyvaluev1.Basic, ttl keyvaluev1.TTL, key string, prolong func(key string) bool) {
	t.Helper()
	for lifetime := short; ; lifetime *= 2 {
		require.Less(t, lifetime, expect.Patience, "the implementation is too slow to be tested")
		begin := time.Now()
		setWithTTL(t, ttl, key, []byte("value"), lifetime)
		if !prolong(key) {
			require.GreaterOrEqual(t, time.Since(begin), lifetime, "the key is gone early")
			continue
		}
		setWithTTL(t, ttl, "control", []byte("value"), lifetime)
		waitUntilMissing(t, basic, "control")
		requireValue(t, basic, key, []byte("value"))
		return
	}
}
