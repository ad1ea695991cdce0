package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// prober asks the server for a sign of life, on a connection of its own: those of the pool may all be busy, which says nothing about the server. It has none before the first probe. The
// breaker probes once at a time.
type prober struct{ conn *pgx.Conn }

// probe asks on the connection of the last probe, and on a new one when that is gone.
func (s *Store) probe(ctx context.Context) error {
	p := &s.probes
	if p.conn != nil && p.conn.Ping(ctx) == nil {
		return nil
	}
	p.close()
	conn, err := s.dial(ctx)
	if isCode(err, tooManyConnections) {
		return nil // it is alive, and serves those that are connected
	}
	if err == nil {
		if err = conn.Ping(ctx); err == nil {
			p.conn = conn
			return nil
		}
		_ = conn.PgConn().Conn().Close()
	}
	s.pool.Reset() // its connections are of no use either
	return err
}

// close drops the connection without a word to a server that may not answer.
func (p *prober) close() {
	if p.conn != nil {
		_ = p.conn.PgConn().Conn().Close()
		p.conn = nil
	}
}
