package front_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/rpc"
)

func TestSeveralListenersServeTheSame(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	eachFront(t, func(t *testing.T, http2 string) {
		s := serve(t, &configv1.Server{Http2: http2, Listeners: []*configv1.Listener{{Address: "[::1]:0"}, {Address: "unix:" + path + http2}}}, false)
		addresses := s.Addresses()
		require.Len(t, addresses, 3)
		require.Regexp(t, `^127\.0\.0\.1:[1-9]\d*$`, addresses[0].Address)
		require.Regexp(t, `^\[::1\]:[1-9]\d*$`, addresses[1].Address)
		require.Equal(t, front.Address{Address: "unix:" + path + http2, TLS: "off"}, addresses[2])
		for _, at := range addresses {
			for _, p := range protocols {
				require.Equal(t, "", p.call(t, at.Address, "localhost").code, "%s at %s", p.name, at)
			}
		}
	})
}

func TestListenersAreSecuredEachInItsOwnWay(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	one, two := authority.Server(t), authority.Server(t)
	client := authority.Client(t)
	eachFront(t, func(t *testing.T, http2 string) {
		s := serve(t, &configv1.Server{
			Http2: http2,
			Listeners: []*configv1.Listener{
				{Address: "127.0.0.1:0", Tls: &configv1.Tls{CertFile: one.Cert, KeyFile: one.Key}},
				{Address: "127.0.0.1:0", Tls: &configv1.Tls{CertFile: two.Cert, KeyFile: two.Key, ClientCaFile: authority.File}},
			},
		}, false)
		at := s.Addresses()
		require.Equal(t, []string{"off", "on", "mutual"}, []string{at[0].TLS, at[1].TLS, at[2].TLS})
		require.Equal(t, []string{one.Cert, one.Key, two.Cert, two.Key, authority.File}, s.CertificateFiles())
		require.Equal(t, "", protocols[0].call(t, at[0].Address, "localhost").code)
		serial, err := say(t, at[1].Address, authority.Trust(t))
		require.NoError(t, err)
		require.Equal(t, serialOf(t, one), serial)
		serial, err = say(t, at[2].Address, authority.Trust(t, client))
		require.NoError(t, err)
		require.Equal(t, serialOf(t, two), serial)
		_, err = say(t, at[2].Address, authority.Trust(t))
		require.Error(t, err) // certificate required, or that the connection is gone: the client learns of it late
		require.Eventually(t, func() bool { return refused(t, s)["tls_handshake"] >= 1 }, patience, time.Millisecond)
		require.Zero(t, refused(t, s)["unknown_protocol"])
	})
}

