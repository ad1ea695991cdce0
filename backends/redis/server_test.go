package redis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/redis"
	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/gen/go/suites"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// TestOpenSaysWhatIsWrong opens instances that cannot work, and demands that the error says what would.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	plain := testenv.Shared(t, testenv.Redis)
	closed := testenv.Start(t, testenv.Redis, "--requirepass", "hunter2")
	admin := dial(t, &client.Options{Addr: closed.Address(), Password: "hunter2"})
	acl := func(line string) { require.NoError(t, admin.Do(t.Context(), words("ACL SETUSER "+line)...).Err()) }
	acl("noget on >hunter2 ~prism:* &prism:* +@all -get")
	acl("nokeys on >hunter2 ~other:* &prism:* +@all")
	acl("nochannels on >hunter2 ~prism:* resetchannels +@all")
	acl("nomulti on >hunter2 ~prism:* &prism:* +@all -multi")
	acl("noinfo on >hunter2 ~prism:* &prism:* +@all -info")
	evicting := testenv.Start(t, testenv.Redis, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	replica := testenv.Start(t, testenv.Redis, "--replicaof", "127.0.0.1 "+fmt.Sprint(plain.Port))
	secured, authority := startSecured(t)
	node := testenv.Start(t, testenv.Redis, "--cluster-enabled", "yes", "--cluster-port", freePort(t))
	trusting := &configv1.ClientTls{CaFile: authority.File}
	wants := fmt.Sprintf("address %s: ", closed.Address())
	remedy := "ACL SETUSER %s ~prism:* &prism:* +@read +@write"

	for name, c := range map[string]struct {
		config *backendsv1.Redis
		want   []string
	}{
		"nobody there":      {&backendsv1.Redis{Address: "127.0.0.1:" + freePort(t)}, []string{"nothing answers there", "connection refused", "check address"}},
		"no such host":      {&backendsv1.Redis{Address: "no-such-host.invalid:6379"}, []string{"address no-such-host.invalid:6379", "check address"}},
		"no such socket":    {&backendsv1.Redis{Address: "unix:/no/such/socket"}, []string{"nothing answers there", "no such file", "check address"}},
		"silence":           {&backendsv1.Redis{Address: listen(t, nil), Timeout: durationpb.New(300 * time.Millisecond)}, []string{"did not answer within 300ms", "check address"}},
		"another server":    {&backendsv1.Redis{Address: listen(t, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))}, []string{"does not answer as a Redis server does", "check address"}},
		"no password":       {&backendsv1.Redis{Address: closed.Address()}, []string{wants, "wants a password", "set password"}},
		"wrong password":    {&backendsv1.Redis{Address: closed.Address(), Password: secret(t, "wrong")}, []string{wants, `user "default"`, "check username and password"}},
		"wrong user":        {&backendsv1.Redis{Address: closed.Address(), Username: "nobody", Password: secret(t, "hunter2")}, []string{wants, `user "nobody"`, "check username and password"}},
		"no such secret":    {&backendsv1.Redis{Address: closed.Address(), Password: &configv1.Secret{Source: &configv1.Secret_File{File: "/no/such/file"}}}, []string{"password: ", "/no/such/file"}},
		"database":          {&backendsv1.Redis{Address: plain.Address(), Database: 16}, []string{"no database 16", "set database"}},
		"cluster database":  {&backendsv1.Redis{Address: node.Address(), Cluster: true, Database: 1}, []string{"only database 0"}},
		"no GET":            {&backendsv1.Redis{Address: closed.Address(), Username: "noget", Password: secret(t, "hunter2")}, []string{wants, "'get'", fmt.Sprintf(remedy, "noget")}},
		"no keys":           {&backendsv1.Redis{Address: closed.Address(), Username: "nokeys", Password: secret(t, "hunter2")}, []string{wants, fmt.Sprintf(remedy, "nokeys")}},
		"no channels":       {&backendsv1.Redis{Address: closed.Address(), Username: "nochannels", Password: secret(t, "hunter2")}, []string{wants, fmt.Sprintf(remedy, "nochannels")}},
		"no MULTI":          {&backendsv1.Redis{Address: closed.Address(), Username: "nomulti", Password: secret(t, "hunter2")}, []string{wants, "'multi'", fmt.Sprintf(remedy, "nomulti")}},
		"no INFO":           {&backendsv1.Redis{Address: closed.Address(), Username: "noinfo", Password: secret(t, "hunter2")}, []string{wants, "'info'", fmt.Sprintf(remedy, "noinfo")}},
		"evicting":          {&backendsv1.Redis{Address: evicting.Address()}, []string{"maxmemory-policy to noeviction, not allkeys-lru"}},
		"replica":           {&backendsv1.Redis{Address: replica.Address()}, []string{"is a replica", "set address to its master " + plain.Address()}},
		"a cluster":         {&backendsv1.Redis{Address: node.Address()}, []string{"set cluster: true"}},
		"no cluster":        {&backendsv1.Redis{Address: plain.Address(), Cluster: true}, []string{"leave cluster out"}},
		"TLS to plain":      {&backendsv1.Redis{Address: plain.Address(), Tls: trusting, Timeout: durationpb.New(time.Second)}, []string{"leave tls out"}},
		"plain to TLS":      {&backendsv1.Redis{Address: secured.Address()}, []string{"set tls"}},
		"unknown authority": {&backendsv1.Redis{Address: secured.Address(), Tls: &configv1.ClientTls{}}, []string{"certificate is not accepted", "tls.ca_file"}},
		"wrong name":        {&backendsv1.Redis{Address: secured.Address(), Tls: &configv1.ClientTls{CaFile: authority.File, ServerName: "other"}}, []string{"certificate is not accepted", "tls.server_name"}},
		"no certificate":    {&backendsv1.Redis{Address: secured.Address(), Tls: trusting}, []string{"tls.cert_file"}},
		"no authority":      {&backendsv1.Redis{Address: secured.Address(), Tls: &configv1.ClientTls{CaFile: "/no/such/file"}}, []string{"tls: ca_file", "/no/such/file"}},
		"too old":           {&backendsv1.Redis{Address: pretend(t, "redis_version:6.0.16")}, []string{"Redis 6.0.16", "6.2 or newer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := redis.Open(ctx, backend.Env{}, c.config)
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "\n")
			t.Log(err)
		})
	}
}

