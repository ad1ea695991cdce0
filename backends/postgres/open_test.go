package postgres_test

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	pubsubv1 "github.com/prismgate/prism/gen/go/prism/pubsub/v1"
	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// guarded starts a server that wants passwords of all but the user postgres, and TLS of the user secure.
func guarded(t *testing.T, options ...string) *testenv.Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "prism-hba-") // the server's user reads it
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o755)) //nolint:gosec // there is no secret in it
	rules := filepath.Join(folder, "hba")
	require.NoError(t, os.WriteFile(rules, []byte("host all postgres 127.0.0.1/32 trust\nhostssl all secure 127.0.0.1/32 trust\nhost all limited,readonly 127.0.0.1/32 scram-sha-256\n"), 0o644)) //nolint:gosec // nor here
	return testenv.Start(t, testenv.Postgres, append([]string{"-c", "hba_file=" + rules}, options...)...)
}

// encrypted starts a server with a certificate of an authority.
func encrypted(t *testing.T, authority *testcert.Authority) *testenv.Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "prism-tls-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	files := authority.Server(t)
	for from, to := range map[string]string{files.Cert: "cert", files.Key: "key"} {
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, to), content, 0o600))
	}
	if os.Geteuid() == 0 { // the server runs as another user, and reads no key that is not its own
		account, err := user.Lookup(testenv.Postgres.User)
		require.NoError(t, err)
		uid, err := strconv.Atoi(account.Uid)
		require.NoError(t, err)
		for _, name := range []string{"", "cert", "key"} {
			require.NoError(t, os.Chown(filepath.Join(folder, name), uid, -1))
		}
	}
	return testenv.Start(t, testenv.Postgres, "-c", "ssl=on", "-c", "ssl_cert_file="+filepath.Join(folder, "cert"), "-c", "ssl_key_file="+filepath.Join(folder, "key"))
}

func TestTLS(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	server := encrypted(t, authority)
	for _, mode := range []string{"disable", "prefer", "require"} { // tls counts, whatever dsn says
		dsn := secret(t, "postgres://postgres@"+server.Address()+"/postgres?sslmode="+mode)
		store := open(t, &backendsv1.Postgres{Dsn: dsn, Tls: &configv1.ClientTls{CaFile: authority.File}})
		set(t, namespace(t, store, "orders"), "key", "value")
		admin := connect(t, testenv.DSN(server), "prism")
		require.Zero(t, number(t, admin, `select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where a.application_name = 'prism' and not s.ssl`))
		for name, config := range map[string]*configv1.ClientTls{
			"another authority": {CaFile: testcert.New(t).File},
			"another name":      {CaFile: authority.File, ServerName: "example.com"},
		} {
			_, err := tryOpen(t, &backendsv1.Postgres{Dsn: dsn, Tls: config}, new(backend.Status))
			require.ErrorContains(t, err, "postgres: TLS with the server at "+server.Address()+" fails; check tls.ca_file and tls.server_name", name)
		}
	}
}

func dsnOf(s *testenv.Server, user, database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", user, s.Address(), database)
}

func TestOpenSaysWhatIsWrongAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	server := guarded(t)
	admin := connect(t, testenv.DSN(server), "prism")
	execute(t, admin, `create user limited password 'hunter2'`)
	execute(t, admin, `create user secure`)
	execute(t, admin, `create user readonly password 'hunter2'`)
	execute(t, admin, `alter user readonly set default_transaction_read_only = on`)
	execute(t, admin, `create database closed`)
	execute(t, admin, `revoke connect on database closed from public`)
	at := server.Address()
	authority := testcert.New(t).File
	for name, c := range map[string]struct {
		config *backendsv1.Postgres
		want   string
	}{
		"nobody there": {
			&backendsv1.Postgres{Dsn: secret(t, "postgres://postgres:hunter2@127.0.0.1:1/postgres")},
			"postgres: no answer from the server at 127.0.0.1:1; check the host and port in dsn, and that the server runs and listens there",
		},
		"no such host": {
			&backendsv1.Postgres{Dsn: secret(t, "postgres://postgres:hunter2@no-such-host.invalid/postgres")},
			"postgres: no answer from the server at no-such-host.invalid:5432; check the host and port in dsn",
		},
		"wrong password": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "limited:hunter3", "postgres"))},
			"postgres: the server at " + at + " refuses the password of the user limited; check the user in dsn, and the password in dsn or password",
		},
		"wrong password of its own": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "limited", "postgres")), Password: secret(t, "hunter3")},
			"postgres: the server at " + at + " refuses the password of the user limited",
		},
		"no such user": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "nobody", "postgres"))},
			"postgres: the server at " + at + " accepts no connection of the user nobody to the database postgres without TLS, or none at all",
		},
		"wrong database": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "postgres", "orders"))},
			"postgres: the server at " + at + ` has no database "orders"; name another one in dsn, or make it: CREATE DATABASE "orders"`,
		},
		"closed database": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "limited:hunter2", "closed"))},
			"postgres: the user limited may not connect to the database closed at " + at + `; as its owner, run: GRANT CONNECT ON DATABASE "closed" TO "limited"`,
		},
		"TLS that the server wants": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "secure", "postgres"))},
			"add sslmode=verify-full to dsn or configure tls",
		},
		"TLS that the server has not": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "postgres", "postgres")), Tls: &configv1.ClientTls{CaFile: authority}},
			"postgres: the server at " + at + " has TLS off; turn it on there (ssl = on), or leave tls out and set sslmode=disable in dsn",
		},
		"TLS files": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "postgres", "postgres")), Tls: &configv1.ClientTls{CaFile: "/no/such/file"}},
			"tls: ca_file: open /no/such/file",
		},
		"a server that takes no writes": {
			&backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "readonly:hunter2", "postgres"))},
			"postgres: the server at " + at + " takes no writes; give the address of the primary",
		},
		"no DSN":               {&backendsv1.Postgres{Dsn: secret(t, "hunter2 is not a dsn")}, "postgres: dsn cannot be understood; write postgres://"},
		"a port that is none":  {&backendsv1.Postgres{Dsn: secret(t, "postgres://user:hunter2@host:port/db")}, "postgres: dsn cannot be understood"},
		"an @ in the password": {&backendsv1.Postgres{Dsn: secret(t, "postgres://user:1@hunter2@host/db")}, "postgres: dsn cannot be understood"},
		"a / in the password":  {&backendsv1.Postgres{Dsn: secret(t, "postgres://user:12/hunter2@host/db")}, "postgres: dsn cannot be understood"},
		"no file":              {&backendsv1.Postgres{Dsn: &configv1.Secret{Source: &configv1.Secret_File{File: "/no/such/file"}}}, "/no/such/file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryOpen(t, c.config, new(backend.Status))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter")
		})
	}
}

func TestSchemaThatTheServerKeepsForItselfIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pg_catalog", "pg_prism", "information_schema"} {
		_, err := tryOpen(t, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(testenv.Shared(t, testenv.Postgres))), Schema: name}, new(backend.Status))
		require.EqualError(t, err, "postgres: the schema "+name+" is the server's own; name another one, or none for prism")
	}
}

func TestOpenOfAServerThatHangsEnds(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	_, err = tryOpen(t, &backendsv1.Postgres{Dsn: secret(t, "postgres://postgres@"+silent.Addr().String()+"/db"), Timeout: durationpb.New(200e6)}, new(backend.Status))
	require.ErrorContains(t, err, "postgres: no answer from the server at "+silent.Addr().String())
}

func TestOpenChangesNothing(t *testing.T) {
	t.Parallel()
	name := schema()
	store := open(t, &backendsv1.Postgres{Schema: name})
	conn := shared(t, "public")
	there := `select count(*) from pg_namespace where nspname = $1`
	require.Zero(t, number(t, conn, there, name))
	namespace(t, store, "orders")
	require.Equal(t, 1, number(t, conn, there, name))
}

