package memstore_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/memstore"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/runtime/backend"
)

func TestSameNamespaceIsTheSameData(t *testing.T) {
	store := open(t, nil)
	set(t, namespace(t, store, "orders"), "key", "value")
	response, err := namespace(t, store, "orders").KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
	require.NoError(t, err)
	require.Equal(t, "value", string(response.GetValue()))
}

func TestNamespacesAreSeparateWhateverTheirNames(t *testing.T) {
	store := open(t, nil)
	names := []string{
		"", "a", "A", "aa", "a:", "a/", "a/b", "a.b", "..", "../a", "*", "a*", "{a}", "%", "_", "\x00", "a\x00", "\n", "日本語", "á", "a\u0301",
		strings.Repeat("n", 200), strings.Repeat("n", 10_000),
	}
	tokens := make([]string, len(names))
	for i, name := range names {
		interfaces := namespace(t, store, name)
		set(t, interfaces, "key", name)
		set(t, interfaces, "other", name)
		require.NoError(t, interfaces.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1}, func(response *keyvaluev1.ScanKeysResponse) error {
			tokens[i] = response.GetPageToken()
			return nil
		}))
	}
	for i, name := range names {
		interfaces := namespace(t, store, name)
		require.Equal(t, name, get(t, interfaces, "key"))
		for j, token := range tokens {
			err := interfaces.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1, PageToken: token}, func(*keyvaluev1.ScanKeysResponse) error { return nil })
			if i == j {
				require.NoError(t, err)
			} else {
				require.Equal(t, fault.InvalidArgument, fault.CodeOf(err), "the token of %q in %q", names[j], name)
			}
		}
	}
}

func TestTokenOfAnotherStoreIsInvalid(t *testing.T) {
	one, other := namespace(t, open(t, nil), "name"), namespace(t, open(t, nil), "name")
	var token string
	for _, interfaces := range []*prism.Interfaces{one, other} {
		set(t, interfaces, "a", "value")
		set(t, interfaces, "b", "value")
	}
	keep := func(response *keyvaluev1.ScanKeysResponse) error { token = response.GetPageToken(); return nil }
	require.NoError(t, one.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1}, keep))
	require.NotEmpty(t, token)
	err := other.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1, PageToken: token}, keep)
	require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
}

func TestPageHoldsNoMoreThanItsSize(t *testing.T) {
	interfaces := namespace(t, open(t, nil), "name")
	for i := range 1000 {
		set(t, interfaces, fmt.Sprint("key-", i), "value")
	}
	seen := make(map[string]bool)
	token, pages := "", 0
	for more := true; more; pages++ {
		sent := 0
		require.NoError(t, interfaces.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 10, PageToken: token}, func(response *keyvaluev1.ScanKeysResponse) error {
			sent++
			require.False(t, seen[response.GetKey()], "a key came twice")
			seen[response.GetKey()] = true
			token = response.GetPageToken()
			require.Equal(t, sent == 10 && len(seen) < 1000, token != "")
			return nil
		}))
		require.Equal(t, 10, sent)
		more = token != ""
	}
	require.Equal(t, 100, pages)
}

func TestClosedStoreHasNoNamespaces(t *testing.T) {
	store, err := memstore.Open(t.Context(), backend.Env{}, nil)
	require.NoError(t, err)
	require.NoError(t, store.Close(t.Context()))
	_, err = store.Namespace(t.Context(), "name")
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		store, err := memstore.Open(t.Context(), backend.Env{}, nil)
		require.NoError(t, err)
		for n := range 10 {
			interfaces := namespace(t, store, strconv.Itoa(n))
			for i := range 20 {
				setWithTTL(t, interfaces, strconv.Itoa(i), "value", time.Duration(i+1)*time.Millisecond)
				_, err := interfaces.KeyValueTransactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{Timeout: durationpb.New(time.Duration(i+1) * time.Millisecond)})
				require.NoError(t, err)
			}
		}
		require.NoError(t, store.Close(t.Context()))
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before })
}

