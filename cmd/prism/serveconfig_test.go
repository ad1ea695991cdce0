package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/runtime/rpc"
)

// asked is what a namespace says of a key that it does not have.
const asked = "{\"exists\":false}\n"

// exists calls a gateway at an address.
func exists(t *testing.T, address string, args ...string) result {
	t.Helper()
	return runLine(t, built(t), append([]string{"call", "keyvalue_basic.Exists", "-n", "default", "-d", `{"key":"k"}`, "-o", "json", "--address", address}, args...)...)
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Server(t)
	for _, http2 := range []string{http2Own, http2Standard} {
		t.Run(http2, func(t *testing.T) {
			t.Parallel()
			g := serve(t, built(t), "--http2", http2, "--tls-cert", own.Cert, "--tls-key", own.Key)
			require.Contains(t, g.stderr.String(), "http2="+http2+" tls=on\n")
			for _, protocol := range []string{"grpc", "grpcweb", "connect"} {
				require.Equal(t, result{stdout: asked}, exists(t, g.listen, "--tls-ca", authority.File, "--protocol", protocol))
			}
			require.Equal(t, result{stdout: asked}, exists(t, "https://"+g.listen, "--tls-ca", authority.File))

			for _, refused := range []struct {
				address, says string
				args          []string
			}{
				{"https://" + g.listen, "certificate signed by unknown authority\nThe system does not trust the gateway's certificate. --tls-ca names", nil},
				{g.listen, "If the gateway serves TLS, call it with https://", nil},
				{strings.Replace(g.listen, "127.0.0.1", "127.0.0.2", 1), "Is a gateway running at 127.0.0.2", []string{"--tls-ca", authority.File}},
			} {
				got := exists(t, refused.address, append(refused.args, "-o", "text")...)
				require.Equal(t, exitFailed, got.exit)
				require.Contains(t, got.stderr, refused.says)
			}
			_, metrics := g.get(t, "/metrics")
			require.Regexp(t, `(?m)^prism_front_connections_accepted_total [1-9]`, metrics)
			require.Contains(t, metrics, `prism_front_refused_total{reason="max_connections"} 0`)
			g.stop(t)
		})
	}
}

func TestServeAsksForClientCertificates(t *testing.T) {
	t.Parallel()
	authority, stranger := testcert.New(t), testcert.New(t)
	own, shown, strangers := authority.Server(t), authority.Client(t), stranger.Client(t)
	// Clients are authenticated, so that the address may be any, and nobody is warned.
	p := start(t, built(t), "serve", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0", "--tls-cert", own.Cert, "--tls-key", own.Key, "--client-ca", authority.File)
	ready := p.stderr.waitFor(t, "prism is ready")
	require.Contains(t, ready, "tls=mutual")
	_, port, err := net.SplitHostPort(regexp.MustCompile(`listen=(\S+)`).FindStringSubmatch(ready)[1])
	require.NoError(t, err)
	address := "127.0.0.1:" + port
	require.Equal(t, result{stdout: asked}, exists(t, address, "--tls-ca", authority.File, "--tls-cert", shown.Cert, "--tls-key", shown.Key))
	for _, args := range [][]string{
		{"--tls-ca", authority.File},
		{"--tls-ca", authority.File, "--tls-cert", strangers.Cert, "--tls-key", strangers.Key},
	} {
		got := exists(t, address, append(args, "-o", "text")...)
		require.Equal(t, exitFailed, got.exit)
		require.Contains(t, got.stderr, "If the gateway asks clients for certificates, --tls-cert and --tls-key show one")
	}
	require.NotContains(t, p.stderr.String(), "nobody is authenticated")
	p.signals <- syscall.SIGTERM
	require.Equal(t, exitOK, p.wait(t))
}

func TestClientCertificatesDoNotProtectAdmin(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Server(t)
	with := func(more ...string) result {
		return runLine(t, built(t), append([]string{"serve", "--tls-cert", own.Cert, "--tls-key", own.Key}, more...)...)
	}
	got := with("--client-ca", authority.File, "--admin", "0.0.0.0:0")
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stderr, "prism: --admin: refusing to serve on 0.0.0.0:0")
	require.NotContains(t, got.stderr, "--client-ca", "it would not help")
	// TLS alone authenticates the gateway only.
	got = with("--listen", "0.0.0.0:0")
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stderr, "prism: --listen: refusing to serve on 0.0.0.0:0")
}

