package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

// Transactions that hold a namespace's lock end without a wait for the disk, so that the next one need not wait for it either. What they did is seen from then on; their calls are answered
// after another transaction has waited for the disk, which is there then for all that is before it in the log.
const (
	withoutDiskSQL  = `select set_config('synchronous_commit', 'off', true)`
	lockSQL         = `select set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock($1)`
	lockWithDiskSQL = `select pg_advisory_xact_lock($1)`
	awaitDiskSQL    = `select pg_logical_emit_message(true, 'prism', '')`
)

// What advisory locks are for. Whoever changes the queues or the topics of a namespace holds one until the end of the transaction.
const (
	queueLocks = "queue"
	topicLocks = "topic"
	sweepLocks = "sweep" // one of the schema
)

// lockKey is the number of an advisory lock. Such locks are the database's, and several schemas may be in one.
func (s *Store) lockKey(of string, namespace int32) int64 {
	digest := sha256.Sum256([]byte(of + " " + s.schema))
	return int64(binary.BigEndian.Uint64(digest[:])&^math.MaxUint32 | uint64(namespace)) //nolint:gosec // any number will do; a namespace's is positive
}

// A life of the server ends with a crash, and no connection outlasts it. Its first connection leaves a gap in the sequences, larger than what the life before can have given to transactions that
// the crash has undone: an id or a receipt of a message that is lost never stands for another one.
const (
	lifeSQL      = `select life::text from server_lives`
	beginLifeSQL = `
with begun as (
	insert into server_lives default values on conflict do nothing returning life
)
select setval('pubsub_positions', nextval('pubsub_positions') + 100000), setval('queue_places', nextval('queue_places') + 100000) from begun`
)

// lifeOf tells which life of the server a connection belongs to. It is asked for once.
func lifeOf(ctx context.Context, conn *pgxpool.Conn) (string, error) {
	const key = "prism.life"
	kept := conn.Conn().PgConn().CustomData()
	if life, ok := kept[key].(string); ok {
		return life, nil
	}
	for {
		var life string
		err := conn.QueryRow(ctx, lifeSQL).Scan(&life)
		if err == nil {
			kept[key] = life
			return life, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return "", err
		}
		if _, err := conn.Exec(ctx, beginLifeSQL); err != nil {
			return "", err
		}
	}
}

// disk is what calls wait for together.
type disk struct{ lane *backend.Lane[flush] }

// flush is one wait: room for the life of the server whose disk it was.
type flush struct{ life string }

func newDisk(s *Store) disk {
	return disk{backend.NewLane(s.ctx, s.env, "disk", s.config.GetCoalescing(), nil, func(ctx context.Context, batch []*flush) error {
		return s.do(ctx, "postgres.disk", true, func(ctx context.Context) error {
			return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
				life, err := lifeOf(ctx, conn)
				if err != nil {
					return err
				}
				for _, f := range batch {
					f.life = life
				}
				_, err = conn.Exec(ctx, awaitDiskSQL)
				return err
			})
		})
	})}
}

// await returns when everything that was committed before, in a life of the server, is as durable as the server's settings have it.
func (d disk) await(ctx context.Context, life string) error {
	f := &flush{}
	if err := d.lane.Do(ctx, f); err != nil {
		return err
	}
	if f.life != life {
		return fault.New(fault.Unavailable, "the database has crashed, and may have forgotten the call; try again later").WithOp("postgres.disk")
	}
	return nil
}
