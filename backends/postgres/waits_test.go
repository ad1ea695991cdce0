package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// pausing makes a function for triggers that makes each row take some time.
const pausing = `create function pause() returns trigger language plpgsql as $$ begin
	perform pg_sleep(tg_argv[0]::float8);
	return case tg_op when 'DELETE' then old else new end;
end $$`

// TestSweepsGetOnWhereTheServerIsSlow: a bite of the usual size takes longer than a statement may.
func TestSweepsGetOnWhereTheServerIsSlow(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name, Timeout: durationpb.New(5 * time.Second), TopicRetention: durationpb.New(time.Second)}), "orders")
	conn := shared(t, name)
	execute(t, conn, pausing)
	execute(t, conn, `create trigger slow before delete on kv for each row execute function pause(0.06)`)
	execute(t, conn, `create trigger slow before delete on pubsub_messages for each row execute function pause(0.06)`)
	execute(t, conn, `insert into kv (namespace, key, value, expires) select id, ('gone-' || n)::bytea, 'value', clock_timestamp() from namespaces, generate_series(1, 100) n`)
	execute(t, conn, `insert into pubsub_messages (namespace, topic, ordered, position, published, content)
		select id, 'topic', false, nextval('pubsub_positions') << 16, clock_timestamp() - interval '1 hour', '' from namespaces, generate_series(1, 100)`)
	require.Eventually(t, func() bool {
		return number(t, conn, `select (select count(*) from kv) + (select count(*) from pubsub_messages)`) == 0
	}, 3*patience, 50*time.Millisecond)
	set(t, i, "key", "value")
}

// TestQueueIsConfiguredHoweverMuchIsDue: all that is due takes longer than a call of the server may.
func TestQueueIsConfiguredHoweverMuchIsDue(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name, Timeout: durationpb.New(5 * time.Second)}), "orders")
	conn := shared(t, name)
	execute(t, conn, pausing)
	execute(t, conn, `create trigger slow before update on queue_messages for each row execute function pause(0.002)`)
	execute(t, conn, `insert into queue_messages (namespace, id, queue, state, priority, place, due, enqueued, content)
		select namespaces.id, n, 'queue', 1, 0, n, clock_timestamp(), clock_timestamp(), '' from namespaces, generate_series(1, 3000) n`)
	_, err := i.QueueDeadLetter.ConfigureDeadLetter(t.Context(), &queuev1.ConfigureDeadLetterRequest{Queue: "queue", DeadLetterQueue: "dead", MaxReceives: 1})
	require.NoError(t, err)
	require.Zero(t, number(t, conn, `select count(*) from queue_messages where state <> 0`), "what was due is the old configuration's")
}

// TestWaitingForMessagesBehindManyReleases: more messages were released at once than one transaction looks after.
func TestWaitingForMessagesBehindManyReleases(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders")
	execute(t, shared(t, name), `insert into queue_messages (namespace, id, queue, state, priority, place, due, enqueued, content)
		select namespaces.id, n, 'queue', 2, 0, n, '-infinity', clock_timestamp(), '' from namespaces, generate_series(1, 1000) n`)
	response, err := i.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "other", WaitTime: durationpb.New(100 * time.Millisecond)})
	require.NoError(t, err)
	require.False(t, response.GetFound())
}

// TestSchemasDoNotWaitForEachOther: two instances share a database, and the one is held up.
func TestSchemasDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	name := schema()
	slow := namespace(t, open(t, &backendsv1.Postgres{Schema: name, Timeout: durationpb.New(time.Minute)}), "orders")
	other := namespace(t, open(t, &backendsv1.Postgres{Schema: schema(), Timeout: durationpb.New(10 * time.Second)}), "orders")
	_, err := slow.QueueBasic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue"})
	require.NoError(t, err)
	holder, watcher := shared(t, name), shared(t, name)
	execute(t, holder, `begin`)
	execute(t, holder, `select from queue_messages for update`)
	taken := make(chan error, 1)
	go func() {
		_, err := slow.QueueBasic.Dequeue(t.Context(), &queuev1.DequeueRequest{Queue: "queue"})
		taken <- err
	}()
	waitForALock(t, watcher, "queue_messages")
	_, err = other.QueueBasic.Enqueue(t.Context(), &queuev1.EnqueueRequest{Queue: "queue"})
	require.NoError(t, err)
	_, err = other.PubSubPersistent.PublishPersistent(t.Context(), &pubsubv1.PublishPersistentRequest{Topic: "topic"})
	require.NoError(t, err)
	execute(t, holder, `rollback`)
	require.NoError(t, receive(t, taken))
}

