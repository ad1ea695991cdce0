package redis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/prismgate/prism/backends/redis"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

func set(t require.TestingT, ctx context.Context, i *prism.Interfaces, key, value string) {
	_, err := i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
	require.NoError(t, err)
}

func scan(t require.TestingT, ctx context.Context, i *prism.Interfaces) map[string]string {
	found := map[string]string{}
	err := i.KeyValueScan.Scan(ctx, &keyvaluev1.ScanRequest{}, func(response *keyvaluev1.ScanResponse) error {
		found[response.GetKey()] = string(response.GetValue())
		return nil
	})
	require.NoError(t, err)
	return found
}

// hostile draws the names of namespaces that would escape from a careless encoding.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "a:", "a:v", "a}:v:", "{a}", "}", "{", "%", "%61", "%25", "*", "a*", "?", "[a]", "\\", "'", "\"", "..", "a/b", ">", "a b", "\r\n", "\x00", "\xff", "日本", strings.Repeat("x", 600)}),
		rapid.StringOfN(rapid.RuneFrom([]rune("a:{}%*\x00/.é")), 0, 6, -1),
	)
}

// TestNamespacesDoNotSeeEachOther writes to namespaces with hostile names, by two gateways, and compares with a model of each.
func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	server := testenv.Shared(t, testenv.Redis)
	rapid.Check(t, func(t *rapid.T) {
		prefix := "p" + rand.Text()
		var stores []*redis.Store
		for range 2 {
			store, err := redis.Open(context.Background(), backend.Env{}, &backendsv1.Redis{Address: server.Address(), Prefix: prefix})
			require.NoError(t, err)
			defer func() { require.NoError(t, store.Close(context.Background())) }()
			stores = append(stores, store)
		}
		names := rapid.SliceOfNDistinct(hostile(), 2, 5, rapid.ID[string]).Draw(t, "names")
		models := make([]map[string]string, len(names))
		for i := range models {
			models[i] = map[string]string{}
		}
		keys := rapid.SampledFrom([]string{"k", "a:v:k", "}:v:k", "*", "%", "k:", "日本"})
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			at := rapid.IntRange(0, len(names)-1).Draw(t, "namespace")
			opened, err := stores[rapid.IntRange(0, 1).Draw(t, "gateway")].Namespace(context.Background(), names[at])
			require.NoError(t, err)
			i, key := opened.Interfaces(), keys.Draw(t, "key")
			switch rapid.IntRange(0, 3).Draw(t, "operation") {
			case 0:
				value := rapid.String().Draw(t, "value")
				set(t, context.Background(), i, key, value)
				models[at][key] = value
			case 1:
				response, err := i.KeyValueBasic.Delete(context.Background(), &keyvaluev1.DeleteRequest{Key: key})
				require.NoError(t, err)
				_, there := models[at][key]
				require.Equal(t, there, response.GetDeleted())
				delete(models[at], key)
			case 2:
				response, err := i.KeyValueBasic.Get(context.Background(), &keyvaluev1.GetRequest{Key: key})
				require.NoError(t, err)
				value, there := models[at][key]
				require.Equal(t, there, response.GetFound())
				require.Equal(t, value, string(response.GetValue()))
			case 3:
				require.Equal(t, models[at], scan(t, context.Background(), i))
				count, err := i.KeyValueScan.Count(context.Background(), &keyvaluev1.CountRequest{})
				require.NoError(t, err)
				require.Len(t, models[at], int(count.GetCount()))
			}
		}
	})
}

// TestHandlesAreGoodOnAnotherGateway begins on one instance and goes on with another.
func TestHandlesAreGoodOnAnotherGateway(t *testing.T) {
	t.Parallel()
	config := &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address()}
	name := rand.Text()
	one, other := namespace(t, open(t, config), name), namespace(t, open(t, config), name)
	ctx := t.Context()

	for i := range 10 {
		set(t, ctx, one, fmt.Sprint(i), "value")
	}
	var keys []string
	page := func(i *prism.Interfaces, token string) (next string) {
		require.NoError(t, i.KeyValueScan.ScanKeys(ctx, &keyvaluev1.ScanKeysRequest{PageSize: 4, PageToken: token}, func(response *keyvaluev1.ScanKeysResponse) error {
			keys = append(keys, response.GetKey())
			next = response.GetPageToken()
			return nil
		}))
		return next
	}
	require.Empty(t, page(one, page(other, page(one, ""))))
	slices.Sort(keys)
	require.Equal(t, strings.Split("0123456789", ""), keys)

	begun, err := one.KeyValueTransactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{})
	require.NoError(t, err)
	handle := begun.GetTransaction()
	_, err = other.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "new", Value: []byte("written")})
	require.NoError(t, err)
	seen, err := one.KeyValueTransactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: "new"})
	require.NoError(t, err)
	require.Equal(t, "written", string(seen.GetValue()))
	_, err = other.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
	require.NoError(t, err)
	require.Equal(t, "written", scan(t, ctx, one)["new"])
	_, err = one.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
}

