package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// oldestVersion is PostgreSQL 14, as server_version_num has it.
const oldestVersion = 14_00_00

// check looks whether the server can be used: its version, the schema's and the user's rights.
func (s *Store) check(ctx context.Context, config *pgx.ConnConfig) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return openFailure(config, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	at := address(config.Host, config.Port)
	var number int
	var version string
	var readOnly bool
	err = conn.QueryRow(ctx, `select current_setting('server_version_num')::int, current_setting('server_version'), current_setting('transaction_read_only')::bool`).Scan(&number, &version, &readOnly)
	switch {
	case err != nil:
		return openFailure(config, err)
	case readOnly:
		return fmt.Errorf("postgres: the server at %s takes no writes; give the address of the primary, or add target_session_attrs=read-write to dsn, or switch default_transaction_read_only off for the user", at)
	}
	if err := checkVersion(at, number, version); err != nil {
		return err
	}
	return s.checkRights(ctx, conn, config)
}

func checkVersion(at string, number int, version string) error {
	if number < oldestVersion {
		return fmt.Errorf("postgres: the server at %s is PostgreSQL %s; it must be 14 or newer", at, version)
	}
	return nil
}

// checkRights looks whether the user may do what the schema's state asks for: make it, bring it up to date, or use it.
func (s *Store) checkRights(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) error {
	var there, mayMake, mayUse, mayCreate bool
	err := conn.QueryRow(ctx, `select n.oid is not null, has_database_privilege(current_database(), 'CREATE'),
		coalesce(has_schema_privilege(n.oid, 'USAGE'), false), coalesce(has_schema_privilege(n.oid, 'CREATE'), false)
		from (values (1)) as one left join pg_catalog.pg_namespace n on n.nspname = $1`, s.schema).Scan(&there, &mayMake, &mayUse, &mayCreate)
	quoted, user := pgx.Identifier{s.schema}.Sanitize(), pgx.Identifier{config.User}.Sanitize()
	switch {
	case err != nil:
		return openFailure(config, err)
	case !there && !mayMake:
		return fmt.Errorf("postgres: the schema %s is not there, and the user %s may not make it; as the database's owner, run: CREATE SCHEMA %s AUTHORIZATION %s", s.schema, config.User, quoted, user)
	case !there:
		return nil
	case !mayUse:
		return fmt.Errorf("postgres: the user %s may not use the schema %s; as its owner, run: GRANT USAGE ON SCHEMA %s TO %s", config.User, s.schema, quoted, user)
	}
	var closed string
	err = conn.QueryRow(ctx, `select coalesce(string_agg(c.relname, ', ' order by c.relname), '') from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relkind in ('r', 'p') and not (has_table_privilege(c.oid, 'SELECT') and
			(c.relname = 'migrations' or has_table_privilege(c.oid, 'INSERT') and has_table_privilege(c.oid, 'UPDATE') and has_table_privilege(c.oid, 'DELETE')))`, s.schema).Scan(&closed)
	switch {
	case err != nil:
		return openFailure(config, err)
	case closed != "":
		return fmt.Errorf("postgres: the user %s lacks rights on tables of the schema %s (%s); as their owner, run: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO %s",
			config.User, s.schema, closed, quoted, user)
	}
	all, err := migrations()
	if err != nil {
		return err
	}
	at, err := s.schemaVersion(ctx, conn)
	switch {
	case err != nil:
		return openFailure(config, err)
	case at < len(all) && !mayCreate:
		return fmt.Errorf("postgres: the schema %s is at version %d and must be brought to %d, which the user %s may not; start a gateway once as the schema's owner, or run as it: GRANT CREATE ON SCHEMA %s TO %s",
			s.schema, at, len(all), config.User, quoted, user)
	}
	return s.refuseNewer(at, len(all))
}

// openFailure says what is wrong with the way to the server, and what would be right. It shows neither the DSN nor the password.
func openFailure(config *pgx.ConnConfig, err error) error {
	at := address(config.Host, config.Port)
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch text := err.Error(); {
	case isCode(err, invalidPassword):
		return fmt.Errorf("postgres: the server at %s refuses the password of the user %s; check the user in dsn, and the password in dsn or password", at, config.User)
	case isCode(err, invalidAuthorization) && strings.Contains(text, "no encryption"):
		return fmt.Errorf("postgres: the server at %s accepts no connection of the user %s to the database %s without TLS, or none at all; add sslmode=verify-full to dsn or configure tls, "+
			"or add a line for them to pg_hba.conf", at, config.User, config.Database)
	case isCode(err, invalidAuthorization):
		return fmt.Errorf("postgres: the server at %s lets the user %s not into the database %s; check that the user exists and may log in, and that pg_hba.conf has a line for it", at, config.User, config.Database)
	case isCode(err, invalidCatalogName):
		return fmt.Errorf("postgres: the server at %s has no database %q; name another one in dsn, or make it: CREATE DATABASE %s", at, config.Database, pgx.Identifier{config.Database}.Sanitize())
	case isCode(err, tooManyConnections):
		return fmt.Errorf("postgres: the server at %s has no connection free; raise its max_connections, or lower the max_connections of the instances that use it", at)
	case isCode(err, insufficientPrivilege):
		return fmt.Errorf("postgres: the user %s may not connect to the database %s at %s; as its owner, run: GRANT CONNECT ON DATABASE %s TO %s",
			config.User, config.Database, at, pgx.Identifier{config.Database}.Sanitize(), pgx.Identifier{config.User}.Sanitize())
	case strings.Contains(text, "server refused TLS connection"):
		return fmt.Errorf("postgres: the server at %s has TLS off; turn it on there (ssl = on), or leave tls out and set sslmode=disable in dsn", at)
	case errors.As(err, &authority), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &record):
		return fmt.Errorf("postgres: TLS with the server at %s fails; check tls.ca_file and tls.server_name, or sslrootcert in dsn: %w", at, reason(err))
	case unreachable(err):
		return fmt.Errorf("postgres: no answer from the server at %s; check the host and port in dsn, and that the server runs and listens there: %w", at, reason(err))
	}
	return fmt.Errorf("postgres: the server at %s: %w", at, err)
}

// reason leaves out what a message has said already.
func reason(err error) error {
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) {
		return connecting.Unwrap()
	}
	return err
}