// TestDeliveriesGoOnWhenTheServerUndoesTheLookForThem: an acknowledgement and a stream wait for each other's rows, and the server ends the stream's transaction.
func TestDeliveriesGoOnWhenTheServerUndoesTheLookForThem(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name, Dsn: sharedDSN(t, "&options=-c%20deadlock_timeout%3D6s"), Timeout: durationpb.New(time.Minute)}), "orders")
	keep(t, i, "0")
	keep(t, i, "1")
	sending, send := make(chan struct{}), make(chan struct{})
	responses, end := make(chan *pubsubv1.SubscribeDurableResponse, 10), make(chan error, 1)
	go func() {
		end <- i.PubSubPersistent.SubscribeDurable(t.Context(), &pubsubv1.SubscribeDurableRequest{
			Topic: "topic", Subscription: "name", AcknowledgementTimeout: durationpb.New(time.Hour),
			Start: &pubsubv1.SubscribeDurableRequest_StartPoint{StartPoint: pubsubv1.StartPoint_START_POINT_EARLIEST},
		}, func(r *pubsubv1.SubscribeDurableResponse) error {
			if string(r.GetMessage().GetMessage().GetPayload()) == "1" {
				close(sending)
				<-send
			}
			responses <- r
			return nil
		})
	}()
	receive(t, sending)
	holder, watcher := shared(t, name), shared(t, name)
	execute(t, holder, `set deadlock_timeout = '1h'`)
	execute(t, holder, `begin`)
	execute(t, holder, `select from pubsub_deliveries where position = (select max(position) from pubsub_deliveries) for update`)
	close(send)
	waitForALock(t, watcher, "pubsub_deliveries") // it has counted the first message and waits for the second
	execute(t, holder, `select from pubsub_deliveries for update`)
	execute(t, holder, `commit`)
	keep(t, i, "2")
	for {
		select {
		case r := <-responses:
			if string(r.GetMessage().GetMessage().GetPayload()) == "2" {
				return
			}
		case err := <-end:
			require.NoError(t, err, "the stream has ended")
		case <-time.After(within):
			require.FailNow(t, "nothing comes")
		}
	}
}

// TestMessagesBeforeTheStartAreLookedAtOnce: a subscription that starts in the future passes what is kept, and gets what comes then.
func TestMessagesBeforeTheStartAreLookedAtOnce(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders")
	responses := make(chan *pubsubv1.SubscribeDurableResponse, 10)
	keep(t, i, "before")
	go func() {
		_ = i.PubSubPersistent.SubscribeDurable(t.Context(), &pubsubv1.SubscribeDurableRequest{
			Topic: "topic", Subscription: "name", Start: &pubsubv1.SubscribeDurableRequest_StartTime{StartTime: timestamppb.New(time.Now().Add(time.Hour))},
		}, func(r *pubsubv1.SubscribeDurableResponse) error { responses <- r; return nil })
	}()
	require.NotNil(t, receive(t, responses).GetSubscribed())
	keep(t, i, "before, too")
	conn := shared(t, name)
	require.Eventually(t, func() bool {
		return number(t, conn, `select count(*) from pubsub_subscriptions where position = (select max(position) from pubsub_messages)`) == 1
	}, within, 10*time.Millisecond)
	execute(t, conn, `update pubsub_subscriptions set not_before = date_trunc('milliseconds', clock_timestamp())`) // the time has come
	keep(t, i, "after")
	require.Equal(t, "after", string(receive(t, responses).GetMessage().GetMessage().GetPayload()))
}

