package memstore

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/backend"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// inBubble runs a test with a namespace whose clock jumps to the next timer whenever everybody waits.
func inBubble(t *testing.T, test func(t *testing.T, k *keyValue)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(t.Context(), backend.Env{}, nil)
		require.NoError(t, err)
		space, err := store.space("name")
		require.NoError(t, err)
		test(t, space.keyValue)
		require.NoError(t, store.Close(t.Context()))
	})
}

// pass lets time pass, and what is due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (k *keyValue) setWithTTL(t *testing.T, key string, lifetime time.Duration) {
	t.Helper()
	_, err := k.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: key, Value: []byte("value"), Ttl: durationpb.New(lifetime)})
	require.NoError(t, err)
}

// held returns how many entries and timers are in memory, expired or not.
func (k *keyValue) held() (entries, timers int) {
	for _, shard := range k.made {
		shard.mu.RLock()
		entries += len(shard.entries)
		timers += len(shard.timers)
		shard.mu.RUnlock()
	}
	return entries, timers
}

func requireHeld(t *testing.T, k *keyValue, wantEntries, wantTimers int) {
	t.Helper()
	entries, timers := k.held()
	require.Equal(t, wantEntries, entries, "entries in memory")
	require.Equal(t, wantTimers, timers, "timers in memory")
}

func TestShardIsOneCacheLine(t *testing.T) {
	require.EqualValues(t, 64, unsafe.Sizeof(shard{}))
}

func TestExpiredKeysAreCollected(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		for i := range 3000 {
			k.setWithTTL(t, fmt.Sprint("soon-", i), time.Second)
			k.setWithTTL(t, fmt.Sprint("late-", i), time.Hour)
			require.True(t, k.trySet(fmt.Sprint("never-", i), nil, 0))
		}
		requireHeld(t, k, 9000, 6000)
		pass(time.Second + time.Duration(sweepInterval))
		requireHeld(t, k, 6000, 3000)
		pass(time.Hour)
		requireHeld(t, k, 3000, 0)
		require.EqualValues(t, never, k.sweeper.due, "nothing is left to sweep")
	})
}

func TestKeyIsAbsentAtItsDeadlineAndNotBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		k.setWithTTL(t, "key", time.Second)
		pass(time.Second - 1)
		_, found := k.get("key")
		require.True(t, found)
		response, err := k.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: "key"})
		require.NoError(t, err)
		require.Equal(t, time.Millisecond, response.GetTtl().AsDuration(), "a nanosecond is rounded up")
		time.Sleep(time.Nanosecond)
		_, found = k.get("key")
		require.False(t, found)
	})
}

func TestTimeToLiveIsRoundedUpToWholeMilliseconds(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		k.setWithTTL(t, "key", time.Second+1)
		response, err := k.GetTTL(t.Context(), &keyvaluev1.GetTTLRequest{Key: "key"})
		require.NoError(t, err)
		require.Equal(t, time.Second+time.Millisecond, response.GetTtl().AsDuration())
		time.Sleep(time.Second + time.Millisecond - 1)
		_, found := k.get("key")
		require.True(t, found)
	})
}

func TestNamespaceWithoutTimesToLiveHasNoTimer(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		for i := range 100 {
			require.True(t, k.trySet(fmt.Sprint(i), nil, 0))
		}
		pass(time.Hour)
		require.Nil(t, k.sweeper.timer)
	})
}

func TestSweepsAreNoMoreOftenThanTheInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		sweeps := 0
		sweep := k.sweeper.sweep
		k.sweeper.sweep = func() int64 { sweeps++; return sweep() }
		for i := range 1000 { // ten seconds in which a key expires every ten milliseconds
			k.setWithTTL(t, fmt.Sprint(i), 5*time.Millisecond)
			pass(10 * time.Millisecond)
		}
		pass(time.Second)
		requireHeld(t, k, 0, 0)
		require.LessOrEqual(t, sweeps, 23)
		require.GreaterOrEqual(t, sweeps, 15)
	})
}

func TestEarlierDeadlineBringsTheSweepForward(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		k.setWithTTL(t, "late", time.Hour)
		k.setWithTTL(t, "soon", time.Minute)
		pass(time.Minute + time.Millisecond)
		requireHeld(t, k, 1, 1)
	})
}

func TestRefreshedTimesToLiveTakeNoMemory(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		for i := range 10_000 {
			k.setWithTTL(t, "key", time.Hour+time.Duration(i)*time.Second)
			_, err := k.Expire(t.Context(), &keyvaluev1.ExpireRequest{Key: "key", Ttl: durationpb.New(time.Minute)})
			require.NoError(t, err)
		}
		requireHeld(t, k, 1, 1)
		_, err := k.Persist(t.Context(), &keyvaluev1.PersistRequest{Key: "key"})
		require.NoError(t, err)
		requireHeld(t, k, 1, 0)
	})
}

func TestTransactionLives30SecondsByDefault(t *testing.T) {
	inBubble(t, func(t *testing.T, k *keyValue) {
		begun, err := k.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
		require.NoError(t, err)
		handle := begun.GetTransaction()
		pass(30*time.Second - 1)
		_, err = k.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "key"})
		require.NoError(t, err)
		pass(time.Nanosecond)
		_, err = k.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handle})
		require.Error(t, err)
		_, held := k.transactions.open.Load(handle)
		require.False(t, held, "it is not in memory any more")
		require.Zero(t, k.transactions.count.Load())
	})
}