func TestEmptyNamespaceIsSmall(t *testing.T) {
	store := open(t, nil)
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	const namespaces = 1000
	for i := range namespaces {
		namespace(t, store, strconv.Itoa(i))
	}
	each := (int64(heap()) - int64(before)) / namespaces // what others leave behind may make it look smaller
	runtime.KeepAlive(store)
	t.Logf("an empty namespace takes %d bytes", each)
	require.Less(t, each, int64(8<<10))
}

// bounded returns a namespace that may hold 100 bytes.
func bounded(t *testing.T) *prism.Interfaces {
	t.Helper()
	return namespace(t, open(t, &backendsv1.MemStore{MaxBytes: 100}), "name")
}

// requireRoom fails unless a namespace has room for just so many bytes. It leaves the namespace as it was.
func requireRoom(t *testing.T, interfaces *prism.Interfaces, want int) {
	t.Helper()
	if want > 0 {
		require.NoError(t, trySet(t, interfaces, "?", strings.Repeat("x", want-1)), "there is room for %d bytes", want)
		_, err := interfaces.KeyValueBasic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: "?"})
		require.NoError(t, err)
	}
	requireFull(t, trySet(t, interfaces, "?", strings.Repeat("x", want)))
}

func requireFull(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err), "%v", err)
	require.Contains(t, err.Error(), "max_bytes")
	require.Contains(t, err.Error(), "100 bytes")
}

func TestMaxBytesCountsKeysAndValues(t *testing.T) {
	interfaces := bounded(t)
	requireRoom(t, interfaces, 100)
	set(t, interfaces, "key", strings.Repeat("v", 57))
	requireRoom(t, interfaces, 40)
	requireFull(t, trySet(t, interfaces, "other", strings.Repeat("v", 36)))
	set(t, interfaces, "other", strings.Repeat("v", 35))
	requireRoom(t, interfaces, 0)
	require.Equal(t, strings.Repeat("v", 57), get(t, interfaces, "key"))
}

func TestMaxBytesCountsTheDifferenceOfAnOverwrite(t *testing.T) {
	interfaces := bounded(t)
	set(t, interfaces, "key", strings.Repeat("v", 97))
	set(t, interfaces, "key", strings.Repeat("w", 97)) // no more than before
	requireFull(t, trySet(t, interfaces, "key", strings.Repeat("v", 98)))
	require.Equal(t, strings.Repeat("w", 97), get(t, interfaces, "key"), "a refused write changes nothing")
	set(t, interfaces, "key", "v")
	requireRoom(t, interfaces, 96)
	setWithTTL(t, interfaces, "key", strings.Repeat("v", 7), time.Hour)
	requireRoom(t, interfaces, 90)
}

func TestMaxBytesIsGivenBackByDeletes(t *testing.T) {
	interfaces := bounded(t)
	fill := func() { set(t, interfaces, "key", strings.Repeat("v", 97)); requireRoom(t, interfaces, 0) }
	ctx := t.Context()
	fill()
	_, err := interfaces.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: "key"})
	require.NoError(t, err)
	requireRoom(t, interfaces, 100)
	fill()
	_, err = interfaces.KeyValueBatch.BatchDelete(ctx, &keyvaluev1.BatchDeleteRequest{Keys: []string{"key", "missing", "key"}})
	require.NoError(t, err)
	requireRoom(t, interfaces, 100)
	fill()
	_, err = interfaces.KeyValueCAS.CompareAndDelete(ctx, &keyvaluev1.CompareAndDeleteRequest{Key: "key", Expected: []byte(strings.Repeat("v", 97))})
	require.NoError(t, err)
	requireRoom(t, interfaces, 100)
	fill()
	begun, err := interfaces.KeyValueTransactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
	require.NoError(t, err)
	_, err = interfaces.KeyValueTransactional.DeleteInTransaction(ctx, &keyvaluev1.DeleteInTransactionRequest{Transaction: begun.GetTransaction(), Key: "key"})
	require.NoError(t, err)
	_, err = interfaces.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: begun.GetTransaction()})
	require.NoError(t, err)
	requireRoom(t, interfaces, 100)
}