func TestServeRefusesAKeyThatDoesNotMatch(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	one, other := authority.Server(t), authority.Server(t)
	s := newStore()
	got := runLine(t, sample(t, s), "serve", "--tls-cert", one.Cert, "--tls-key", other.Key)
	require.Equal(t, exitFailed, got.exit)
	require.Equal(t, fmt.Sprintf("prism: --tls-key: %s is not the key of the certificate in %s: private key does not match public key\n", other.Key, one.Cert), got.stderr)
	require.Zero(t, s.opened.Load(), "a backend was opened")

	got = runLine(t, built(t), "call", "keyvalue_basic.Exists", "-n", "default", "--tls-cert", one.Cert, "--tls-key", other.Key)
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stderr, "prism: --tls-key: "+other.Key+" is not the key of the certificate in "+one.Cert)
}

func TestServeUnixSocket(t *testing.T) {
	t.Parallel()
	for _, http2 := range []string{http2Own, http2Standard} {
		t.Run(http2, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			data, admin := filepath.Join(folder, "prism.sock"), filepath.Join(folder, "admin.sock")
			p := start(t, built(t), "serve", "--listen", "unix:"+data, "--admin", "unix:"+admin, "--http2", http2)
			require.Contains(t, p.stderr.waitFor(t, "prism is ready"), "listen=unix:"+data+" admin=unix:"+admin)
			info, err := os.Stat(data)
			require.NoError(t, err)
			require.Equal(t, os.ModeSocket|0o600, info.Mode())

			conn, err := grpc.NewClient("unix://"+data, grpc.WithTransportCredentials(insecure.NewCredentials()))
			require.NoError(t, err)
			ctx := metadata.AppendToOutgoingContext(t.Context(), rpc.NamespaceHeader, "default")
			answer := &keyvaluev1.ExistsResponse{Exists: true}
			require.NoError(t, conn.Invoke(ctx, "/prism.keyvalue.v1.KeyValueBasicInterface/Exists", &keyvaluev1.ExistsRequest{Key: "k"}, answer))
			require.False(t, answer.GetExists())
			require.NoError(t, conn.Close())
			for _, address := range []string{"unix:" + data, "unix://" + data} {
				require.Equal(t, result{stdout: asked}, exists(t, address))
			}

			operator := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", admin)
			}}}
			response, err := operator.Get("http://localhost/readyz")
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.NoError(t, response.Body.Close())
			operator.CloseIdleConnections()

			// The socket is taken: another gateway is refused, and this one is not disturbed.
			got := runLine(t, built(t), "serve", "--listen", "unix:"+data, "--admin", "127.0.0.1:0")
			require.Equal(t, exitFailed, got.exit)
			require.Contains(t, got.stderr, "another process listens there, perhaps another prism")
			require.Equal(t, result{stdout: asked}, exists(t, "unix:"+data))

			p.signals <- syscall.SIGTERM
			require.Equal(t, exitOK, p.wait(t))
			for _, path := range []string{data, admin} {
				require.NoFileExists(t, path)
			}
		})
	}
}

// configFile writes a configuration.
func configFile(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prism.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return file
}

func TestServeConfig(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Server(t)
	socket := filepath.Join(t.TempDir(), "prism.sock")
	file := configFile(t,
		"server:",
		"  listen: unix:"+socket,
		"  admin: 127.0.0.1:0",
		"  http2: standard",
		"  tls: {cert_file: "+own.Cert+", key_file: "+own.Key+", min_version: '1.3'}",
		"  limits: {max_connections: 2, handshake_timeout: 2s}",
		"backends:",
		"  - {name: small, type: memstore, config: {max_bytes: 100}}",
		"namespaces:",
		"  - {name: default, backend: memstore}",
		"  - {name: bounded, backend: small}",
	)
	p := start(t, built(t), "serve", "--config", file)
	ready := p.stderr.waitFor(t, "prism is ready")
	require.Contains(t, ready, "listen=unix:"+socket+" ")
	require.Contains(t, ready, "namespaces=bounded,default http2=standard tls=on\n")
	require.Equal(t, result{stdout: asked}, exists(t, "unix:"+socket, "--tls-ca", authority.File))
	got := runLine(t, built(t), "call", "keyvalue_basic.Set", "-n", "bounded", "-d", `{"key":"k","value":"`+strings.Repeat("AAAA", 50)+`"}`,
		"--address", "unix:"+socket, "--tls-ca", authority.File)
	require.Contains(t, got.stderr, "prism: RESOURCE_EXHAUSTED: ")

	// Connections that say nothing count, until there are as many as may be.
	require.Eventually(t, func() bool {
		held, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
		require.NoError(t, err)
		t.Cleanup(func() { _ = held.Close() })
		return exists(t, "unix:"+socket, "--tls-ca", authority.File).exit == exitFailed
	}, patience, time.Millisecond)
	p.signals <- syscall.SIGTERM
	require.Equal(t, exitOK, p.wait(t))
}

