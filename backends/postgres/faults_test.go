package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
)

// TestServerThatGoesAwayIsFoundAgain: calls fail with UNAVAILABLE and soon at once, and work again by themselves. What was acknowledged is still there.
func TestServerThatGoesAwayIsFoundAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		away, back func(t *testing.T, server *testenv.Server) error
	}{
		{"Stopped", func(_ *testing.T, s *testenv.Server) error { return s.Stop() }, func(t *testing.T, s *testenv.Server) error { return s.Start(t.Context()) }},
		{"Killed", func(_ *testing.T, s *testenv.Server) error { return s.Kill() }, func(t *testing.T, s *testenv.Server) error { return s.Start(t.Context()) }},
		{"Frozen", func(_ *testing.T, s *testenv.Server) error { return s.Freeze() }, func(_ *testing.T, s *testenv.Server) error { return s.Thaw() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, status := testenv.Start(t, testenv.Postgres), new(backend.Status)
			store := openWith(t, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(server)), Timeout: durationpb.New(5 * time.Second)}, status)
			i := namespace(t, store, "orders")
			set(t, i, "key", "value")

			t.Cleanup(func() { _ = server.Thaw() })
			require.NoError(t, c.away(t, server))
			ask := func() error {
				_, err := i.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
				return err
			}
			require.Eventually(t, func() bool {
				err := ask()
				require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
				return fault.ReasonOf(err) == "BACKEND_UNAVAILABLE"
			}, 2*patience, 10*time.Millisecond, "the breaker opens")
			down := func() bool { unavailable, _ := status.State(); return unavailable != "" }
			require.Eventually(t, down, patience, 10*time.Millisecond)
			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := i.KeyValueBasic.Get(canceled, &keyvaluev1.GetRequest{Key: "key"})
			require.Equal(t, fault.Canceled, fault.CodeOf(err))

			require.NoError(t, c.back(t, server))
			require.Eventually(t, func() bool { return ask() == nil }, patience, 10*time.Millisecond, "the breaker closes")
			require.Eventually(t, func() bool { return !down() }, patience, 10*time.Millisecond)
			require.Equal(t, "value", get(t, i, "key"))
		})
	}
}

// TestRestartIsSurvived: the connections of the pool are all broken.
func TestRestartIsSurvived(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Postgres)
	i := namespace(t, openWith(t, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(server))}, new(backend.Status)), "orders")
	set(t, i, "key", "value")
	require.NoError(t, server.Stop())
	require.NoError(t, server.Start(t.Context()))
	require.Eventually(t, func() bool {
		_, err := i.KeyValueBasic.Get(t.Context(), &keyvaluev1.GetRequest{Key: "key"})
		return err == nil
	}, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { // a write is not repeated on another connection
		_, err := i.KeyValueBasic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key", Value: []byte("other")})
		return err == nil
	}, patience, 10*time.Millisecond)
	require.Equal(t, "other", get(t, i, "key"))
}

// TestServerThatRefusesNewConnectionsIsNotAway: who is connected is served, as after a change of the password.
func TestServerThatRefusesNewConnectionsIsNotAway(t *testing.T) {
	t.Parallel()
	server, name, user := testenv.Shared(t, testenv.Postgres), schema(), schema()
	admin := connect(t, testenv.DSN(server), name)
	execute(t, admin, `create user `+user)
	t.Cleanup(func() {
		_, _ = admin.Exec(context.WithoutCancel(t.Context()), `drop owned by `+user+` cascade`)
		_, _ = admin.Exec(context.WithoutCancel(t.Context()), `drop user `+user)
	})
	execute(t, admin, `create schema `+name+` authorization `+user)
	store := open(t, &backendsv1.Postgres{Schema: name, Dsn: secret(t, dsnOf(server, user, "postgres")), MaxConnections: 1})
	i := namespace(t, store, "orders")
	set(t, i, "key", "value")
	execute(t, admin, `alter user `+user+` nologin`)
	require.NoError(t, store.Probe(patient(t)))
	require.Equal(t, "value", get(t, i, "key"), "those who are connected are served")
}

// TestPositionsAreNotGivenAgain: a subscriber is sent a message that its gateway had not answered for, and the server forgets it in a crash. Its resume id must not be good for another message.
func TestPositionsAreNotGivenAgain(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Postgres, "-c", "wal_writer_delay=10s", "-c", "autovacuum=off", "-c", "bgwriter_lru_maxpages=0")
	i := namespace(t, open(t, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(server))}), "orders")
	publish := func(payload string) (id string) {
		require.Eventually(t, func() bool {
			response, err := i.PubSubOrdering.PublishOrdered(t.Context(), &pubsubv1.PublishOrderedRequest{Topic: "topic", OrderingKey: "key", Payload: []byte(payload)})
			id = response.GetMessageId()
			return err == nil
		}, patience, 50*time.Millisecond)
		return id
	}
	subscribe := func(request *pubsubv1.SubscribeOrderedRequest) <-chan *pubsubv1.OrderedMessage {
		messages := make(chan *pubsubv1.OrderedMessage, 100)
		go func() {
			for err := error(nil); err == nil || fault.CodeOf(err) == fault.Unavailable; { // the connection that listens may not be there yet
				err = i.PubSubOrdering.SubscribeOrdered(t.Context(), request, func(r *pubsubv1.SubscribeOrderedResponse) error {
					if r.GetMessage() != nil {
						messages <- r.GetMessage()
					}
					return nil
				})
			}
		}()
		return messages
	}
	for lost := false; !lost; { // until a crash comes before the server has written the message down
		before := publish("kept")
		messages := subscribe(&pubsubv1.SubscribeOrderedRequest{Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: before}})
		conn := connect(t, testenv.DSN(server), "prism")
		for number(t, conn, `select log_cnt from pubsub_positions`) > 0 { // of a sequence the server writes down some numbers ahead
			execute(t, conn, `select nextval('pubsub_positions')`)
		}
		execute(t, conn, `set synchronous_commit = off`) // as the transactions of a gateway have it
		execute(t, conn, `insert into pubsub_messages select namespace, topic, ordered, nextval('pubsub_positions') << 16 | 1, published, content from pubsub_messages order by position desc limit 1`)
		sent := receive(t, messages).GetResumeId()
		last := number(t, conn, `select max(position) from pubsub_messages`)
		require.NoError(t, server.Kill())
		require.NoError(t, server.Start(t.Context()))
		lost = number(t, connect(t, testenv.DSN(server), "prism"), `select count(*) from pubsub_messages where position = $1`, last) == 0
		if !lost {
			continue
		}
		publish("next")
		messages = subscribe(&pubsubv1.SubscribeOrderedRequest{Topic: "topic", Start: &pubsubv1.SubscribeOrderedRequest_StartAfterResumeId{StartAfterResumeId: sent}})
		require.Equal(t, "next", string(receive(t, messages).GetMessage().GetPayload()))
	}
}
