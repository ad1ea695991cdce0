package postgres

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// sweepEvery is about how often each gateway looks for rows whose time is over, and sweepBite how many of them one statement removes at most: it holds their locks.
	sweepEvery, sweepBite = time.Second, 1000
	// sweepAgain is the pause after a failure for which a smaller bite is no remedy.
	sweepAgain = 10 * time.Second
)

// nextBite is how many rows the next statement of a sweep removes: fewer when one has failed, which may have taken too long, and then more and more until nothing is left.
func nextBite(bite, removed int, err error) int {
	switch {
	case err != nil:
		return max(bite/10, 1)
	case removed < bite:
		return sweepBite
	}
	return min(bite*2, sweepBite)
}

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
	statements := sweeps()
	bites := slices.Repeat([]int{sweepBite}, len(statements))
	for again := time.Duration(0); ; {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(again/2 + rand.N(again+1)): //nolint:gosec // gateways shall not keep step
		}
		again = sweepEvery
		var failed error
		for i, statement := range statements {
			var removed int
			err := s.do(s.ctx, "postgres.sweep", false, func(ctx context.Context) error {
				tag, err := s.pool.Exec(ctx, statement, bites[i])
				removed = int(tag.RowsAffected())
				return err
			})
			if err == nil && removed == bites[i] {
				again = 0
			}
			if err != nil && bites[i] == 1 {
				failed = err
			}
			bites[i] = nextBite(bites[i], removed, err)
		}
		if failed != nil && s.ctx.Err() == nil {
			s.env.Log.Warn("expired rows were not removed; it will be tried again", slog.Any("error", failed))
			again = sweepAgain
		}
	}
}
