// Package postgres is the backend that keeps data in a PostgreSQL database, version 14 or newer.
//
// # Configuration
//
// A [backendsv1.Postgres] message; docs/backends/postgres.md has every field, and the rights that the database user needs. Only dsn must be there.
//
//	backends:
//	  - name: orders-db
//	    type: postgres
//	    config:
//	      dsn: {file: /run/secrets/orders-dsn}   # postgres://prism@db:5432/orders?sslmode=verify-full
//	      password: {env: ORDERS_DB_PASSWORD}
//	      schema: prism
//	      max_connections: 8
//	      timeout: 5s
//
// # Semantics
//
// Open changes nothing. The first namespace makes the schema or brings it up to date, in numbered steps of which each is a transaction that one gateway has at a time. A namespace is a row
// with a number, and every other row begins with it: it costs no table, connection or goroutine.
//
// KeyValue: keys and values are bytes, kept in one table in the order of the keys. The isolation level is read committed, every operation but Commit is one statement, and what a statement
// decides on and what it changes is the same row, locked. Commit is one call of a function in the database: it locks the row of every key that the transaction touches, in the order of the
// keys, compares what was read by value, and writes. A missing key is given a row for the time of the commit, which others who would write it wait for. So transactions are serializable, also
// towards single operations.
//
// Open transactions are in unlogged tables: any gateway goes on with them, none of their calls but Commit waits for the disk, and a server that crashes ends them. A transaction is compared by
// value: a key that was changed and changed back has not changed.
//
// A time to live is measured by the server's wall clock, to the microsecond. An expired row is absent to every statement at once, and is removed within some seconds by a sweep that each
// gateway makes about once a second, in bites of 1,000 rows that skip what others have locked.
//
// Concurrent Get and Exists calls, of whatever namespaces, become one statement, and so do Set and SetWithTTL calls, and Delete calls. A value of more than 64 KiB travels alone. A statement
// that is refused for another reason than that the server is away is made again for each of its calls alone.
//
// Enumerations read up to 1,000 keys or 1 MiB of values a statement, and hold nothing open at the server between them. Their order is that of the keys' bytes. A page token holds the last key,
// sealed under a key that the database holds, and is good on every gateway.
//
// PubSub: a message goes to all gateways that listen to its namespace as a notification, in several parts when it is large, and from there to their subscribers. One connection of the
// instance listens; it is made when somebody waits for the first time. When it is lost, live streams end with UNAVAILABLE. What is kept is in one table; who adds to it holds an advisory lock of
// the namespace, so that nothing appears behind a reader. A message is kept first and then sent to live subscriptions: a gateway that dies in between has kept it and sent it to nobody. Of
// a durable subscription the server knows which message is with which stream, until when, and what is settled: streams share it on all gateways. The acknowledgement timeout is prolonged by up
// to a quarter. An id of a live subscription is bound to its gateway.
//
// Queue: whoever changes messages holds an advisory lock of the namespace, so that all gateways see one order; calls that are made at once share a transaction, in which what is due
// happens first. The transaction ends without a wait for the disk; then all wait for it together, before anybody is answered. When the server has crashed in between, they are UNAVAILABLE.
// Calls that wait for a message hold no connection: they are woken by the call that brings one, by a notification of another gateway, at the next due time, and look about once a second.
//
// # Limits
//
// A namespace may have about 10,000 open transactions. Count reads every row that it counts, and must do so within timeout. BatchGet answers with the smallest values when not all fit into
// a message.
//
// # Server
//
// One server, or one that moves with its address: reads go to the primary. What durability means is the server's synchronous_commit, fsync and full_page_writes, on by default: an answered
// write is on its disk. PgBouncer works in session mode alone.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

const (
	// defaultTimeout is how long the server may take to answer; the configuration's default.
	defaultTimeout = 5 * time.Second
	// defaultMaxConnections is as many as a server of some cores works on at once.
	defaultMaxConnections = 8
	// defaultSchema holds the tables when the configuration names no schema.
	defaultSchema = "prism"
	// maxTangles is how often a call is made that the server undoes for the sake of another one.
	maxTangles = 5
)

// Store is an open instance. Its statements name tables without a schema: each connection's search_path is the instance's schema alone.
type Store struct {
	env     backend.Env
	config  *backendsv1.Postgres
	timeout time.Duration
	schema  string
	pool    *pgxpool.Pool
	breaker *backend.Breaker
	probes  prober
	lanes   lanes
	// listener hears what other gateways tell, bell tells them.
	listener *listener
	bell     doorbell
	disk     disk

	// ctx ends with the instance; what runs in the background runs in it, and is counted by wait.
	ctx  context.Context //nolint:containedctx // it is what ends the background work
	stop context.CancelFunc
	wait sync.WaitGroup

	mu          sync.Mutex // held while the schema is provisioned
	provisioned bool
	tokens      *backend.Tokens // once it is provisioned

	namesMu sync.Mutex
	names   map[string]backendsv1.PostgresInterfaces
}