func TestWhoMayConnectToAUnixSocket(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	at := func(name string) string { return "unix:" + filepath.Join(folder, name) }
	serve(t, &configv1.Server{
		Listen: at("listen"), Admin: at("admin"),
		Listeners: []*configv1.Listener{{Address: at("usual")}, {Address: at("group"), Mode: "0660"}, {Address: at("all"), Mode: "777"}},
	}, false)
	for name, mode := range map[string]os.FileMode{"listen": 0o600, "admin": 0o600, "usual": 0o600, "group": 0o660, "all": 0o777} {
		info, err := os.Stat(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
}

func TestASocketThatIsLeftOverIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	left.SetUnlinkOnClose(false)
	require.NoError(t, left.Close())
	s := serve(t, &configv1.Server{Listen: "unix:" + path}, false)
	require.Equal(t, "", protocols[0].call(t, s.address(), "localhost").code)
}

func TestWhatCannotBeServedIsRefusedWithTheRemedy(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	live, err := net.Listen("unix", filepath.Join(folder, "live"))
	require.NoError(t, err)
	defer func() { _ = live.Close() }()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), []byte("precious"), 0o600))
	authority := testcert.New(t)
	own, other := authority.Server(t), authority.Server(t)
	expired := authority.ServerBetween(t, time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour))
	future := authority.ServerBetween(t, time.Now().Add(time.Hour), time.Now().Add(48*time.Hour))
	secured := func(f testcert.Files) *configv1.Tls { return &configv1.Tls{CertFile: f.Cert, KeyFile: f.Key} }
	loopback := "127.0.0.1:0"
	for name, test := range map[string]struct {
		server *configv1.Server
		says   map[string][]string
	}{
		"taken ports": {
			&configv1.Server{Listen: taken.Addr().String(), Listeners: []*configv1.Listener{{Address: "unix:" + filepath.Join(folder, "live")}}},
			map[string][]string{
				"server.listen":               {taken.Addr().String(), "another prism", "port 0"},
				"server.listeners[0].address": {"another process listens there", "choose another path"},
			},
		},
		"a path that is no socket": {
			&configv1.Server{Listen: "unix:" + filepath.Join(folder, "file")}, map[string][]string{"server.listen": {"exists and is no socket"}},
		},
		"a path that is too long": {
			&configv1.Server{Listen: "unix:/" + strings.Repeat("a", 107)}, map[string][]string{"server.listen": {"at most 107 bytes, this one has 108"}},
		},
		"a folder that is not there": {
			&configv1.Server{Listen: "unix:" + filepath.Join(folder, "none", "s")}, map[string][]string{"server.listen": {"no such file or directory"}},
		},
		"another machine's address": {
			&configv1.Server{Listen: loopback, Admin: "127.0.0.1:0", Listeners: []*configv1.Listener{{Address: "192.0.2.1:0", Tls: &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key, ClientCaFile: authority.File}}}},
			map[string][]string{"server.listeners[0].address": {"this machine has no such address"}},
		},
		"no addresses": {
			&configv1.Server{Listen: "8980", Admin: "unix:", Listeners: []*configv1.Listener{{Address: "127.0.0.1:http"}, {Address: "unix:@abstract"}}},
			map[string][]string{
				"server.listen": {"neither host:port, such as 127.0.0.1:8980"}, "server.admin": {"names no socket"},
				"server.listeners[0].address": {"not a number from 0 to 65535"}, "server.listeners[1].address": {"names no socket"},
			},
		},
		"the same address twice": {
			&configv1.Server{Listen: "127.0.0.1:7001", Admin: "127.0.0.1:7001"}, map[string][]string{"server.admin": {"is the address of server.listen too"}},
		},
		"a mode for a port": {
			&configv1.Server{Listen: loopback, Listeners: []*configv1.Listener{{Address: loopback, Mode: "0600"}}},
			map[string][]string{"server.listeners[0].mode": {"for a Unix socket"}},
		},
		"a mode that is none": {
			&configv1.Server{Listen: loopback, Listeners: []*configv1.Listener{{Address: "unix:" + filepath.Join(folder, "s"), Mode: "rw"}}},
			map[string][]string{"server.listeners[0].mode": {"three octal digits"}},
		},
		"strangers": {
			&configv1.Server{
				Listen: ":0", Admin: "0.0.0.0:0", Tls: secured(own),
				Listeners: []*configv1.Listener{{Address: "[::]:0"}, {Address: "prism.example.com:0", Tls: secured(own)}},
			},
			map[string][]string{
				"server.listen": {"nobody is authenticated", "client_ca_file", "--insecure"}, "server.admin": {"nobody is authenticated"},
				"server.listeners[0].address": {"nobody is authenticated"}, "server.listeners[1].address": {"nobody is authenticated"},
			},
		},
		"certificates": {
			&configv1.Server{
				Listen: loopback, Tls: &configv1.Tls{CertFile: own.Cert, KeyFile: other.Key},
				Listeners: []*configv1.Listener{
					{Address: loopback, Tls: secured(expired)},
					{Address: loopback, Tls: secured(future)},
					{Address: loopback, Tls: &configv1.Tls{CertFile: own.Cert}},
					{Address: loopback, Tls: secured(own)},
				},
			},
			map[string][]string{
				"server.tls.key_file":               {"is not the key of the certificate in " + own.Cert},
				"server.listeners[0].tls.cert_file": {expired.Cert, "has expired on", "renew it"},
				"server.listeners[1].tls.cert_file": {future.Cert, "is not valid before", "clock"},
				"server.listeners[2].tls.key_file":  {"a certificate needs its key"},
			},
		},
		"names": {
			&configv1.Server{
				Listen: loopback, AllowedHosts: []string{"https://a.example", "a.example:80", "*.a.example", "[::1]", "::1", "", "a*", "[::1]:80"},
				AllowedOrigins: []string{"app.example.com", "https://a.example/", "https://a.example:443", "https://*.example.com", "null", "http://a.example:8080"},
			},
			map[string][]string{
				"server.allowed_hosts[0]": {"no scheme"}, "server.allowed_hosts[1]": {"has a port"}, "server.allowed_hosts[5]": {"is no name"},
				"server.allowed_hosts[6]": {"is no name"}, "server.allowed_hosts[7]": {"has a port"},
				"server.allowed_origins[0]": {"is no origin"}, "server.allowed_origins[1]": {"that is https://a.example"},
				"server.allowed_origins[2]": {"write https://a.example"}, "server.allowed_origins[3]": {"is no origin"}, "server.allowed_origins[4]": {"is no origin"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			problems := refuses(t, test.server)
			for path, parts := range test.says {
				for _, part := range parts {
					require.Contains(t, problems[path], part, path)
				}
			}
			require.Len(t, problems, len(test.says), "%v", problems)
		})
	}
	content, err := os.ReadFile(filepath.Join(folder, "file"))
	require.NoError(t, err)
	require.Equal(t, "precious", string(content))
}