// TestWritesThatOverwriteAreMadeOnce: their connection is lost while the server is at them. A repetition could be answered before the first attempt arrives, and that then overwrite what others
// have written since.
func TestWritesThatOverwriteAreMadeOnce(t *testing.T) {
	t.Parallel()
	name := schema()
	i := namespace(t, open(t, &backendsv1.Postgres{Schema: name, Timeout: durationpb.New(time.Minute)}), "orders")
	handle := begin(t, i)
	holder, watcher := shared(t, name), shared(t, name)
	for what, c := range map[string]struct {
		table string
		call  func(ctx context.Context) error
	}{
		"Set": {"kv", func(ctx context.Context) error {
			return second(i.KeyValueBasic.Set(ctx, &keyvaluev1.SetRequest{Key: "key"}))
		}},
		"Delete": {"kv", func(ctx context.Context) error {
			return second(i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: "key"}))
		}},
		"BatchSet": {"kv", func(ctx context.Context) error {
			return second(i.KeyValueBatch.BatchSet(ctx, &keyvaluev1.BatchSetRequest{Items: []*keyvaluev1.BatchItem{{Key: "key"}}}))
		}},
		"BatchDelete": {"kv", func(ctx context.Context) error {
			return second(i.KeyValueBatch.BatchDelete(ctx, &keyvaluev1.BatchDeleteRequest{Keys: []string{"key"}}))
		}},
		"Expire": {"kv", func(ctx context.Context) error {
			return second(i.KeyValueTTL.Expire(ctx, &keyvaluev1.ExpireRequest{Key: "key", Ttl: durationpb.New(time.Hour)}))
		}},
		"Persist": {"kv", func(ctx context.Context) error {
			return second(i.KeyValueTTL.Persist(ctx, &keyvaluev1.PersistRequest{Key: "key"}))
		}},
		"SetInTransaction": {"kv_transactions", func(ctx context.Context) error {
			return second(i.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "key"}))
		}},
		"DeleteInTransaction": {"kv_transactions", func(ctx context.Context) error {
			return second(i.KeyValueTransactional.DeleteInTransaction(ctx, &keyvaluev1.DeleteInTransactionRequest{Transaction: handle, Key: "key"}))
		}},
		"ConfigureDeadLetter": {"queue_dead_letters", func(ctx context.Context) error {
			return second(i.QueueDeadLetter.ConfigureDeadLetter(ctx, &queuev1.ConfigureDeadLetterRequest{Queue: "queue", DeadLetterQueue: "dead", MaxReceives: 1}))
		}},
		"SubscribeDurable": {"pubsub_subscriptions", func(ctx context.Context) error {
			return i.PubSubPersistent.SubscribeDurable(ctx, &pubsubv1.SubscribeDurableRequest{Topic: "topic", Subscription: "name"}, func(*pubsubv1.SubscribeDurableResponse) error { return nil })
		}},
	} {
		execute(t, holder, `begin`)
		execute(t, holder, `lock table `+c.table)
		waiters := `from pg_stat_activity a join pg_locks l using (pid) where wait_event_type = 'Lock' and not l.granted and l.relation = '` + c.table + `'::regclass and a.query not like 'with gone%'`
		ended := make(chan error, 1)
		begin := func() { go func() { ended <- c.call(t.Context()) }() }
		begin()
		require.Eventually(t, func() bool {
			select {
			case err := <-ended: // the breaker may take the end of the last one's connection for the server's
				require.Equal(t, fault.Unavailable, fault.CodeOf(err), what)
				begin()
			default:
			}
			return number(t, watcher, `select count(*) `+waiters) > 0
		}, patience, 5*time.Millisecond, what)
		execute(t, watcher, `select pg_terminate_backend(pid) `+waiters)
		require.Equal(t, fault.Unavailable, fault.CodeOf(receive(t, ended)), what)
		execute(t, holder, `rollback`)
	}
}

// second is the error of a call.
func second[T any](_ T, err error) error { return err }