// TestOpenChangesNothing opens an instance and looks at what is in the server then.
func TestOpenChangesNothing(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	open(t, &backendsv1.Redis{Address: server.Address()})
	direct := dial(t, &client.Options{Addr: server.Address()})
	require.Zero(t, direct.DBSize(t.Context()).Val())
	require.NotContains(t, direct.Info(t.Context(), "commandstats").Val(), "cmdstat_set:")
}

// TestConformanceWithARestrictedUser runs suites as a user who has the rights that an error asks for, and no others.
func TestConformanceWithARestrictedUser(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.Redis)
	direct := dial(t, &client.Options{Addr: server.Address()})
	require.NoError(t, direct.Do(t.Context(), words("ACL SETUSER narrow on >hunter2")...).Err())
	config := &backendsv1.Redis{Address: server.Address(), Username: "narrow", Password: secret(t, "hunter2"), Prefix: "mine.1"}
	_, err := redis.Open(t.Context(), backend.Env{}, config)
	require.ErrorContains(t, err, "ACL SETUSER narrow")
	_, line, _ := strings.Cut(err.Error(), "on the server, ")
	require.NoError(t, direct.Do(t.Context(), words(line)...).Err(), line)

	store := open(t, config)
	runSuites(t, store)
}

func TestConformanceOverTLS(t *testing.T) {
	t.Parallel()
	server, authority := startSecured(t)
	files := authority.Client(t)
	runSuites(t, open(t, &backendsv1.Redis{
		Address: server.Address(), Tls: &configv1.ClientTls{CaFile: authority.File, CertFile: files.Cert, KeyFile: files.Key}, Database: 3,
	}))
}

func TestConformanceOnASocket(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	testenv.Start(t, testenv.Redis, "--unixsocket", socket)
	store := open(t, &backendsv1.Redis{Address: "unix:" + socket, Coalescing: &configv1.Coalescing{Off: true}, MaxConnections: 3})
	runSuites(t, store)
}

func TestConformanceOnACluster(t *testing.T) {
	t.Parallel()
	nodes := testenv.RedisCluster(t)
	// The first address is nobody's: a cluster is found by any of its nodes.
	runSuites(t, open(t, &backendsv1.Redis{Address: "127.0.0.1:" + freePort(t), Addresses: []string{nodes[2].Address()}, Cluster: true}))
}

// runSuites runs the suites, each value in a namespace of its own.
func runSuites(t *testing.T, store *redis.Store) {
	t.Helper()
	suites.Run(t, func(t *testing.T) *prism.Interfaces { return namespace(t, store, rand.Text()) })
}

// startSecured starts a server that speaks TLS only, and wants a certificate.
func startSecured(t *testing.T) (*testenv.Server, *testcert.Authority) {
	t.Helper()
	authority := testcert.New(t)
	files := authority.Server(t)
	kind := *testenv.Redis
	kind.Arguments = func(s *testenv.Server) []string {
		return append(testenv.Redis.Arguments(s),
			"--port", "0", "--tls-port", fmt.Sprint(s.Port), "--tls-cert-file", files.Cert, "--tls-key-file", files.Key, "--tls-ca-cert-file", authority.File)
	}
	kind.Ready = func(ctx context.Context, s *testenv.Server) error {
		own := client.NewClient(&client.Options{Addr: s.Address(), TLSConfig: authority.Trust(t, authority.Client(t))})
		defer func() { _ = own.Close() }()
		return own.Ping(ctx).Err()
	}
	return testenv.Start(t, &kind), authority
}

// dial returns a client of the test's own.
func dial(t *testing.T, options *client.Options) *client.Client {
	t.Helper()
	direct := client.NewClient(options)
	t.Cleanup(func() { _ = direct.Close() })
	return direct
}

func words(line string) []any {
	var all []any
	for _, word := range strings.Fields(line) {
		all = append(all, word)
	}
	return all
}

// secret returns a secret in a file.
func secret(t *testing.T, text string) *configv1.Secret {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return &configv1.Secret{Source: &configv1.Secret_File{File: file}}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// listen returns the address of a server that says something to whoever connects, and nothing else.
func listen(t *testing.T, greeting []byte) string {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		_, _ = conn.Write(greeting)
		buffer := make([]byte, 4096)
		for {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
		}
	})
}

// pretend returns the address of a server that answers each command but the first with the same information.
func pretend(t *testing.T, info string) string {
	t.Helper()
	return serve(t, func(conn net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if strings.Contains(string(buffer[:n]), "hello") {
				_, _ = fmt.Fprint(conn, "-ERR unknown command 'hello'\r\n")
				continue
			}
			_, _ = fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(info), info)
		}
	})
}

func serve(t *testing.T, each func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				each(conn)
			}()
		}
	}()
	return listener.Addr().String()
}