func TestOneBadListenerOpensNone(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	path := filepath.Join(t.TempDir(), "s")
	refuses(t, &configv1.Server{Listen: "unix:" + path, Listeners: []*configv1.Listener{{Address: taken.Addr().String()}}})
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheRiskIsTold(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	own := authority.ServerBetween(t, time.Now().Add(-time.Hour), time.Now().Add(13*24*time.Hour))
	lasting := authority.ServerBetween(t, time.Now().Add(-time.Hour), time.Now().Add(15*24*time.Hour))
	s := serve(t, &configv1.Server{
		Listen: "0.0.0.0:0", Tls: &configv1.Tls{CertFile: lasting.Cert, KeyFile: lasting.Key, ClientCaFile: authority.File}, Admin: "0.0.0.0:0",
		Listeners: []*configv1.Listener{{Address: "127.0.0.1:0", Tls: &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key}}, {Address: "0.0.0.0:0"}},
	}, true)
	const risk = `msg="other machines can reach this address, and nobody is authenticated" address=`
	require.Equal(t, 2, strings.Count(s.log.String(), risk), s.log)
	require.Contains(t, s.log.String(), risk+s.Addresses()[2].Address+"\n")
	require.Contains(t, s.log.String(), risk+s.AdminAddress()+"\n")
	require.Equal(t, 1, strings.Count(s.log.String(), "a certificate ends soon"), s.log)
	require.Contains(t, s.log.String(), "address="+s.Addresses()[1].Address+" file="+own.Cert)
}

func TestShutdownLetsCallsFinishAndLeavesTheAdminAddress(t *testing.T) {
	t.Parallel()
	f, err := front.Open(t.Context(), &configv1.Server{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0"}, front.Options{})
	require.NoError(t, err)
	entered, release := make(chan struct{}), make(chan struct{})
	slow := routes()
	quick := slow[0].Serve
	slow[0].Serve = func(ctx context.Context, call *rpc.Call, stream rpc.Stream) error {
		close(entered)
		<-release
		return quick(ctx, call, stream)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(slow, http.NotFoundHandler()) }()
	called := make(chan outcome, 1)
	go func() { called <- protocols[0].call(t, f.Addresses()[0].Address, "localhost") }()
	<-entered
	down := make(chan error, 1)
	go func() { down <- f.Shutdown(context.WithoutCancel(t.Context())) }()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", f.Addresses()[0].Address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, patience, time.Millisecond)
	response, err := http.Get("http://" + f.AdminAddress())
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	close(release)
	require.NoError(t, <-down)
	require.Equal(t, "", (<-called).code)
	require.NoError(t, f.Close())
	require.NoError(t, <-ended)
}

func TestAFrontThatNeverServedLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, end := range []func(*front.Front) error{(*front.Front).Close, func(f *front.Front) error { return f.Shutdown(t.Context()) }} {
		path := filepath.Join(t.TempDir(), "s")
		f, err := front.Open(t.Context(), &configv1.Server{Listen: "unix:" + path, Admin: "127.0.0.1:0"}, front.Options{})
		require.NoError(t, err)
		require.NoError(t, end(f))
		_, err = os.Lstat(path)
		require.ErrorIs(t, err, os.ErrNotExist)
		_, err = net.Dial("tcp", f.AdminAddress())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NoError(t, f.Serve(routes(), http.NotFoundHandler()), "it is closed")
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	for _, pprof := range []bool{false, true} {
		s := serve(t, &configv1.Server{Pprof: pprof}, false)
		get := func(path string) (int, string) {
			response, err := http.Get("http://" + s.AdminAddress() + path)
			require.NoError(t, err)
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return response.StatusCode, string(body)
		}
		status := func(path string) int {
			code, _ := get(path)
			return code
		}
		require.Equal(t, http.StatusOK, status("/healthz"))
		require.Equal(t, http.StatusServiceUnavailable, status("/readyz"))
		s.state.Set(true)
		require.Equal(t, http.StatusOK, status("/readyz"))
		_, metrics := get("/metrics")
		require.Contains(t, metrics, "prism_front_connections 0")
		_, rest := get("/anything/else")
		require.Equal(t, "rest", rest)
		_, index := get("/debug/pprof/")
		_, heap := get("/debug/pprof/heap?debug=1")
		if pprof {
			require.Contains(t, index, "Types of profiles available")
			require.Contains(t, heap, "heap profile")
		} else {
			require.Equal(t, []string{"rest", "rest"}, []string{index, heap})
		}
		require.Equal(t, "HTTP/1.1 404", func() string {
			response, err := http.Get("http://" + s.address() + "/debug/pprof/")
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			return response.Proto + " " + response.Status[:3]
		}(), "never where clients are served")
	}
}

func TestCloseBeforeServeMayBeCalledTwice(t *testing.T) {
	f, err := front.Open(t.Context(), &configv1.Server{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0"}, front.Options{})
	require.NoError(t, err)
	require.NoError(t, f.Shutdown(t.Context()))
	require.NoError(t, f.Close())
	require.NoError(t, f.Serve(nil, nil))
}
