package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testenv"
)

// password is in every secret of these tests, so that none of it can be printed unseen.
const password = "hunter2"

// dialedInVain is a configuration that is wrong, and what `prism validate --dial` must say of it.
type dialedInVain struct {
	// backend and config are the instance.
	backend, config string
	// says is in the output: what is wrong, and what would be right.
	says []string
}

// in requires that the case fails with what it must say and no secret.
func (c dialedInVain) in(t *testing.T) {
	t.Helper()
	d := built(t)
	d.stdin = strings.NewReader("backends: [{name: subject, type: " + c.backend + ", config: " + c.config + "}]\nnamespaces: [{name: a, backend: subject}]\n")
	got := runLine(t, d, "validate", "--dial", "--timeout", "3s", "-")
	require.Equal(t, exitFailed, got.exit, got.stdout+got.stderr)
	require.Contains(t, got.stdout, "✗ subject", got.stderr)
	for _, part := range c.says {
		require.Contains(t, got.stdout, part)
	}
	require.NotContains(t, got.stdout+got.stderr, password)
}

// secretFile writes a secret into a file, and returns how a configuration names it.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(name, []byte(secret), 0o600))
	return "{file: " + strconv.Quote(name) + "}"
}

// closedPort is an address where nobody listens.
const closedPort = "127.0.0.1:1"

// fake serves connections with a function until the test ends, and returns its address.
func fake(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go serve(conn)
		}
	}()
	return l.Addr().String()
}

// silent takes what it is sent, and says nothing.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// staleSocket is a socket file that a server left behind.
func staleSocket(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "s") // the test's own may be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, "s"), Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	return filepath.Join(folder, "s")
}

func TestValidateDialsRedisInVain(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis, "--requirepass", password, "--user", "limited", "on", ">"+password, "~*", "&*", "+@all", "-eval")
	nats := testenv.Shared(t, testenv.NATS)
	right := secretFile(t, password)
	at := func(address, rest string) string { return fmt.Sprintf("{address: %q%s}", address, rest) }
	for name, c := range map[string]dialedInVain{
		"wrong address":  {"redis", at(closedPort, ""), []string{"127.0.0.1:1: nothing answers there", "check address"}},
		"stale socket":   {"redis", at("unix:"+staleSocket(t), ""), []string{"nothing answers there", "check address"}},
		"wrong password": {"redis", at(server.Address(), ", password: "+secretFile(t, password+"3")), []string{"check username and password"}},
		"no password":    {"redis", at(server.Address(), ""), []string{"set password"}},
		"wrong database": {"redis", at(server.Address(), ", database: 99, password: "+right), []string{"has no database 99", "set database to one that it has"}},
		"missing rights": {"redis", at(server.Address(), ", username: limited, password: "+right), []string{"limited", "eval"}},
		"TLS":            {"redis", at(server.Address(), ", tls: {}, password: "+right), []string{"leave tls out"}},
		"too old":        {"redis", at(fake(t, oldRedis), ""), []string{"Redis 5.0.7", "6.2 or newer"}},
		"silent":         {"redis", at(fake(t, silent), ""), []string{"did not answer within", "check address"}},
		"another server": {"redis", at(nats.Address(), ""), []string{"does not answer as a Redis server does", "check address"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.in(t)
		})
	}
}

