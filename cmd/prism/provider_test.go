package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/sidecar"
)

// TestMain is prism itself when a test starts a sidecar: its command line is that of a provider.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "provider" {
		main()
	}
	testenv.Main(m)
}

// beside are the dependencies of the real command, whose sidecars are this test binary.
func beside(t *testing.T) dependencies {
	d := built(t)
	d.executable = func() (string, error) { return os.Args[0], nil }
	return d
}

// providing is a provider that a test has started.
type providing struct {
	*process
	listen string
}

func provide(t *testing.T, d dependencies, args ...string) providing {
	t.Helper()
	p := start(t, d, append([]string{"provider", "memstore"}, args...)...)
	line := p.stderr.waitFor(t, "the provider is ready")
	said := regexp.MustCompile(`backend=memstore listen=(\S+) tls=\S+\n`).FindStringSubmatch(line)
	require.Len(t, said, 2, line)
	return providing{p, said[1]}
}

// written writes a configuration with one instance of memstore, named orders, that serves the namespace default.
func written(t *testing.T, more string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prism.yaml")
	text := "backends: [{name: orders, type: memstore, " + more + "}]\nnamespaces: [{name: default, backend: orders}]\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// requireServes stores a value and reads it back.
func requireServes(t *testing.T, g served) {
	t.Helper()
	got := runLine(t, built(t), "call", "keyvalue_basic.Set", "-n", "default", "-d", `{"key":"k","value":"aGVsbG8="}`, "--address", g.listen)
	require.Equal(t, exitOK, got.exit, got.stderr)
	got = runLine(t, built(t), "call", "keyvalue_basic.Get", "-n", "default", "-d", `{"key":"k"}`, "--address", g.listen)
	require.Equal(t, result{stdout: "{\n  \"found\": true,\n  \"value\": \"aGVsbG8=\"\n}\n"}, got)
}

func TestAProviderServesAGateway(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "p.sock")} {
		p := provide(t, built(t), "--listen", address)
		file := written(t, `deployment: remote, provider: {address: "`+p.listen+`"}`)
		got := runLine(t, built(t), "validate", "--dial", file)
		require.Equal(t, exitOK, got.exit, got)
		require.Contains(t, got.stdout, "✓ orders               (memstore, remote, opens)\n")
		g := serve(t, built(t), "--config", file)
		requireServes(t, g)
		g.stop(t)
		p.signals <- syscall.SIGTERM
		require.Equal(t, exitOK, p.wait(t))
		require.Contains(t, p.stderr.String(), "msg=stopped")
	}
}

func TestAProviderWithCertificates(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own, gateways := authority.Server(t), authority.Client(t)
	p := provide(t, built(t), "--listen", "127.0.0.1:0", "--tls-cert", own.Cert, "--tls-key", own.Key, "--client-ca", authority.File)
	require.Contains(t, p.stderr.String(), "tls=mutual")
	files := `{ca_file: ` + authority.File + `, cert_file: ` + gateways.Cert + `, key_file: ` + gateways.Key + `}`
	requireServes(t, serve(t, built(t), "--config", written(t, `deployment: remote, provider: {address: "`+p.listen+`", tls: `+files+`}`)))
	got := runLine(t, built(t), "validate", "--dial", written(t, `deployment: remote, provider: {address: "`+p.listen+`", tls: {ca_file: `+authority.File+`}}`))
	require.Equal(t, exitFailed, got.exit)
	require.Contains(t, got.stdout, "it wants a certificate of the gateway: set provider.tls.cert_file and key_file")
}

func TestASidecarOfTheRealProgram(t *testing.T) {
	t.Parallel()
	file := written(t, "deployment: sidecar")
	got := runLine(t, beside(t), "validate", "--dial", file)
	require.Equal(t, exitOK, got.exit, got)
	require.Contains(t, got.stdout, "✓ orders               (memstore, sidecar, opens)\n")
	got = runLine(t, beside(t), "plan", "--admin", "127.0.0.1:1", file)
	require.Contains(t, got.stdout, "└── backend orders (memstore, sidecar)\n")
	g := serve(t, beside(t), "--config", file)
	requireServes(t, g)
	g.stderr.waitFor(t, "the provider is ready")
	g.stop(t)
	require.Contains(t, g.stderr.String(), "msg=stopped", "the provider has ended in order")
}

// TestASidecarEndsWhenItsInputDoes is what happens when the gateway is gone.
func TestASidecarEndsWhenItsInputDoes(t *testing.T) {
	t.Setenv(sidecar.Environment, "orders")
	d := built(t)
	input, parent := io.Pipe()
	d.stdin = input
	p := provide(t, d, "--listen", "unix:"+filepath.Join(t.TempDir(), "p.sock"))
	require.NoError(t, parent.Close())
	require.Equal(t, exitOK, p.wait(t))
	require.Contains(t, p.stderr.String(), "the gateway is gone")
}

func TestASocketThatIsThereAlready(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	got := runLine(t, built(t), "provider", "memstore", "--listen", "unix:"+path)
	require.Equal(t, result{stderr: "prism: cannot listen on unix:" + path + ": another process listens there, perhaps another prism; stop it, or choose another path\n", exit: exitFailed}, got)
	require.NoError(t, left.Close()) // as a process leaves it behind that is killed
	p := provide(t, built(t), "--listen", "unix:"+path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	p.signals <- syscall.SIGTERM
	require.Equal(t, exitOK, p.wait(t))
	require.NoFileExists(t, path)
	require.NoError(t, os.WriteFile(path, []byte("text"), 0o600))
	got = runLine(t, built(t), "provider", "memstore", "--listen", "unix:"+path)
	require.Contains(t, got.stderr, "the path exists and is no socket; choose another path, or remove it")
}

func TestAnInsecureProviderSaysSo(t *testing.T) {
	t.Parallel()
	p := provide(t, built(t), "--listen", "0.0.0.0:0", "--insecure")
	require.Contains(t, p.stderr.String(), "level=WARN msg=\"other machines can reach this address, and nobody is authenticated\"")
}

// TestASecondSignalEndsAProviderAtOnce has a subscription that would go on.
func TestASecondSignalEndsAProviderAtOnce(t *testing.T) {
	t.Parallel()
	p := provide(t, built(t), "--listen", "127.0.0.1:0")
	g := serve(t, built(t), "--config", written(t, `deployment: remote, provider: {address: "`+p.listen+`"}`))
	watching := start(t, built(t), "call", "pubsub_basic.Subscribe", "-n", "default", "-d", `{"topic":"t"}`, "--address", g.listen)
	watching.stdout.waitFor(t, "{")
	p.signals <- syscall.SIGTERM
	p.stderr.waitFor(t, "draining")
	p.signals <- syscall.SIGTERM
	require.Equal(t, exitSignal+int(syscall.SIGTERM), p.wait(t))
}

func TestCompletionOfProviders(t *testing.T) {
	t.Parallel()
	got := runLine(t, built(t), "__complete", "provider", "mem")
	require.Contains(t, got.stdout, "memstore\n")
	require.Contains(t, got.stdout, ":4\n")
}
