package front_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/runtime/front"
)

func TestLoadTLSWithoutFilesIsInClear(t *testing.T) {
	for _, config := range []*configv1.Tls{nil, {}, {MinVersion: "1.3"}} {
		loaded, err := front.LoadTLS(config)
		require.NoError(t, err)
		require.Nil(t, loaded)
	}
}

func TestLoadTLSSaysWhichFileIsWrong(t *testing.T) {
	authority := testcert.New(t)
	own, other := authority.Server(t), authority.Server(t)
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "file.pem")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	content := func(path string) string {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(data)
	}
	block := func(kind string, headers map[string]string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: []byte("SECRETSECRETSECRET")}))
	}
	damaged := content(own.Cert) + strings.Replace(content(other.Cert), "MII", "!!!", 1)
	none := filepath.Join(t.TempDir(), "none.pem")
	for name, test := range map[string]struct {
		config  *configv1.Tls
		field   string
		missing bool
		says    string
	}{
		"a certificate alone":             {&configv1.Tls{CertFile: own.Cert}, "key_file", true, "a certificate needs its key"},
		"a key alone":                     {&configv1.Tls{KeyFile: own.Key}, "cert_file", true, "a key needs its certificate"},
		"an authority alone":              {&configv1.Tls{ClientCaFile: authority.File}, "cert_file", true, "ask clients"},
		"no certificate's file":           {&configv1.Tls{CertFile: none, KeyFile: own.Key}, "cert_file", false, "none.pem: no such file or directory"},
		"no key's file":                   {&configv1.Tls{CertFile: own.Cert, KeyFile: none}, "key_file", false, "none.pem: no such file or directory"},
		"no authority's file":             {&configv1.Tls{CertFile: own.Cert, KeyFile: own.Key, ClientCaFile: none}, "client_ca_file", false, "no such file or directory"},
		"a folder":                        {&configv1.Tls{CertFile: t.TempDir(), KeyFile: own.Key}, "cert_file", false, "is a directory"},
		"another's key":                   {&configv1.Tls{CertFile: own.Cert, KeyFile: other.Key}, "key_file", false, "is not the key of the certificate in " + own.Cert},
		"swapped":                         {&configv1.Tls{CertFile: own.Key, KeyFile: own.Cert}, "cert_file", false, "holds no certificate but a PRIVATE KEY"},
		"a certificate for a key":         {&configv1.Tls{CertFile: own.Cert, KeyFile: own.Cert}, "key_file", false, "holds no private key but a CERTIFICATE"},
		"no PEM for a certificate":        {&configv1.Tls{CertFile: file("SECRET"), KeyFile: own.Key}, "cert_file", false, "holds no certificate in PEM"},
		"no PEM for a key":                {&configv1.Tls{CertFile: own.Cert, KeyFile: file("SECRET")}, "key_file", false, "holds no private key in PEM"},
		"a key that is none":              {&configv1.Tls{CertFile: own.Cert, KeyFile: file(block("PRIVATE KEY", nil))}, "key_file", false, "failed to parse private key"},
		"an encrypted key":                {&configv1.Tls{CertFile: own.Cert, KeyFile: file(block("ENCRYPTED PRIVATE KEY", nil))}, "key_file", false, "is encrypted"},
		"a key encrypted the old way":     {&configv1.Tls{CertFile: own.Cert, KeyFile: file(block("RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED"}))}, "key_file", false, "is encrypted"},
		"a certificate that is none":      {&configv1.Tls{CertFile: file(block("CERTIFICATE", nil)), KeyFile: own.Key}, "cert_file", false, "certificate 1 in"},
		"an authority that is none":       {&configv1.Tls{CertFile: own.Cert, KeyFile: own.Key, ClientCaFile: own.Key}, "client_ca_file", false, "holds no certificate but a PRIVATE KEY"},
		"a damaged one among authorities": {&configv1.Tls{CertFile: own.Cert, KeyFile: own.Key, ClientCaFile: file(damaged)}, "client_ca_file", false, "whose PEM is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			loaded, err := front.LoadTLS(test.config)
			require.Nil(t, loaded)
			var failed *front.TLSError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, test.field, failed.Field, err)
			require.Equal(t, test.missing, failed.Missing, err)
			require.ErrorContains(t, err, test.says)
			require.True(t, strings.HasPrefix(err.Error(), test.field+": "), err)
			for _, key := range []string{own.Key, other.Key} {
				for _, line := range strings.Split(content(key), "\n")[1:3] {
					require.NotContains(t, err.Error(), line)
				}
			}
			require.NotContains(t, err.Error(), "SECRET")
		})
	}
}