// oldRedis answers as Redis 5 does: it does not know HELLO.
func oldRedis(conn net.Conn) {
	const info = "redis_version:5.0.7\r\ncluster_enabled:0\r\nrole:master\r\n"
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		words := make([]string, 0, 10)
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		for range n {
			_, _ = lines.ReadString('\n')
			word, _ := lines.ReadString('\n')
			words = append(words, strings.ToLower(strings.TrimSpace(word)))
		}
		answer := "-ERR unknown command\r\n"
		if len(words) > 0 && words[0] == "info" {
			answer = fmt.Sprintf("$%d\r\n%s\r\n", len(info), info)
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

func TestValidateDialsPostgresInVain(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "prism-hba-") // the server's user reads it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755))
	rules := filepath.Join(folder, "hba")
	require.NoError(t, os.WriteFile(rules, []byte("host all postgres 127.0.0.1/32 trust\nhost all limited 127.0.0.1/32 scram-sha-256\n"), 0o644))
	server := testenv.Start(t, testenv.Postgres, "-c", "hba_file="+rules)
	admin, err := pgx.Connect(t.Context(), testenv.DSN(server))
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "create user limited password '"+password+"'")
	require.NoError(t, err)
	require.NoError(t, admin.Close(t.Context()))
	nats := testenv.Shared(t, testenv.NATS)
	at := func(user, address, database string) string {
		return "{dsn: " + secretFile(t, fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", user, address, database)) + "}"
	}
	for name, c := range map[string]dialedInVain{
		"wrong address":  {"postgres", at("postgres:"+password, closedPort, "postgres"), []string{"no answer from the server at 127.0.0.1:1", "check the host and port"}},
		"wrong password": {"postgres", at("limited:"+password+"3", server.Address(), "postgres"), []string{"refuses the password of the user limited", "check the user in dsn"}},
		"wrong user":     {"postgres", at("nobody:"+password, server.Address(), "postgres"), []string{"nobody", "pg_hba.conf"}},
		"wrong database": {"postgres", at("postgres", server.Address(), "orders"), []string{`has no database "orders"`, "CREATE DATABASE"}},
		"missing rights": {"postgres", at("limited:"+password, server.Address(), "postgres"), []string{"the user limited may not make it", "CREATE SCHEMA"}},
		"no DSN":         {"postgres", "{dsn: " + secretFile(t, password+" is no dsn") + "}", []string{"dsn cannot be understood; write postgres://"}},
		"too old":        {"postgres", at("postgres", fake(t, oldPostgres), "postgres"), []string{"PostgreSQL 13.5", "14 or newer"}},
		"silent":         {"postgres", at("postgres", fake(t, silent), "postgres"), []string{"no answer from the server", "check the host and port"}},
		"another server": {"postgres", at("postgres", nats.Address(), "postgres"), []string{"postgres: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.in(t)
		})
	}
}

// oldPostgres answers each query with what PostgreSQL 13.5 says of itself.
func oldPostgres(conn net.Conn) {
	b := pgproto3.NewBackend(conn, conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "13.5"})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil {
		message, err := b.Receive()
		if err != nil {
			return
		}
		switch message.(type) {
		case *pgproto3.Parse:
			b.Send(&pgproto3.ParseComplete{})
		case *pgproto3.Describe:
			b.Send(&pgproto3.ParameterDescription{})
			b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
				{Name: []byte("number"), DataTypeOID: 23, DataTypeSize: 4}, {Name: []byte("version"), DataTypeOID: 25, DataTypeSize: -1}, {Name: []byte("read_only"), DataTypeOID: 16, DataTypeSize: 1},
			}})
		case *pgproto3.Bind:
			b.Send(&pgproto3.BindComplete{})
		case *pgproto3.Execute:
			b.Send(&pgproto3.DataRow{Values: [][]byte{binary.BigEndian.AppendUint32(nil, 130005), []byte("13.5"), {0}}})
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		case *pgproto3.Sync:
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		case *pgproto3.Terminate:
			return
		}
	}
}

func TestValidateDialsNATSInVain(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.NATS, `authorization { users = [
		{user: "all", password: "`+password+`"}, {user: "limited", password: "`+password+`", permissions: {publish: "only.this", subscribe: "only.this"}}
	] }`)
	redis := testenv.Shared(t, testenv.Redis)
	right := secretFile(t, password)
	at := func(address, rest string) string { return fmt.Sprintf("{urls: [%q]%s}", "nats://"+address, rest) }
	for name, c := range map[string]dialedInVain{
		"wrong address":        {"nats", at(closedPort, ""), []string{"nothing answers at any of urls", "correct urls"}},
		"wrong password":       {"nats", at(server.Address(), ", username: all, password: "+secretFile(t, password+"3")), []string{"correct username and password"}},
		"wrong password in it": {"nats", at("all:"+password+"3@"+server.Address(), ""), []string{"correct username and password"}},
		"no password":          {"nats", at(server.Address(), ""), []string{"correct username and password"}},
		"missing rights":       {"nats", at(server.Address(), ", username: limited, password: "+right), []string{"may not publish to", "allow it to publish to"}},
		"TLS":                  {"nats", at(server.Address(), ", tls: {}, username: all, password: "+right), []string{"remove tls"}},
		"too old":              {"nats", at(fake(t, oldNATS), ""), []string{"2.10.4", "2.11 or newer"}},
		"silent":               {"nats", at(fake(t, silent), ""), []string{"does not answer as a NATS server does, or not in time", "correct urls"}},
		"another server":       {"nats", at(redis.Address(), ""), []string{"correct urls"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.in(t)
		})
	}
}

// oldNATS answers as a server does that has no times to live of single messages.
func oldNATS(conn net.Conn) {
	_, _ = io.WriteString(conn, `INFO {"server_id":"OLD","version":"2.10.4","proto":1,"headers":true,"max_payload":8388608,"jetstream":true}`+"\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "PING") {
			_, _ = io.WriteString(conn, "PONG\r\n")
		}
	}
}
