package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// topicSweepBite is how many kept messages are removed at once.
	topicSweepBite = 1000
	// sweepLeast and sweepMost bound the pause between two looks for kept messages whose retention has passed.
	sweepLeast, sweepMost = 250 * time.Millisecond, 30 * time.Second
)

// sweepTopics removes kept messages whose retention has passed, until the instance is closed.
func (s *Store) sweepTopics() {
	retention := defaultRetention
	if configured := s.config.GetTopicRetention(); configured != nil {
		retention = configured.AsDuration()
	}
	pause := min(max(retention/4, sweepLeast), sweepMost)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		for s.sweepTopicsOnce(retention) == topicSweepBite { //nolint:revive // one bite after the other
		}
		timer.Reset(pause)
	}
}

// sweepTopicsOnce removes a bite, unless another gateway does so just now. It returns how many messages it has removed.
func (s *Store) sweepTopicsOnce(retention time.Duration) (removed int) {
	_ = s.do(s.ctx, "postgres.pubsub.sweep", false, func(ctx context.Context) error { // what fails is done the next time
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			var mine bool
			if err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1)`, topicLocks|0xffff_ffff).Scan(&mine); err != nil || !mine {
				return err
			}
			return tx.QueryRow(ctx, sweepTopicsSQL, microseconds(retention), topicSweepBite).Scan(&removed)
		})
	})
	return removed
}