// TestCoalescedCallsGetTheirOwnAnswers makes many different calls at once, and looks at how many went together.
func TestCoalescedCallsGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	status := new(backend.Status)
	store, err := redis.Open(t.Context(), backend.Env{Status: status}, &backendsv1.Redis{Address: testenv.Shared(t, testenv.Redis).Address()})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close(t.Context())) }()
	spaces := []*prism.Interfaces{namespace(t, store, rand.Text()), namespace(t, store, rand.Text())}
	large := strings.Repeat("x", 70<<10)
	var group sync.WaitGroup
	for caller := range 64 {
		group.Go(func() {
			ctx, i := t.Context(), spaces[caller%2]
			for round := range 20 {
				key, value := fmt.Sprintf("%d/%d", caller, round), fmt.Sprint("value", caller, round)
				if caller == 0 {
					value = large
				}
				set(t, ctx, i, key, value)
				got, err := i.KeyValueBasic.Get(ctx, &keyvaluev1.GetRequest{Key: key})
				require.NoError(t, err)
				require.Equal(t, value, string(got.GetValue()))
				expired, err := i.KeyValueTTL.Expire(ctx, &keyvaluev1.ExpireRequest{Key: key, Ttl: durationpb.New(time.Hour)})
				require.NoError(t, err)
				require.True(t, expired.GetFound())
				left, err := i.KeyValueTTL.GetTTL(ctx, &keyvaluev1.GetTTLRequest{Key: key})
				require.NoError(t, err)
				require.Positive(t, left.GetTtl().AsDuration())
				persisted, err := i.KeyValueTTL.Persist(ctx, &keyvaluev1.PersistRequest{Key: key})
				require.NoError(t, err)
				require.True(t, persisted.GetFound() && persisted.GetPersisted())
				if round%2 == 0 {
					deleted, err := i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: key})
					require.NoError(t, err)
					require.True(t, deleted.GetDeleted())
				}
				there, err := i.KeyValueBasic.Exists(ctx, &keyvaluev1.ExistsRequest{Key: key})
				require.NoError(t, err)
				require.Equal(t, round%2 != 0, there.GetExists())
			}
		})
	}
	group.Wait()
	for _, i := range spaces {
		require.Len(t, scan(t, t.Context(), i), 32*10)
	}
	for _, lane := range []string{"read", "write"} {
		batches, calls, _ := status.Batches(lane).Histogram()
		require.Greater(t, calls, batches, "calls go together in lane %s", lane)
	}
}

// TestOneRefusedCallDoesNotFailItsCompany fills the server's memory: it refuses to store, and still removes and reads, also in one batch.
func TestOneRefusedCallDoesNotFailItsCompany(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	// One batch at a time: what comes while it is under way goes together.
	store := open(t, &backendsv1.Redis{Address: server.Address(), Coalescing: &configv1.Coalescing{MaxInFlight: 1}})
	i := namespace(t, store, "full")
	ctx := t.Context()
	const calls = 200
	for n := range calls {
		set(t, ctx, i, fmt.Sprint(n), "value")
	}
	require.NoError(t, direct.ConfigSet(ctx, "maxmemory", "1").Err())
	var group sync.WaitGroup
	for n := range calls {
		group.Go(func() {
			_, err := i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: fmt.Sprint("new", n), Value: []byte("value")})
			require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err), "%v", err)
		})
		group.Go(func() {
			response, err := i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: fmt.Sprint(n)})
			require.NoError(t, err)
			require.True(t, response.GetDeleted())
		})
	}
	group.Wait()
	items := []*keyvaluev1.BatchItem{{Key: "a"}, {Key: "b"}}
	response, err := i.KeyValueBatch.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: items})
	require.NoError(t, err)
	require.Len(t, response.GetStatuses(), 2)
	for _, status := range response.GetStatuses() {
		require.Equal(t, int32(fault.ResourceExhausted), status.GetCode())
	}
	_, err = i.KeyValueCAS.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: "a"})
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err), "%v", err)
	require.NoError(t, direct.ConfigSet(ctx, "maxmemory", "0").Err())
	require.Empty(t, scan(t, ctx, i))
}

// TestExpiredKeysLeaveTheIndex writes keys that expire, and looks at the index of a namespace that nobody enumerates.
func TestExpiredKeysLeaveTheIndex(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	i := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "brief")
	const written = 5000
	for n := range written {
		_, err := i.KeyValueTTL.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: fmt.Sprint(n), Ttl: durationpb.New(time.Millisecond)})
		require.NoError(t, err)
	}
	require.Less(t, direct.ZCard(t.Context(), "prism:{brief}:i").Val(), int64(written/2))
	require.Eventually(t, func() bool { return len(scan(t, t.Context(), i)) == 0 }, waiting, time.Millisecond)
	require.Zero(t, direct.Exists(t.Context(), "prism:{brief}:i").Val(), "who enumerates forgets the rest")
	require.Equal(t, int64(1), direct.DBSize(t.Context()).Val(), "the key of page tokens is left")
}

