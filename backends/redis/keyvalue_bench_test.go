package redis_test

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/backends/redis"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// BenchmarkGet reads random keys by 128 callers at once.
func BenchmarkGet(b *testing.B) { benchmark(b, 128, false) }

// BenchmarkGetAlone reads random keys by one caller.
func BenchmarkGetAlone(b *testing.B) { benchmark(b, 0, false) }

// BenchmarkSet writes random keys by 128 callers at once.
func BenchmarkSet(b *testing.B) { benchmark(b, 128, true) }

func benchmark(b *testing.B, callers int, write bool) {
	b.Helper()
	status := new(backend.Status)
	store, err := redis.Open(b.Context(), backend.Env{Status: status}, &backendsv1.Redis{Address: testenv.Shared(b, testenv.Redis).Address()})
	require.NoError(b, err)
	defer func() { require.NoError(b, store.Close(b.Context())) }()
	interfaces, err := store.Namespace(b.Context(), rand.Text())
	require.NoError(b, err)
	basic := interfaces.Interfaces().KeyValueBasic
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprint("key:", i)
		_, err := basic.Set(b.Context(), &keyvaluev1.SetRequest{Key: keys[i], Value: make([]byte, 100)})
		require.NoError(b, err)
	}
	call := func() error {
		key := keys[mrand.IntN(len(keys))]
		if write {
			_, err := basic.Set(b.Context(), &keyvaluev1.SetRequest{Key: key, Value: make([]byte, 100)})
			return err
		}
		_, err := basic.Get(b.Context(), &keyvaluev1.GetRequest{Key: key})
		return err
	}
	b.ReportAllocs()
	if callers == 0 {
		for b.Loop() {
			require.NoError(b, call())
		}
		return
	}
	lane := status.Batches(map[bool]string{false: "read", true: "write"}[write])
	batchesBefore, callsBefore, _ := lane.Histogram()
	defer func() {
		batches, calls, _ := lane.Histogram()
		b.ReportMetric(float64(calls-callsBefore)/float64(batches-batchesBefore), "calls/batch")
	}()
	b.SetParallelism(callers)
	b.ResetTimer()
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			if err := call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
