package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// patience is how long something may take that must happen some time.
const patience = 20 * time.Second

// connect makes a connection of the test's own, in a schema.
func connect(t *testing.T, dsn, schema string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	config.RuntimeParams["search_path"] = schema
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// shared makes a connection to the server that the tests share.
func shared(t *testing.T, schema string) *pgx.Conn {
	t.Helper()
	return connect(t, testenv.DSN(testenv.Shared(t, testenv.Postgres)), schema)
}

func execute(t *testing.T, conn *pgx.Conn, sql string, arguments ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, arguments...)
	require.NoError(t, err)
}

func number(t *testing.T, conn *pgx.Conn, sql string, arguments ...any) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), sql, arguments...).Scan(&n))
	return n
}

// waiting counts the connections that wait for a lock and have one on a table of the connection's schema, that is, on rows of the test's own.
func waiting(t *testing.T, conn *pgx.Conn, table string) int {
	t.Helper()
	return number(t, conn, `select count(*) from pg_stat_activity a where wait_event_type = 'Lock' and exists (select from pg_locks l where l.pid = a.pid and l.relation = $1::text::regclass)`, table)
}

// waitForALock waits until somebody waits for a row.
func waitForALock(t *testing.T, conn *pgx.Conn, table string) {
	t.Helper()
	require.Eventually(t, func() bool { return waiting(t, conn, table) > 0 }, patience, 5*time.Millisecond)
}

func set(t *testing.T, i *prism.Interfaces, key, value string) {
	t.Helper()
	_, err := i.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: key, Value: []byte(value)})
	require.NoError(t, err)
}

func get(t *testing.T, i *prism.Interfaces, key string) string {
	t.Helper()
	response, err := i.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: key})
	require.NoError(t, err)
	if !response.GetFound() {
		return "missing"
	}
	return string(response.GetValue())
}

func begin(t *testing.T, i *prism.Interfaces) string {
	t.Helper()
	response, err := i.KeyValueTransactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
	require.NoError(t, err)
	return response.GetTransaction()
}

func TestTwoGatewaysProvisionOnceAndShareTransactionsAndPageTokens(t *testing.T) {
	t.Parallel()
	name := schema()
	var both [2]*prism.Interfaces
	var errs [2]error
	var wait sync.WaitGroup
	for n := range both {
		store := open(t, &backendsv1.Postgres{Schema: name})
		wait.Go(func() {
			interfaces, err := store.Namespace(t.Context(), "orders")
			both[n], errs[n] = interfaces.Interfaces(), err
		})
	}
	wait.Wait()
	require.NoError(t, errs[0])
	require.NoError(t, errs[1])
	one, other := both[0], both[1]
	conn := shared(t, name)
	require.Equal(t, 1, number(t, conn, `select count(*) from namespaces`))
	require.Equal(t, number(t, conn, `select max(version) from migrations`), number(t, conn, `select count(*) from migrations`))

	ctx := t.Context()
	handle := begin(t, one)
	_, err := other.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "a", Value: []byte("1")})
	require.NoError(t, err)
	_, err = one.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "b", Value: []byte("2")})
	require.NoError(t, err)
	_, err = other.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
	require.NoError(t, err)
	require.Equal(t, "1", get(t, one, "a"))
	require.Equal(t, "2", get(t, other, "b"))

	var keys []string
	token := ""
	read := func(from *prism.Interfaces) {
		require.NoError(t, from.KeyValueScan.ScanKeys(ctx, &keyvaluev1.ScanKeysRequest{PageSize: 1, PageToken: token}, func(response *keyvaluev1.ScanKeysResponse) error {
			keys, token = append(keys, response.GetKey()), response.GetPageToken()
			return nil
		}))
	}
	read(one)
	require.NotEmpty(t, token)
	read(other)
	require.Equal(t, []string{"a", "b"}, keys)
	require.Empty(t, token)
}

func TestNamespacesAreSeparateWhateverTheirNames(t *testing.T) {
	t.Parallel()
	store := open(t, &backendsv1.Postgres{Schema: schema()})
	names := []string{
		"", "a", "A", "aa", "a:", "a/", "a/b", "a.b", "..", "../a", "*", "a*", "{a}", "%", "a%", "_", "\x00", "a\x00", "\\x00", "\\", "'", "\"", "a'; drop table kv; --", "$1", "\n",
		"日本語", "á", "a\u0301", "\xff", "a\xff\xfe", strings.Repeat("n", 599), strings.Repeat("n", 600),
	}
	tokens := make([]string, len(names))
	handles := make([]string, len(names))
	for i, name := range names {
		interfaces := namespace(t, store, name)
		set(t, interfaces, "key", name)
		set(t, interfaces, "other", name)
		handles[i] = begin(t, interfaces)
		require.NoError(t, interfaces.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1}, func(response *keyvaluev1.ScanKeysResponse) error {
			tokens[i] = response.GetPageToken()
			return nil
		}))
	}
	for i, name := range names {
		interfaces := namespace(t, store, name)
		require.Equal(t, name, get(t, interfaces, "key"))
		count, err := interfaces.KeyValueScan.Count(t.Context(), &keyvaluev1.CountRequest{})
		require.NoError(t, err)
		require.EqualValues(t, 2, count.GetCount())
		elsewhere := (i + 1) % len(names)
		_, err = interfaces.KeyValueTransactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handles[elsewhere]})
		require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
		err = interfaces.KeyValueScan.ScanKeys(t.Context(), &keyvaluev1.ScanKeysRequest{PageSize: 1, PageToken: tokens[elsewhere]}, func(*keyvaluev1.ScanKeysResponse) error {
			t.Error("another namespace's token was taken")
			return nil
		})
		require.Equal(t, fault.InvalidArgument, fault.CodeOf(err))
	}
}

