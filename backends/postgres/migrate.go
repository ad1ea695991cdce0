package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// migrationFiles are named NNN_what.sql, from 001 without a gap. Each is applied once, in one transaction. One that was released is never changed, and what it makes must serve the
// gateways of the release before, which run while it is applied.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrateTimeout bounds the work on the schema, which may have to wait for another gateway's.
const migrateTimeout = time.Minute

// migration is one step of the schema.
type migration struct {
	version int
	name    string
	sql     string
}

// migrations returns all steps in their order.
func migrations() ([]migration, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var all []migration
	for _, file := range files { // they come sorted
		number, _, _ := strings.Cut(file.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != len(all)+1 {
			return nil, fmt.Errorf("migration %s: its number must be %03d", file.Name(), len(all)+1)
		}
		content, err := migrationFiles.ReadFile("migrations/" + file.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, migration{version, file.Name(), string(content)})
	}
	return all, nil
}

// migrate brings the schema up to date. Gateways that start at once do so one after the other, and the second finds nothing left to do.
func (s *Store) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	all, err := migrations()
	if err != nil {
		return err
	}
	at, err := s.schemaVersion(ctx, s.pool)
	for err == nil && at < len(all) {
		at, err = s.apply(ctx, all)
	}
	if isCode(err, insufficientPrivilege) {
		return notProvisioned(err, "the schema cannot be brought up to date: the database user may not; the gateway's log has the cause")
	}
	if err = failure(ctx, "postgres.Namespace", err); err != nil {
		return err
	}
	return s.refuseNewer(at, len(all))
}

// refuseNewer is an error when the schema was made by a newer gateway than this one.
func (s *Store) refuseNewer(at, known int) error {
	if at <= known {
		return nil
	}
	return notProvisioned(nil, "the schema %s is at version %d, and this gateway knows %d; run a gateway that is as new as the newest one that used it, or name another schema",
		s.schema, at, known)
}

// querier is a connection, a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// schemaVersion returns the number of the last step that was applied; 0 before the first.
func (s *Store) schemaVersion(ctx context.Context, on querier) (int, error) {
	var there bool
	// Not to_regclass, which may not have heard yet of what another gateway has just made.
	err := on.QueryRow(ctx, `select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = 'migrations')`, s.schema).
		Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	var version int
	err = on.QueryRow(ctx, `select coalesce(max(version), 0) from migrations`).Scan(&version)
	return version, err
}

// apply takes the next step, in a transaction that only one gateway has at a time, and returns where the schema is then.
func (s *Store) apply(ctx context.Context, all []migration) (at int, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local statement_timeout = 0`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('prism migrations ' || $1, 0))`, s.schema); err != nil {
			return err
		}
		if at, err = s.schemaVersion(ctx, tx); err != nil || at >= len(all) {
			return err
		}
		if at == 0 {
			if err := s.begin(ctx, tx); err != nil {
				return err
			}
		}
		next := all[at]
		if _, err := tx.Exec(ctx, next.sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("migration %s: %w", next.name, err)
		}
		if _, err := tx.Exec(ctx, `insert into migrations (version, name) values ($1, $2)`, next.version, next.name); err != nil {
			return err
		}
		at = next.version
		return nil
	})
	return at, err
}

// begin makes the schema, unless it is there: to make one that is there asks for a right that its owner may not have.
func (s *Store) begin(ctx context.Context, tx pgx.Tx) error {
	quoted := pgx.Identifier{s.schema}.Sanitize()
	var there bool
	if err := tx.QueryRow(ctx, `select exists (select from pg_catalog.pg_namespace where nspname = $1)`, s.schema).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := tx.Exec(ctx, `create schema `+quoted); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `create table if not exists migrations (version integer primary key, name text not null, applied timestamptz not null default clock_timestamp())`)
	return err
}

// sharedSecret returns random bytes that all gateways agree on; they are made when they are first asked for.
func (s *Store) sharedSecret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails: crypto/rand ends the process instead
	var kept []byte
	err := s.do(ctx, "postgres.Namespace", true, func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, `select value from shared_secrets where name = $1`, name).Scan(&kept)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if _, err := s.pool.Exec(ctx, `insert into shared_secrets (name, value) values ($1, $2) on conflict do nothing`, name, fresh); err != nil {
			return err
		}
		return s.pool.QueryRow(ctx, `select value from shared_secrets where name = $1`, name).Scan(&kept)
	})
	return slices.Clone(kept), err
}