// TestTransactionsLeaveNothing ends transactions in each way, and looks at what is left of them.
func TestTransactionsLeaveNothing(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	i := namespace(t, open(t, &backendsv1.Redis{Address: server.Address()}), "n")
	ctx := t.Context()
	begin := func(timeout time.Duration) string {
		begun, err := i.KeyValueTransactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{Timeout: durationpb.New(timeout)})
		require.NoError(t, err)
		_, err = i.KeyValueTransactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: begun.GetTransaction(), Key: "key"})
		require.NoError(t, err)
		return begun.GetTransaction()
	}
	_, err := i.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: begin(time.Minute)})
	require.NoError(t, err)
	_, err = i.KeyValueTransactional.Rollback(ctx, &keyvaluev1.RollbackRequest{Transaction: begin(time.Minute)})
	require.NoError(t, err)
	changed := begin(time.Minute)
	set(t, ctx, i, "key", "value")
	_, err = i.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: changed})
	require.Equal(t, fault.Aborted, fault.CodeOf(err))
	require.Zero(t, direct.Exists(ctx, "prism:{n}:o").Val())
	begun, err := i.KeyValueTransactional.BeginTransaction(ctx, &keyvaluev1.BeginTransactionRequest{Timeout: durationpb.New(time.Millisecond)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return direct.Exists(ctx, "prism:{n}:t:"+begun.GetTransaction()).Val() == 0 }, waiting, time.Millisecond)
	last := begin(time.Minute)
	require.Equal(t, []string{last}, direct.ZRange(ctx, "prism:{n}:o", 0, -1).Val(), "who begins forgets those that have expired")
	require.Positive(t, direct.PTTL(ctx, "prism:{n}:o").Val())
}

// TestCallsFailWhileTheServerIsGone stops the server and starts it again.
func TestCallsFailWhileTheServerIsGone(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	status := new(backend.Status)
	i := namespace(t, openIn(t, backend.Env{Status: status}, &backendsv1.Redis{Address: server.Address(), Timeout: durationpb.New(5 * time.Second)}), "n")
	get := func() error {
		_, err := i.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
		return err
	}
	require.NoError(t, get())
	for name, fail := range map[string][2]func() error{
		"killed": {server.Kill, func() error { return server.Start(t.Context()) }},
		"frozen": {server.Freeze, server.Thaw},
	} {
		openings := status.Openings.Load()
		require.NoError(t, fail[0](), name)
		require.Equal(t, fault.Unavailable, fault.CodeOf(get()), name)
		_, err := i.KeyValueCAS.CompareAndSwap(t.Context(), &keyvaluev1.CompareAndSwapRequest{Key: "key"})
		require.Equal(t, fault.Unavailable, fault.CodeOf(err), name)
		require.Eventually(t, func() bool { _ = get(); return status.Openings.Load() > openings }, waiting, time.Millisecond, "the breaker opens: %s", name)
		require.NoError(t, fail[1](), name)
		require.Eventually(t, func() bool { return get() == nil }, waiting, time.Millisecond, "the breaker closes: %s", name)
	}
}

// TestAWriteIsNotRepeated stops the server and makes one call of each kind of write: a repetition might come to the server before the first attempt does, and others in between.
func TestAWriteIsNotRepeated(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	for name, call := range map[string]func(ctx context.Context, i *prism.Interfaces) error{
		"Set": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: "key"})
			return err
		},
		"Delete": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: "key"})
			return err
		},
		"Expire": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.KeyValueTTL.Expire(ctx, &keyvaluev1.ExpireRequest{Key: "key", Ttl: durationpb.New(time.Minute)})
			return err
		},
		"BatchSet": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.KeyValueBatch.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "key"}}})
			return err
		},
		"BatchDelete": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.KeyValueBatch.BatchDelete(ctx, &keyvaluev1.BatchDeleteRequest{Keys: []string{"key"}})
			return err
		},
		"ConfigureDeadLetter": func(ctx context.Context, i *prism.Interfaces) error {
			_, err := i.QueueDeadLetter.ConfigureDeadLetter(ctx, &queuev1.ConfigureDeadLetterRequest{Queue: "queue"})
			return err
		},
	} {
		status := new(backend.Status)
		store, err := redis.Open(t.Context(), backend.Env{Status: status}, &backendsv1.Redis{Address: server.Address()})
		require.NoError(t, err)
		i := namespace(t, store, "n")
		require.NoError(t, server.Kill())
		require.Equal(t, fault.Unavailable, fault.CodeOf(call(t.Context(), i)), name)
		require.Zero(t, status.Retries.Load(), name)
		require.NoError(t, store.Close(t.Context()))
		require.NoError(t, server.Start(t.Context()))
	}
}

// TestRightsAreAskedForEachCommand looks for the commands of scripts in what Open asks for.
func TestRightsAreAskedForEachCommand(t *testing.T) {
	t.Parallel()
	asked, err := os.ReadFile("rights.go")
	require.NoError(t, err)
	files, err := filepath.Glob("lua/*.lua")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`call\('([A-Za-z]+)'`).FindAllSubmatch(text, -1) {
			require.Regexp(t, `(?m)^\s*`+strings.ToLower(string(match[1]))+`\b`, string(asked), file)
		}
	}
}
