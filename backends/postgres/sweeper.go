package postgres

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	// sweepEvery is about how often each gateway looks for rows whose time is over, and sweepBite how many of them one statement removes: it holds their locks.
	sweepEvery, sweepBite = time.Second, 1000
	// sweepAgain is the pause after a failure.
	sweepAgain = 10 * time.Second
)

// sweeps remove rows that nothing sees any more, $1 of them at most. Several gateways may do so at once: each takes what no other one has locked, and waits for nobody.
func sweeps() []string {
	return []string{
		`with gone as materialized (
			select namespace, key from kv where expires <= statement_timestamp() order by expires limit $1 for update skip locked
		) delete from kv using gone where kv.namespace = gone.namespace and kv.key = gone.key`,
		`with gone as materialized (
			select namespace, handle from kv_transactions where deadline <= statement_timestamp() order by deadline limit $1 for update skip locked
		) delete from kv_transactions t using gone where t.namespace = gone.namespace and t.handle = gone.handle`,
	}
}

// sweep gives the room of rows back whose time is over, until the instance is closed.
func (s *Store) sweep() {
	for again := time.Duration(0); ; {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(again/2 + rand.N(again+1)): //nolint:gosec // gateways shall not keep step
		}
		full := false
		var err error
		for _, statement := range sweeps() {
			err = s.do(s.ctx, "postgres.sweep", false, func(ctx context.Context) error {
				tag, err := s.pool.Exec(ctx, statement, sweepBite)
				full = full || tag.RowsAffected() == sweepBite
				return err
			})
			if err != nil {
				break
			}
		}
		switch {
		case err != nil && s.ctx.Err() == nil:
			s.env.Log.Warn("expired rows were not removed; it will be tried again", slog.Any("error", err))
			again = sweepAgain
		case full:
			again = 0
		default:
			again = sweepEvery
		}
	}
}
