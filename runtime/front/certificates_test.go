package front_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/watch"
)

// say makes a call over a TLS connection of its own, and returns the serial number of the certificate that it was served with.
func say(t *testing.T, address string, config *tls.Config) (string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config.Clone(), Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	return sayOver(t, transport, address)
}

func sayOver(t *testing.T, transport *http.Transport, address string) (string, error) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+procedure, strings.NewReader(`"hello"`))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		return "", fmt.Errorf("%s %s %s: %w", response.Proto, response.Status, body, err)
	}
	return response.TLS.PeerCertificates[0].SerialNumber.String(), nil
}

func serialOf(t *testing.T, files testcert.Files) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	require.NoError(t, err)
	return pair.Leaf.SerialNumber.String()
}

// put puts files in the place of others, each at once.
func put(t *testing.T, to, from testcert.Files) {
	t.Helper()
	replace(t, to.Cert, from.Cert)
	replace(t, to.Key, from.Key)
}

func replace(t *testing.T, to, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to+".new", content, 0o600))
	require.NoError(t, os.Rename(to+".new", to))
}

func TestCertificatesAreReplacedUnderLoadWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, http2 string) {
		authority := testcert.New(t)
		files := authority.Server(t)
		s := serve(t, &configv1.Server{Http2: http2, Tls: &configv1.Tls{CertFile: files.Cert, KeyFile: files.Key}}, false)
		var done atomic.Bool
		var calls, fresh atomic.Int64
		var failures sync.Map
		var callers sync.WaitGroup
		caller := func(count *atomic.Int64, call func() error) {
			callers.Go(func() {
				for !done.Load() {
					if err := call(); err != nil {
						failures.Store(err.Error(), true)
						return
					}
					count.Add(1)
				}
			})
		}
		trust := authority.Trust(t)
		trust.ClientSessionCache = tls.NewLRUClientSessionCache(10)
		kept := &http.Transport{TLSClientConfig: trust.Clone(), Protocols: new(http.Protocols)}
		kept.Protocols.SetHTTP2(true)
		defer kept.CloseIdleConnections()
		for range 2 {
			caller(&calls, func() error { _, err := sayOver(t, kept, s.address()); return err })
			caller(&fresh, func() error { _, err := say(t, s.address(), trust); return err }) // new connections, with a ticket when it is taken
		}
		for i := range 20 {
			next := authority.Server(t)
			put(t, files, next)
			require.NoError(t, s.ReloadCertificates())
			serial, err := say(t, s.address(), authority.Trust(t))
			require.NoError(t, err)
			require.Equal(t, serialOf(t, next), serial)
			if i%5 == 0 { // while a wrong one is there the last good one is served
				replace(t, files.Key, authority.Server(t).Key)
				require.Error(t, s.ReloadCertificates())
				put(t, files, next)
			}
			before := fresh.Load()
			require.Eventually(t, func() bool { return fresh.Load() > before+2 }, patience, time.Millisecond)
		}
		done.Store(true)
		callers.Wait()
		failures.Range(func(failure, _ any) bool {
			t.Error(failure)
			return true
		})
		require.Positive(t, calls.Load())
	})
}

func TestAFailedReloadKeepsEveryCertificate(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	one, two := authority.Server(t), authority.Server(t)
	first, second := serialOf(t, one), serialOf(t, two)
	s := serve(t, &configv1.Server{
		Tls:       &configv1.Tls{CertFile: one.Cert, KeyFile: one.Key},
		Listeners: []*configv1.Listener{{Address: "127.0.0.1:0", Tls: &configv1.Tls{CertFile: two.Cert, KeyFile: two.Key}}},
	}, false)
	put(t, one, authority.Server(t)) // this one is good
	put(t, two, authority.ServerBetween(t, time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)))
	err := s.ReloadCertificates()
	var problems config.Problems
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems, 1)
	require.Equal(t, "server.listeners[0].tls.cert_file", problems[0].Path)
	for i, want := range []string{first, second} {
		serial, err := say(t, s.Addresses()[i].Address, authority.Trust(t))
		require.NoError(t, err)
		require.Equal(t, want, serial)
	}
	require.Contains(t, s.log.String(), "the certificates stay as they were")
	require.Contains(t, s.log.String(), "has expired on")

	put(t, two, authority.Server(t))
	require.NoError(t, s.ReloadCertificates())
	for i, files := range []testcert.Files{one, two} {
		serial, err := say(t, s.Addresses()[i].Address, authority.Trust(t))
		require.NoError(t, err)
		require.Equal(t, serialOf(t, files), serial)
	}
	end := func(files testcert.Files) int64 {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		require.NoError(t, err)
		return pair.Leaf.NotAfter.Unix()
	}
	expected := `# HELP prism_tls_certificate_expiry_timestamp_seconds When the certificate of a listener ends.
# TYPE prism_tls_certificate_expiry_timestamp_seconds gauge
`
	for i, files := range []testcert.Files{one, two} {
		expected += fmt.Sprintf("prism_tls_certificate_expiry_timestamp_seconds{listener=%q} %d\n", s.Addresses()[i].Address, end(files))
	}
	expected += `# HELP prism_tls_certificate_reloads_total How often the files of certificates were read again, by the result: after a failed one the certificates are as they were.
# TYPE prism_tls_certificate_reloads_total counter
prism_tls_certificate_reloads_total{result="failed"} 1
prism_tls_certificate_reloads_total{result="ok"} 1
`
	require.NoError(t, testutil.CollectAndCompare(s.Collector(), strings.NewReader(expected), "prism_tls_certificate_expiry_timestamp_seconds", "prism_tls_certificate_reloads_total"))
}

