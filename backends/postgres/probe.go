package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismgate/prism/runtime/fault"
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
	if denies(err) {
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

// denies tells that a server has answered, and does not want this connection: it has no room for it, or the password or a right was changed. One that starts or stops serves nobody.
func denies(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && fault.CodeOf(serverSaid("", said)) != fault.Unavailable || isCode(err, tooManyConnections)
}

// close drops the connection without a word to a server that may not answer.
func (p *prober) close() {
	if p.conn != nil {
		_ = p.conn.PgConn().Conn().Close()
		p.conn = nil
	}
}