// TestCommitWaitsForAWriteOfAMissingKey: a key that a transaction has read as missing is being written while it commits.
func TestCommitWaitsForAWriteOfAMissingKey(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"commit", "rollback"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			name := schema()
			interfaces := namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders")
			handle := begin(t, interfaces)
			read, err := interfaces.KeyValueTransactional.GetInTransaction(t.Context(), &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: "read"})
			require.NoError(t, err)
			require.False(t, read.GetFound())
			_, err = interfaces.KeyValueTransactional.SetInTransaction(t.Context(), &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "written", Value: []byte("value")})
			require.NoError(t, err)

			writer, watcher := shared(t, name), shared(t, name)
			execute(t, writer, `begin`)
			execute(t, writer, `insert into kv (namespace, key, value) select id, 'read', 'changed' from namespaces`)
			committed := make(chan error, 1)
			go func() {
				_, err := interfaces.KeyValueTransactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handle})
				committed <- err
			}()
			waitForALock(t, watcher, "kv")
			execute(t, writer, end)
			err = <-committed
			if end == "commit" {
				require.Equal(t, fault.Aborted, fault.CodeOf(err), "%v", err)
				require.Equal(t, "missing", get(t, interfaces, "written"))
				require.Equal(t, "changed", get(t, interfaces, "read"))
			} else {
				require.NoError(t, err)
				require.Equal(t, "value", get(t, interfaces, "written"))
				require.Equal(t, "missing", get(t, interfaces, "read"))
			}
			require.Zero(t, number(t, watcher, `select count(*) from kv where expires is not null`), "rows that were made for their locks are gone")
			require.Zero(t, number(t, watcher, `select (select count(*) from kv_transactions) + (select count(*) from kv_transaction_keys)`))
		})
	}
}

func TestExpiredRowsAreSweptAndWaitForNobody(t *testing.T) {
	t.Parallel()
	name := schema()
	interfaces := namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders")
	conn := shared(t, name)
	execute(t, conn, `insert into kv (namespace, key, value, expires) select id, ('gone-' || n)::bytea, 'value', clock_timestamp() from namespaces, generate_series(1, 2500) n`)
	set(t, interfaces, "stays", "value")
	_, err := interfaces.KeyValueTTL.SetWithTTL(t.Context(), &keyvaluev1.SetWithTTLRequest{Key: "lasts", Ttl: durationpb.New(time.Hour)})
	require.NoError(t, err)
	_, err = interfaces.KeyValueTransactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{Timeout: durationpb.New(time.Millisecond)})
	require.NoError(t, err)
	holder := shared(t, name)
	execute(t, holder, `begin`)
	execute(t, holder, `select from kv where key = 'gone-7' for update`)
	require.Eventually(t, func() bool {
		return number(t, conn, `select count(*) from kv`) <= 3 && number(t, conn, `select count(*) from kv_transactions`) == 0
	}, patience, 10*time.Millisecond)
	execute(t, holder, `commit`)
	require.Eventually(t, func() bool { return number(t, conn, `select count(*) from kv`) == 2 }, patience, 10*time.Millisecond)
}

func TestOpenTransactionsAreBounded(t *testing.T) {
	t.Parallel()
	name := schema()
	interfaces := namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders")
	handle := begin(t, interfaces)
	execute(t, shared(t, name), `insert into kv_transactions select id, n::text::bytea, clock_timestamp() + interval '1 hour' from namespaces, generate_series(1, 9999) n`)
	_, err := interfaces.KeyValueTransactional.BeginTransaction(t.Context(), &keyvaluev1.BeginTransactionRequest{})
	require.Equal(t, fault.ResourceExhausted, fault.CodeOf(err), "%v", err)
	_, err = interfaces.KeyValueTransactional.Commit(t.Context(), &keyvaluev1.CommitRequest{Transaction: handle})
	require.NoError(t, err)
	begin(t, interfaces)
}

func TestScanReadsLargeValuesPageByPage(t *testing.T) {
	t.Parallel()
	interfaces := namespace(t, open(t, &backendsv1.Postgres{Schema: schema()}), "orders")
	want := map[string]int{}
	for i, size := range []int{1 << 20, 1 << 20, 1, 0, 600 << 10, 600 << 10, 1 << 20, 5} {
		key := fmt.Sprint("key-", i)
		set(t, interfaces, key, strings.Repeat("v", size))
		want[key] = size
	}
	got := map[string]int{}
	require.NoError(t, interfaces.KeyValueScan.Scan(t.Context(), &keyvaluev1.ScanRequest{}, func(response *keyvaluev1.ScanResponse) error {
		got[response.GetKey()] = len(response.GetValue())
		return nil
	}))
	require.Equal(t, want, got)
}
