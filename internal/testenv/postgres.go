package testenv

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// Postgres is a PostgreSQL server with the database "postgres" of the user "postgres", without a password. Options are further arguments: "-c", "fsync=on". Without any, writes are not
// flushed to the disk.
var Postgres = &Kind{
	Name:     "postgres",
	Programs: []string{"postgres", "initdb", "pg_isready"},
	Folders:  []string{"/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin"},
	Install:  "run `make servers`, or install PostgreSQL 14 or newer (Debian: apt-get install postgresql)",
	User:     "postgres",
	Prepare: func(ctx context.Context, s *Server) error {
		return s.Run(ctx, "initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=postgres", "-D", filepath.Join(s.Folder, "data"))
	},
	Arguments: func(s *Server) []string {
		arguments := []string{
			"-D", filepath.Join(s.Folder, "data"), "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.Folder,
			"-c", "fsync=off", "-c", "max_connections=200",
		}
		return append(arguments, s.Options...)
	},
	Ready: func(ctx context.Context, s *Server) error {
		return s.Run(ctx, "pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port), "-U", "postgres", "-d", "postgres")
	},
}

// DSN is how a Postgres server is reached.
func DSN(s *Server) string {
	return fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", s.Address())
}