func TestMaxBytesIsGivenBackAtOnceByExpiry(t *testing.T) {
	interfaces := bounded(t)
	for _, write := range []func() error{
		func() error { return trySet(t, interfaces, "other", strings.Repeat("v", 95)) },
		func() error {
			response, err := interfaces.KeyValueBatch.BatchSet(t.Context(), &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "other", Value: make([]byte, 95)}}})
			require.Zero(t, response.GetStatuses()[0].GetCode())
			return err
		},
		func() error {
			_, err := interfaces.KeyValueCAS.CompareAndSwap(t.Context(), &keyvaluev1.CompareAndSwapRequest{Key: "other", Value: make([]byte, 95)})
			return err
		},
		func() error {
			begun, err := interfaces.KeyValueTransactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
			require.NoError(t, err)
			_, err = interfaces.KeyValueTransactional.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: begun.GetTransaction(), Key: "other", Value: make([]byte, 95)})
			require.NoError(t, err)
			_, err = interfaces.KeyValueTransactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: begun.GetTransaction()})
			return err
		},
	} {
		setWithTTL(t, interfaces, "key", strings.Repeat("v", 97), 2*time.Millisecond)
		eventually(t, func() bool { return get(t, interfaces, "key") == "" })
		require.NoError(t, write(), "an expired key takes no room")
		requireRoom(t, interfaces, 0)
		_, err := interfaces.KeyValueBasic.Delete(t.Context(), &keyvaluev1.DeleteRequest{Key: "other"})
		require.NoError(t, err)
	}
}

func TestMaxBytesRefusesItemsOfABatchOneByOne(t *testing.T) {
	interfaces := bounded(t)
	response, err := interfaces.KeyValueBatch.BatchSet(t.Context(), &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{
		{Key: "a", Value: make([]byte, 200)}, // replaced by a later item, which is stored
		{Key: "b"},                           // replaced by a later item, which is refused
		{Key: "c", Value: make([]byte, 10)},
		{Key: "a", Value: make([]byte, 20)},
		{Key: "b", Value: make([]byte, 200)},
	}})
	require.NoError(t, err)
	var codes []fault.Code
	for _, status := range response.GetStatuses() {
		codes = append(codes, fault.Code(status.GetCode()))
		if status.GetCode() != 0 {
			require.Contains(t, status.GetMessage(), "max_bytes")
		}
	}
	require.Equal(t, []fault.Code{fault.OK, fault.ResourceExhausted, fault.OK, fault.OK, fault.ResourceExhausted}, codes)
	requireRoom(t, interfaces, 100-21-11)
	require.Empty(t, get(t, interfaces, "b"))
}

func TestMaxBytesRefusesATransactionWhole(t *testing.T) {
	interfaces := bounded(t)
	set(t, interfaces, "old", "old")
	ctx := t.Context()
	begun, err := interfaces.KeyValueTransactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
	require.NoError(t, err)
	for _, key := range []string{"a", "b", "old"} {
		_, err = interfaces.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: begun.GetTransaction(), Key: key, Value: make([]byte, 40)})
		require.NoError(t, err)
	}
	_, err = interfaces.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: begun.GetTransaction()})
	requireFull(t, err)
	require.Equal(t, "old", get(t, interfaces, "old"))
	requireRoom(t, interfaces, 94)
	_, err = interfaces.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: begun.GetTransaction()})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err), "it has ended")
}

func TestMaxBytesBoundsEachNamespace(t *testing.T) {
	store := open(t, &backendsv1.MemStore{MaxBytes: 100})
	for _, name := range []string{"one", "other"} {
		interfaces := namespace(t, store, name)
		set(t, interfaces, "key", strings.Repeat("v", 97))
		requireRoom(t, interfaces, 0)
	}
}

