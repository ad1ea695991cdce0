package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/prismgate/prism/runtime/backend"
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

// disk is what calls wait for together.
type disk struct{ lane *backend.Lane[struct{}] }

func newDisk(s *Store) disk {
	return disk{backend.NewLane(s.ctx, s.env, "disk", s.config.GetCoalescing(), nil, func(ctx context.Context, _ []*struct{}) error {
		return s.do(ctx, "postgres.disk", true, func(ctx context.Context) error {
			_, err := s.pool.Exec(ctx, awaitDiskSQL)
			return err
		})
	})}
}

// await returns when everything that was committed before is as durable as the server's settings have it.
func (d disk) await(ctx context.Context) error { return d.lane.Do(ctx, &struct{}{}) }
