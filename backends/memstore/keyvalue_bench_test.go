package memstore_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/gen/go/prism"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

const benchmarkKeys = 10_000

// benchmarkKey returns one of the keys that the benchmarks work on.
func benchmarkKey(i int) string { return fmt.Sprintf("user:%08d:profile", i%benchmarkKeys) }

// benchmarked returns a namespace of 10,000 keys with values of 100 bytes.
func benchmarked(t testing.TB) *prism.Interfaces {
	t.Helper()
	interfaces := namespace(t, open(t, nil), "name")
	for i := range benchmarkKeys {
		_, err := interfaces.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: benchmarkKey(i), Value: make([]byte, 100)})
		require.NoError(t, err)
	}
	return interfaces
}

func getRequests() []*keyvaluev1.GetRequest {
	requests := make([]*keyvaluev1.GetRequest, benchmarkKeys)
	for i := range requests {
		requests[i] = &keyvaluev1.GetRequest{Key: benchmarkKey(i)}
	}
	return requests
}

// TestGetAllocatesItsResponseOnly holds Get to what the package promises.
func TestGetAllocatesItsResponseOnly(t *testing.T) {
	basic, ctx, requests := benchmarked(t).KeyValueBasic, t.Context(), getRequests()
	i := 0
	allocations := testing.AllocsPerRun(1000, func() {
		i++
		if response, err := basic.Get(ctx, requests[i%benchmarkKeys]); err != nil || !response.GetFound() {
			t.Error("the key is missing")
		}
	})
	require.InDelta(t, 1, allocations, 0.001)
}

func BenchmarkGet(b *testing.B) {
	basic, ctx, requests := benchmarked(b).KeyValueBasic, b.Context(), getRequests()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		_, _ = basic.Get(ctx, requests[i%benchmarkKeys])
		i++
	}
}

func BenchmarkGetParallel(b *testing.B) {
	basic, ctx, requests := benchmarked(b).KeyValueBasic, b.Context(), getRequests()
	b.ReportAllocs()
	b.ResetTimer()
	var clients atomic.Int64
	b.RunParallel(func(loop *testing.PB) {
		for i := int(clients.Add(1)) * 1000; loop.Next(); i++ {
			_, _ = basic.Get(ctx, requests[i%benchmarkKeys])
		}
	})
}

// BenchmarkGetParallelOneKey is the worst case of the locks: everybody wants the same shard.
func BenchmarkGetParallelOneKey(b *testing.B) {
	basic, ctx := benchmarked(b).KeyValueBasic, b.Context()
	request := &keyvaluev1.GetRequest{Key: benchmarkKey(1)}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			_, _ = basic.Get(ctx, request)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	basic, ctx, keys := benchmarked(b).KeyValueBasic, b.Context(), getRequests()
	value := make([]byte, 100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		_, _ = basic.Set(ctx, &keyvaluev1.SetRequest{Key: keys[i%benchmarkKeys].GetKey(), Value: value})
		i++
	}
}

func BenchmarkSetParallel(b *testing.B) {
	basic, ctx, keys := benchmarked(b).KeyValueBasic, b.Context(), getRequests()
	value := make([]byte, 100)
	b.ReportAllocs()
	b.ResetTimer()
	var clients atomic.Int64
	b.RunParallel(func(loop *testing.PB) {
		for i := int(clients.Add(1)) * 1000; loop.Next(); i++ {
			_, _ = basic.Set(ctx, &keyvaluev1.SetRequest{Key: keys[i%benchmarkKeys].GetKey(), Value: value})
		}
	})
}

func BenchmarkBatchGet100(b *testing.B) {
	batch, ctx := benchmarked(b).KeyValueBatch, b.Context()
	request := &keyvaluev1.BatchGetRequest{}
	for i := range 100 {
		request.Keys = append(request.Keys, benchmarkKey(i*7))
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = batch.BatchGet(ctx, request)
	}
}

func BenchmarkScanKeysPageOf100(b *testing.B) {
	scan, ctx := benchmarked(b).KeyValueScan, b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_ = scan.ScanKeys(ctx, &keyvaluev1.ScanKeysRequest{PageSize: 100}, func(*keyvaluev1.ScanKeysResponse) error { return nil })
	}
}

func BenchmarkTransactionOfTwoKeys(b *testing.B) {
	transactional, ctx := benchmarked(b).KeyValueTransactional, b.Context()
	b.ReportAllocs()
	for b.Loop() {
		begun, _ := transactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
		for i := range 2 {
			key := "account:" + strconv.Itoa(i)
			_, _ = transactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: begun.GetTransaction(), Key: key})
			_, _ = transactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: begun.GetTransaction(), Key: key})
		}
		if _, err := transactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: begun.GetTransaction()}); err != nil {
			b.Fatal(err)
		}
	}
}