// Open connects to the server and checks that it can be used. It changes nothing there: the schema is made or brought up to date by the first Namespace.
func Open(ctx context.Context, env backend.Env, config *backendsv1.Postgres) (*Store, error) {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{env: env, config: config, timeout: defaultTimeout, schema: config.GetSchema(), names: map[string]backendsv1.PostgresInterfaces{}}
	if config.GetTimeout() != nil {
		s.timeout = config.GetTimeout().AsDuration()
	}
	if s.schema == "" {
		s.schema = defaultSchema
	}
	if strings.HasPrefix(s.schema, "pg_") || s.schema == "information_schema" {
		return nil, fmt.Errorf("postgres: the schema %s is the server's own; name another one, or none for %s", s.schema, defaultSchema)
	}
	poolConfig, err := s.poolConfig()
	if err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if s.pool, err = pgxpool.NewWithConfig(s.ctx, poolConfig); err != nil {
		s.stop()
		return nil, openFailure(poolConfig.ConnConfig, err)
	}
	if err := s.check(ctx, poolConfig.ConnConfig); err != nil {
		s.pool.Close()
		s.stop()
		return nil, err
	}
	s.breaker = backend.NewBreaker(ctx, env, s.probe)
	s.lanes = newLanes(s)
	s.listener, s.bell.store, s.disk = newListener(s), s, newDisk(s)
	return s, nil
}

// Namespace returns the interfaces of a namespace. The first one brings the schema up to date.
func (s *Store) Namespace(ctx context.Context, name string) (backendsv1.PostgresInterfaces, error) {
	if known, ok := s.known(name); ok {
		return known, nil
	}
	if err := s.provision(ctx); err != nil {
		return backendsv1.PostgresInterfaces{}, err
	}
	var id int32
	err := s.do(ctx, "postgres.Namespace", true, func(ctx context.Context) error {
		var err error
		id, err = s.namespaceID(ctx, name)
		return err
	})
	if err != nil {
		return backendsv1.PostgresInterfaces{}, err
	}
	s.namesMu.Lock()
	defer s.namesMu.Unlock()
	if known, ok := s.names[name]; ok { // somebody was faster
		return known, nil
	}
	made := backendsv1.NewPostgresInterfaces(newKeyValue(s, id), newPubSub(s, id), newQueue(s, id))
	s.names[name] = made
	return made, nil
}

func (s *Store) known(name string) (backendsv1.PostgresInterfaces, bool) {
	s.namesMu.Lock()
	defer s.namesMu.Unlock()
	known, ok := s.names[name]
	return known, ok
}

// namespaceID returns the number of a namespace, which is given when it is first asked for.
func (s *Store) namespaceID(ctx context.Context, name string) (int32, error) {
	for {
		var id int32
		err := s.pool.QueryRow(ctx, `select id from namespaces where name = $1`, []byte(name)).Scan(&id)
		if !errors.Is(err, pgx.ErrNoRows) {
			return id, err
		}
		if _, err := s.pool.Exec(ctx, `insert into namespaces (name) values ($1) on conflict do nothing`, []byte(name)); err != nil {
			return 0, err
		}
	}
}

// provision brings the schema up to date, once, and starts what the instance does in the background.
func (s *Store) provision(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provisioned {
		return nil
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	key, err := s.sharedSecret(ctx, "page tokens")
	if err != nil {
		return err
	}
	s.tokens = backend.NewTokens(key)
	s.provisioned = true
	s.wait.Go(s.sweep)
	s.wait.Go(s.sweepTopics)
	return nil
}

// Close ends the instance. Call it after the last call has returned.
func (s *Store) Close(context.Context) error {
	s.stop()
	s.breaker.Close()
	s.wait.Wait()
	s.probes.close()
	s.pool.Close()
	return nil
}

// do makes a call of the server: bounded by the configured timeout, through the breaker, and with the server's errors mapped. op is for the log: "postgres.keyvalue.Get". A call is
// repeatable when a late arrival of an attempt that nobody answered can change nothing (decision 017); it is made again when the server was not there. An error of the call that is a
// [fault.Error] already is the caller's.
func (s *Store) do(ctx context.Context, op string, repeatable bool, call func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.breaker.Do(bounded, repeatable, func(bounded context.Context) error {
		return failure(ctx, op, untangled(func() error { return call(bounded) }))
	})
}

// together makes a call that goes with others. Its timeout is that of the exchange, which the lane's function sets: one of its own would cost every call more than it guards.
// When it is repeated it has one, so that it does not take the whole time again.
func (s *Store) together(ctx context.Context, op string, repeatable bool, call func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	began := time.Now()
	var last error
	return s.breaker.Do(ctx, repeatable, func(ctx context.Context) error {
		bounded := ctx
		if last != nil {
			var cancel context.CancelFunc
			bounded, cancel = context.WithDeadline(ctx, began.Add(s.timeout))
			defer cancel()
			if bounded.Err() != nil {
				return last // a batch may still have the call that the last attempt has left there
			}
		}
		last = failure(ctx, op, untangled(func() error { return call(bounded) }))
		return last
	})
}

// untangled makes a call again when the server has undone it because it and another one waited for each other.
func untangled(call func() error) (err error) {
	for range maxTangles {
		if err = call(); !isCode(err, serializationFailure, deadlockDetected) {
			break
		}
	}
	return err
}

// notProvisioned is a refusal of Namespace that only the operator can mend.
func notProvisioned(cause error, format string, args ...any) error {
	return fault.Wrap(cause, fault.Internal, "postgres.Namespace", format, args...)
}
