package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/prismgate/prism/runtime/backend"
)

// badDSN never shows the DSN, nor the parser's words for it: either may hold the password.
const badDSN = "postgres: dsn cannot be understood; write postgres://user@host:5432/database?sslmode=verify-full (with @ : / ? # % in the user and the password as %40 %3A %2F %3F %23 %25), " +
	"or host=... port=5432 user=... dbname=... sslmode=verify-full"

// poolConfig is how connections are made.
func (s *Store) poolConfig() (*pgxpool.Config, error) {
	dsn, err := backend.Secret(s.config.GetDsn())
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(dsn)
	// An unescaped @ in a password moves its end into the host's or the database's place, from where messages would show it.
	if err != nil || strings.Contains(config.ConnConfig.Host+config.ConnConfig.Database, "@") {
		return nil, errors.New(badDSN)
	}
	config.MaxConns = defaultMaxConnections
	if most := s.config.GetMaxConnections(); most > 0 {
		config.MaxConns = int32(most) //nolint:gosec // at most 10,000
	}
	config.MinConns = min(config.MinConns, config.MaxConns)
	secured, err := backend.ClientTLS(s.config.GetTls())
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	withTLS(&config.ConnConfig.Config, secured)
	config.ConnConfig.ConnectTimeout, config.PingTimeout = s.timeout, s.timeout
	settings(config.ConnConfig.RuntimeParams, s.schema, s.timeout)
	config.BeforeConnect = func(_ context.Context, connection *pgx.ConnConfig) error { return s.setPassword(connection) }
	return config, s.setPassword(config.ConnConfig)
}

// setPassword reads the password anew for each connection, so that a file that is replaced is followed.
func (s *Store) setPassword(connection *pgx.ConnConfig) error {
	if s.config.GetPassword() == nil {
		return nil
	}
	password, err := backend.Secret(s.config.GetPassword())
	if err != nil {
		return err
	}
	connection.Password = password
	return nil
}

// settings are those of each connection. Every statement of this package is written for one row, or for a page by an index, and takes the same way however the table's statistics are; so
// plans are made once, by indexes.
func settings(parameters map[string]string, schema string, timeout time.Duration) {
	parameters["search_path"] = pgx.Identifier{schema}.Sanitize()
	parameters["statement_timeout"] = strconv.FormatInt(max(timeout.Milliseconds(), 1), 10) // a net: the call's own end comes first
	parameters["idle_in_transaction_session_timeout"] = parameters["statement_timeout"]     // a gateway that hangs shall not keep its locks
	parameters["default_transaction_isolation"] = "read committed"
	parameters["plan_cache_mode"] = "force_generic_plan"
	parameters["enable_seqscan"] = "off"
	parameters["enable_hashjoin"] = "off"
	parameters["enable_mergejoin"] = "off"
	parameters["jit"] = "off"
	if parameters["application_name"] == "" {
		parameters["application_name"] = "prism"
	}
}

// withTLS puts the configuration's TLS in the place of what the DSN says, towards each of its hosts.
func withTLS(config *pgconn.Config, secured *tls.Config) {
	if secured == nil {
		return
	}
	towards := func(host string) *tls.Config {
		own := secured.Clone()
		if own.ServerName == "" {
			own.ServerName = host
		}
		return own
	}
	config.TLSConfig = towards(config.Host)
	known := map[string]bool{address(config.Host, config.Port): true}
	var others []*pgconn.FallbackConfig
	for _, other := range config.Fallbacks { // sslmode=prefer and allow have each host twice, with TLS and without
		if at := address(other.Host, other.Port); !known[at] {
			known[at] = true
			others = append(others, &pgconn.FallbackConfig{Host: other.Host, Port: other.Port, TLSConfig: towards(other.Host)})
		}
	}
	config.Fallbacks = others
}

// dial makes a connection besides the pool's.
func (s *Store) dial(ctx context.Context) (*pgx.Conn, error) {
	config := s.pool.Config().ConnConfig
	if err := s.setPassword(config); err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

func address(host string, port uint16) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
