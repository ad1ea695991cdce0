package postgres

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
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
	for bite := sweepBite; ; {
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		for more := true; more; {
			removed, err := s.sweepTopicsOnce(retention, bite)
			if more = bite > 1; err == nil {
				more = removed == bite
			} else if !more && s.ctx.Err() == nil {
				s.env.Log.Warn("messages whose retention has passed were not removed; it will be tried again", slog.Any("error", err))
			}
			bite = nextBite(bite, removed, err)
		}
		timer.Reset(pause)
	}
}

// sweepTopicsOnce removes a bite, unless another gateway does so just now. It returns how many messages it has removed.
func (s *Store) sweepTopicsOnce(retention time.Duration, bite int) (removed int, err error) {
	err = s.do(s.ctx, "postgres.pubsub.sweep", false, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			var mine bool
			if err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1)`, s.lockKey(sweepLocks, 0)).Scan(&mine); err != nil || !mine {
				return err
			}
			return tx.QueryRow(ctx, sweepTopicsSQL, microseconds(retention), bite).Scan(&removed)
		})
	})
	return removed, err
}