// exerciseRights does what needs each right.
func exerciseRights(t *testing.T, i *prism.Interfaces) {
	t.Helper()
	ctx := t.Context()
	handle := begin(t, i)
	_, err := i.KeyValueTransactional.GetInTransaction(ctx, &keyvaluev1.GetInTransactionRequest{Transaction: handle, Key: "missing"})
	require.NoError(t, err)
	_, err = i.KeyValueTransactional.SetInTransaction(ctx, &keyvaluev1.SetInTransactionRequest{Transaction: handle, Key: "new", Value: []byte("value")})
	require.NoError(t, err)
	_, err = i.KeyValueTransactional.DeleteInTransaction(ctx, &keyvaluev1.DeleteInTransactionRequest{Transaction: handle, Key: "key"})
	require.NoError(t, err)
	_, err = i.KeyValueTransactional.Commit(ctx, &keyvaluev1.CommitRequest{Transaction: handle})
	require.NoError(t, err)
	_, err = i.KeyValueCAS.CompareAndSwap(ctx, &keyvaluev1.CompareAndSwapRequest{Key: "new", Expected: []byte("value"), Value: []byte("other")})
	require.NoError(t, err)
	require.Equal(t, "other", get(t, i, "new"))
	_, err = i.KeyValueBasic.Delete(ctx, &keyvaluev1.DeleteRequest{Key: "new"})
	require.NoError(t, err)
	_, err = i.PubSubBasic.Publish(ctx, &pubsubv1.PublishRequest{Topic: "topic", Payload: []byte("payload")})
	require.NoError(t, err)
	_, err = i.PubSubPersistent.PublishPersistent(ctx, &pubsubv1.PublishPersistentRequest{Topic: "topic", Payload: []byte("payload")})
	require.NoError(t, err)
	_, err = i.QueueBasic.Enqueue(ctx, &queuev1.EnqueueRequest{Queue: "queue", Payload: []byte("payload")})
	require.NoError(t, err)
	_, err = i.QueueBasic.Dequeue(ctx, &queuev1.DequeueRequest{Queue: "queue"})
	require.NoError(t, err)
}

// remedy is the statement that an error asks the operator to run.
func remedy(t *testing.T, err error) string {
	t.Helper()
	found := regexp.MustCompile(`run(?: as it)?: (.*)$`).FindStringSubmatch(err.Error())
	require.NotNil(t, found, "%v", err)
	return found[1]
}

// TestUserWithLeastRights follows what the errors say, until they say nothing any more.
func TestUserWithLeastRights(t *testing.T) {
	t.Parallel()
	server := guarded(t)
	admin := connect(t, testenv.DSN(server), "prism")
	execute(t, admin, `create user limited password 'hunter2'`)
	config := &backendsv1.Postgres{Dsn: secret(t, dsnOf(server, "limited", "postgres")), Password: secret(t, "hunter2")}

	_, err := tryOpen(t, config, new(backend.Status))
	require.EqualError(t, err, `postgres: the schema prism is not there, and the user limited may not make it; as the database's owner, run: CREATE SCHEMA "prism" AUTHORIZATION "limited"`)
	execute(t, admin, remedy(t, err))
	set(t, namespace(t, openWith(t, config, new(backend.Status)), "orders"), "key", "owner of the schema")

	// A user who does not own the schema, which another one has made and brings up to date.
	execute(t, admin, `alter schema prism rename to former`)
	set(t, namespace(t, open(t, &backendsv1.Postgres{Dsn: secret(t, testenv.DSN(server))}), "orders"), "key", "value")
	var asked []string
	for range 2 {
		_, err = tryOpen(t, config, new(backend.Status))
		require.Error(t, err)
		asked = append(asked, remedy(t, err))
		execute(t, admin, remedy(t, err))
	}
	require.Equal(t, []string{`GRANT USAGE ON SCHEMA "prism" TO "limited"`, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "prism" TO "limited"`}, asked)
	i := namespace(t, openWith(t, config, new(backend.Status)), "orders")
	require.Equal(t, "value", get(t, i, "key"))
	exerciseRights(t, i)

	execute(t, admin, `delete from migrations where version = (select max(version) from migrations)`)
	_, err = tryOpen(t, config, new(backend.Status))
	require.Equal(t, `GRANT CREATE ON SCHEMA "prism" TO "limited"`, remedy(t, err))
}

func TestSchemaOfANewerGatewayIsRefused(t *testing.T) {
	t.Parallel()
	name := schema()
	before := open(t, &backendsv1.Postgres{Schema: name})
	namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders")
	execute(t, shared(t, name), `insert into migrations (version, name) values (999, 'from the future')`)
	_, err := tryOpen(t, &backendsv1.Postgres{Schema: name, Dsn: secret(t, testenv.DSN(testenv.Shared(t, testenv.Postgres)))}, new(backend.Status))
	require.ErrorContains(t, err, "the schema "+name+" is at version 999, and this gateway knows ")
	_, err = before.Namespace(t.Context(), "orders")
	require.ErrorContains(t, err, "is at version 999")
	require.Equal(t, fault.Internal, fault.CodeOf(err))
}

func TestSchemaIsNamedWhateverItIs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"select", "_", "pg", strings.Repeat("s", 63)} {
		set(t, namespace(t, open(t, &backendsv1.Postgres{Schema: name}), "orders"), "key", "value")
		require.Equal(t, 1, number(t, shared(t, `"`+name+`"`), `select count(*) from kv`))
	}
}