func TestFlagsGoBeforeTheConfiguration(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.Server(t)
	file := configFile(t,
		"server:",
		"  listen: 0.0.0.0:1", // would be refused
		"  admin: nonsense",
		"  http2: standard",
		"  tls: {cert_file: none.pem, key_file: none.pem, client_ca_file: none.pem}",
	)
	g := serve(t, built(t), "--config", file, "--http2", "own", "--tls-cert", own.Cert, "--tls-key", own.Key, "--client-ca", "")
	require.Contains(t, g.stderr.String(), "namespaces=default http2=own tls=on\n")
	require.Equal(t, result{stdout: asked}, exists(t, g.listen, "--tls-ca", authority.File))
	g.stop(t)

	g = serve(t, built(t), "--config", file, "--tls-cert", "", "--tls-key", "", "--client-ca", "")
	require.Contains(t, g.stderr.String(), "http2=standard tls=off\n")
	require.Equal(t, result{stdout: asked}, exists(t, g.listen))
	g.stop(t)

	// A flag is blamed for what it says, and the file for the rest.
	got := runLine(t, built(t), "serve", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tls-cert", own.Cert)
	require.Equal(t, exitFailed, got.exit)
	require.Equal(t, "prism: "+file+":5:40: server.tls.key_file: open "+filepath.Join(filepath.Dir(file), "none.pem")+": no such file or directory\n", got.stderr)
	got = runLine(t, built(t), "serve", "--config", file, "--listen", "127.0.0.1:0", "--admin", "elsewhere")
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stderr, `--admin: "elsewhere" is neither`)
}

func TestLimitsReachTheFront(t *testing.T) {
	t.Parallel()
	file := configFile(t, "server: {limits: {handshake_timeout: 50ms, max_streams: 7, max_header_bytes: 2Ki}}")
	for _, http2 := range []string{http2Own, http2Standard} {
		t.Run(http2, func(t *testing.T) {
			t.Parallel()
			g := serve(t, built(t), "--config", file, "--http2", http2)
			greetings := []string{""}
			if http2 == http2Own {
				greetings = append(greetings, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") // and then no SETTINGS
			}
			for _, greeting := range greetings {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.listen)
				require.NoError(t, err)
				_, err = io.WriteString(conn, greeting)
				require.NoError(t, err)
				require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
				_, err = io.Copy(io.Discard, conn)
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the gateway does not close the connection")
				require.NoError(t, conn.Close())
			}
			counted := fmt.Sprintf("prism_front_refused_total{reason=\"handshake_timeout\"} %d\n", len(greetings))
			require.Eventually(t, func() bool {
				_, metrics := g.get(t, "/metrics")
				return strings.Contains(metrics, counted)
			}, patience, time.Millisecond)
			_, metrics := g.get(t, "/metrics")
			require.Equal(t, http2 == http2Own, strings.Contains(metrics, `reason="flood_allowance"`))

			got := exists(t, g.listen, "-o", "text", "-H", "x-large: "+strings.Repeat("x", 8<<10))
			require.Equal(t, exitFailed, got.exit)
			// A busy machine may need more than one attempt to shake hands in so short a time.
			require.Eventually(t, func() bool { return exists(t, g.listen) == result{stdout: asked} }, patience, time.Millisecond)
			g.stop(t)
		})
	}
}