func TestWhoseAuthorityIsGoneDoesNotComeBackWithATicket(t *testing.T) {
	t.Parallel()
	former, latter := testcert.New(t), testcert.New(t)
	files := former.Server(t)
	authorities := filepath.Join(t.TempDir(), "ca.pem")
	replace(t, authorities, former.File)
	s := serve(t, &configv1.Server{Tls: &configv1.Tls{CertFile: files.Cert, KeyFile: files.Key, ClientCaFile: authorities}}, false)
	resumes := func(config *tls.Config) (bool, error) {
		conn, err := tls.Dial("tcp", s.address(), config)
		if err != nil {
			return false, err
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
			return false, err
		}
		answer, err := io.ReadAll(conn) // tickets come before it
		if err == nil && !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
			err = fmt.Errorf("answered %q", answer)
		}
		return conn.ConnectionState().DidResume, err
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		replace(t, authorities, former.File)
		require.NoError(t, s.ReloadCertificates())
		old := former.Trust(t, former.Client(t))
		old.ClientSessionCache, old.MaxVersion = tls.NewLRUClientSessionCache(10), version
		for _, resumed := range []bool{false, true} {
			got, err := resumes(old)
			require.NoError(t, err)
			require.Equal(t, resumed, got)
		}
		require.NoError(t, s.ReloadCertificates())
		got, err := resumes(old)
		require.NoError(t, err)
		require.True(t, got, "nothing was replaced")

		replace(t, authorities, latter.File)
		require.NoError(t, s.ReloadCertificates())
		_, err = resumes(old)
		require.Error(t, err)
		_, err = resumes(former.Trust(t, latter.Client(t)))
		require.NoError(t, err)
	}
}

// A Kubernetes secret that is renewed is one swap of a link.
func TestAWatchedCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	authority := testcert.New(t)
	volume := t.TempDir()
	mount := func(version string) string {
		files := authority.Server(t)
		folder := filepath.Join(volume, "..version-"+version)
		require.NoError(t, os.Mkdir(folder, 0o700))
		replace(t, filepath.Join(folder, "tls.crt"), files.Cert)
		replace(t, filepath.Join(folder, "tls.key"), files.Key)
		require.NoError(t, os.Symlink(filepath.Base(folder), filepath.Join(volume, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(volume, "..data_tmp"), filepath.Join(volume, "..data")))
		return serialOf(t, files)
	}
	first := mount("0")
	for _, name := range []string{"tls.crt", "tls.key"} {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(volume, name)))
	}
	s := serve(t, &configv1.Server{Tls: &configv1.Tls{CertFile: filepath.Join(volume, "tls.crt"), KeyFile: filepath.Join(volume, "tls.key")}}, false)
	require.NoError(t, watch.Files(t.Context(), s.CertificateFiles(), func() { _ = s.ReloadCertificates() }))
	serial, err := say(t, s.address(), authority.Trust(t))
	require.NoError(t, err)
	require.Equal(t, first, serial)
	second := mount("1")
	require.Eventually(t, func() bool {
		serial, err := say(t, s.address(), authority.Trust(t))
		return err == nil && serial == second
	}, patience, 20*time.Millisecond)
}