func TestMaxBytesIsExactUnderConcurrency(t *testing.T) {
	const limit = 20_000
	interfaces := namespace(t, open(t, &backendsv1.MemStore{MaxBytes: limit}), "name")
	ctx := t.Context()
	var group sync.WaitGroup
	var refused atomic.Int64
	for client := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(client), 3))
			for range 3000 {
				key, value := fmt.Sprint("key-", random.IntN(100)), make([]byte, random.IntN(600))
				var err error
				switch random.IntN(8) {
				case 0:
					_, err = interfaces.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: key})
				case 1:
					_, err = interfaces.KeyValueTTL.SetWithTTL(ctx, &keyvaluev1.SetWithTTLRequest{Key: key, Value: value, Ttl: durationpb.New(time.Duration(1+random.IntN(20)) * time.Millisecond)})
				case 2:
					_, err = interfaces.KeyValueBatch.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: key, Value: value}, {Key: "other"}, {Key: key}}})
				case 3:
					_, err = interfaces.KeyValueCAS.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: key, Value: value})
				case 4:
					begun, beginErr := interfaces.KeyValueTransactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
					if beginErr != nil {
						err = beginErr
						break
					}
					handle := begun.GetTransaction()
					_, _ = interfaces.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: key, Value: value})
					_, _ = interfaces.KeyValueTransactional.DeleteInTransaction(ctx, &keyvaluev1.DeleteInTransactionRequest{Transaction: handle, Key: key + "0"})
					_, err = interfaces.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
				default:
					_, err = interfaces.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: value})
				}
				switch fault.CodeOf(err) {
				case fault.OK:
				case fault.ResourceExhausted:
					refused.Add(1)
				default:
					t.Errorf("%v", err)
				}
			}
		})
	}
	group.Wait()
	require.Positive(t, refused.Load(), "the limit was reached")
	// When nothing expires any more, what is there and what is left must add up to the limit, to the byte.
	eventually(t, func() bool {
		expiring := false
		for i := range 100 {
			response, err := interfaces.KeyValueTTL.GetTTL(ctx, &keyvaluev1.GetTTLRequest{Key: fmt.Sprint("key-", i)})
			require.NoError(t, err)
			expiring = expiring || response.GetTtl() != nil
		}
		return !expiring
	})
	used := 0
	require.NoError(t, interfaces.KeyValueScan.Scan(ctx, &keyvaluev1.ScanRequest{}, func(response *keyvaluev1.ScanResponse) error {
		used += len(response.GetKey()) + len(response.GetValue())
		return nil
	}))
	require.LessOrEqual(t, used, limit)
	require.NoError(t, trySet(t, interfaces, "?", strings.Repeat("x", limit-used-1)))
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(trySet(t, interfaces, "?", strings.Repeat("x", limit-used))))
}

func TestMaxOpenTransactionsIsExact(t *testing.T) {
	interfaces := namespace(t, open(t, &backendsv1.MemStore{MaxOpenTransactions: 3}), "name").KeyValueTransactional
	begin := func(timeout time.Duration) (string, error) {
		response, err := interfaces.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{Timeout: durationpb.New(timeout)})
		return response.GetTransaction(), err
	}
	requireFull := func() {
		t.Helper()
		_, err := begin(time.Minute)
		require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
		require.Contains(t, err.Error(), "max_open_transactions")
		require.Contains(t, err.Error(), "3")
	}
	var handles []string
	for range 3 {
		handle, err := begin(time.Minute)
		require.NoError(t, err)
		handles = append(handles, handle)
	}
	requireFull()
	_, err := interfaces.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handles[0]})
	require.NoError(t, err)
	_, err = begin(time.Minute)
	require.NoError(t, err, "a commit gives a place back")
	requireFull()
	_, err = interfaces.Rollback(t.Context(), &keyvaluev1.RollbackRequest{Transaction: handles[1]})
	require.NoError(t, err)
	_, err = interfaces.Rollback(t.Context(), &keyvaluev1.RollbackRequest{Transaction: handles[1]})
	require.NoError(t, err)
	_, err = begin(time.Millisecond)
	require.NoError(t, err, "a rollback gives one place back, and not two")
	eventually(t, func() bool { _, err := begin(time.Millisecond); return err == nil }) // a timeout gives a place back
}

