package postgres

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// TestWhatACrashHasForgottenIsNotAnswered: the server crashes between the end of a transaction and the wait for the disk, and is back for that.
func TestWhatACrashHasForgottenIsNotAnswered(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Postgres, "-c", "wal_writer_delay=10s", "-c", "autovacuum=off", "-c", "bgwriter_lru_maxpages=0")
	dsn := filepath.Join(t.TempDir(), "dsn")
	require.NoError(t, os.WriteFile(dsn, []byte(testenv.DSN(server)), 0o600))
	store, err := Open(t.Context(), backend.Env{Instance: "test"}, &backendsv1.Postgres{Dsn: &configv1.Secret{Source: &configv1.Secret_File{File: dsn}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close(context.WithoutCancel(t.Context()))) })
	waiting := store.disk.lane
	store.disk.lane = backend.NewLane(t.Context(), backend.Env{}, "crash", &configv1.Coalescing{Off: true}, nil, func(ctx context.Context, batch []*flush) error {
		require.NoError(t, server.Kill())
		require.NoError(t, server.Start(ctx))
		return waiting.Do(ctx, batch[0])
	})
	made, err := store.Namespace(t.Context(), "orders")
	require.NoError(t, err)
	i := made.Interfaces()

	lastPlace := func() (n int64) {
		require.Eventually(t, func() bool { // the connections of the pool may be broken
			return store.pool.QueryRow(t.Context(), `select last_value from queue_places`).Scan(&n) == nil
		}, 20*time.Second, 10*time.Millisecond)
		return n
	}
	var before int64
	for _, call := range []func() error{
		func() error {
			_, err := i.QueueBasic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue"})
			return err
		},
		func() error {
			_, err := i.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic"})
			return err
		},
	} {
		before = lastPlace()
		for told := false; !told; { // until nothing else is in the way, such as the breaker
			err := call()
			require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
			told = strings.Contains(err.Error(), "crashed")
		}
	}
	require.Greater(t, lastPlace(), before+10_000, "ids that somebody may have seen are not given again")
}