// greeter answers every TLS connection with a byte, and returns its address.
func greeter(t *testing.T, config *configv1.Tls) string {
	t.Helper()
	loaded, err := front.LoadTLS(config)
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", loaded)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			accepted, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = accepted.Close() }()
				_, _ = accepted.Write([]byte{1})
				_, _ = io.Copy(io.Discard, accepted)
			}()
		}
	}()
	return listener.Addr().String()
}

// greet makes a TLS connection and reads the byte.
func greet(ctx context.Context, address string, config *tls.Config) (tls.ConnectionState, error) {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return conn.(*tls.Conn).ConnectionState(), errors.Join(err, conn.Close())
}

func TestTLSVersionsAndSuites(t *testing.T) {
	authority := testcert.New(t)
	own := authority.Server(t)
	config := &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key}
	address := greeter(t, config)
	dial := func(address string, change func(*tls.Config)) (tls.ConnectionState, error) {
		client := authority.Trust(t)
		change(client)
		return greet(t.Context(), address, client)
	}
	upTo := func(version uint16, suites ...uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS10, version, suites }
	}

	state, err := dial(address, func(*tls.Config) {})
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS13), state.Version)
	state, err = dial(address, upTo(tls.VersionTLS12))
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS12), state.Version)
	for _, refused := range []func(*tls.Config){
		upTo(tls.VersionTLS11),
		upTo(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_AES_128_GCM_SHA256),
	} {
		_, err = dial(address, refused)
		require.Error(t, err)
	}

	config.MinVersion = "1.3"
	newest := greeter(t, config)
	_, err = dial(newest, upTo(tls.VersionTLS12))
	require.ErrorContains(t, err, "protocol version not supported")
	_, err = dial(newest, func(*tls.Config) {})
	require.NoError(t, err)
}

func TestTLSSessionsAreResumed(t *testing.T) {
	authority := testcert.New(t)
	own := authority.Server(t)
	for name, client := range map[string]*tls.Config{"any client": authority.Trust(t), "a client with a certificate": authority.Trust(t, authority.Client(t))} {
		config := &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key}
		if len(client.Certificates) > 0 {
			config.ClientCaFile = authority.File
		}
		address := greeter(t, config)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for _, resumed := range []bool{false, true} {
			state, err := greet(t.Context(), address, client)
			require.NoError(t, err)
			require.Equal(t, resumed, state.DidResume, name)
		}
	}
}

func TestTLSAsksForClientCertificates(t *testing.T) {
	authority, stranger := testcert.New(t), testcert.New(t)
	own := authority.Server(t)
	address := greeter(t, &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key, ClientCaFile: authority.File})
	_, err := greet(t.Context(), address, authority.Trust(t, authority.Client(t)))
	require.NoError(t, err)
	for name, config := range map[string]*tls.Config{
		"none":                 authority.Trust(t),
		"a stranger's":         authority.Trust(t, stranger.Client(t)),
		"not one for a client": authority.Trust(t, authority.Server(t)),
	} {
		_, err := greet(t.Context(), address, config)
		var network *net.OpError
		require.ErrorAs(t, err, &network, name)
	}
}

func TestLoadAuthoritiesTakesSeveral(t *testing.T) {
	one, two := testcert.New(t), testcert.New(t)
	var both bytes.Buffer
	for _, file := range []string{one.File, two.File} {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		both.WriteString("# " + file + "\n")
		both.Write(data)
	}
	file := filepath.Join(t.TempDir(), "both.pem")
	require.NoError(t, os.WriteFile(file, both.Bytes(), 0o600))
	own := one.Server(t)
	address := greeter(t, &configv1.Tls{CertFile: own.Cert, KeyFile: own.Key, ClientCaFile: file})
	for _, authority := range []*testcert.Authority{one, two} {
		_, err := greet(t.Context(), address, one.Trust(t, authority.Client(t)))
		require.NoError(t, err)
	}
}