func TestMaxOpenTransactionsIs10000ByDefault(t *testing.T) {
	interfaces := namespace(t, open(t, nil), "name").KeyValueTransactional
	for range 10_000 {
		_, err := interfaces.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
		require.NoError(t, err)
	}
	_, err := interfaces.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
}

func TestTransactionThatIsNotOpenHasAReason(t *testing.T) {
	interfaces := namespace(t, open(t, nil), "name").KeyValueTransactional
	_, err := interfaces.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: "unknown"})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	require.Equal(t, "TRANSACTION_NOT_OPEN", fault.ReasonOf(err))
}

// open opens a store that is closed at the end of the test.
func open(t testing.TB, config *backendsv1.MemStore) *memstore.Store {
	t.Helper()
	store, err := memstore.Open(t.Context(), backend.Env{}, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(t.Context())) })
	return store
}

// namespace returns the interfaces of a namespace.
func namespace(t testing.TB, store *memstore.Store, name string) *prism.Interfaces {
	t.Helper()
	interfaces, err := store.Namespace(t.Context(), name)
	require.NoError(t, err)
	return interfaces.Interfaces()
}

func trySet(t testing.TB, interfaces *prism.Interfaces, key, value string) error {
	t.Helper()
	_, err := interfaces.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
	return err
}

func set(t testing.TB, interfaces *prism.Interfaces, key, value string) {
	t.Helper()
	require.NoError(t, trySet(t, interfaces, key, value))
}

func setWithTTL(t testing.TB, interfaces *prism.Interfaces, key, value string, lifetime time.Duration) {
	t.Helper()
	_, err := interfaces.KeyValueTTL.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: key, Value: []byte(value), Ttl: durationpb.New(lifetime)})
	require.NoError(t, err)
}

// get returns a value, or "" when there is none.
func get(t testing.TB, interfaces *prism.Interfaces, key string) string {
	t.Helper()
	response, err := interfaces.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
	require.NoError(t, err)
	return string(response.GetValue())
}

// eventually waits on the test's own goroutine, unlike require.Eventually: what it waits for may be that there are fewer.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		require.False(t, time.Now().After(end), "not within 30 s")
	}
}

func TestOpenTransactionsAreBoundedInBytes(t *testing.T) {
	kv := namespace(t, open(t, nil), "name").KeyValueTransactional
	value := make([]byte, 1<<20)
	var handles []string
	write := func(handle string, key int) error {
		_, err := kv.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: strconv.Itoa(key), Value: value})
		return err
	}
	begin := func() string {
		begun, err := kv.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
		require.NoError(t, err)
		return begun.GetTransaction()
	}
	for range 64 {
		handle := begin()
		handles = append(handles, handle)
		for key := range 4 {
			require.NoError(t, write(handle, key))
		}
		require.NoError(t, write(handle, 3), "writing a key again takes no more room")
	}
	late := begin()
	err := write(late, 0)
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err))
	require.ErrorContains(t, err, "open transactions of the namespace")

	// What ends gives its room back, however it ends; what is deleted too.
	_, err = kv.Rollback(t.Context(), &keyvaluev1.RollbackRequest{Transaction: handles[0]})
	require.NoError(t, err)
	for key := range 4 {
		require.NoError(t, write(late, key))
	}
	_, err = kv.DeleteInTransaction(t.Context(), &keyvaluev1.DeleteInTransactionRequest{Transaction: late, Key: "0"})
	require.NoError(t, err)
	require.NoError(t, write(begin(), 0))
	_, err = kv.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handles[1]})
	require.NoError(t, err)
	require.NoError(t, write(begin(), 0))
}
