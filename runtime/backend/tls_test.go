package backend_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/runtime/backend"
)

func TestClientTLSTrustsAndShowsWhatItIsTold(t *testing.T) {
	t.Parallel()
	none, err := backend.ClientTLS(nil)
	require.NoError(t, err)
	require.Nil(t, none)

	authority := testcert.New(t)
	server, client := authority.Server(t), authority.Client(t)
	pair, err := tls.LoadX509KeyPair(server.Cert, server.Key)
	require.NoError(t, err)
	accepting := authority.Trust(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: accepting.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert})
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("x")) // after the handshake
			_ = conn.Close()
		}
	}()
	handshake := func(config *configv1.ClientTls) error {
		made, err := backend.ClientTLS(config)
		require.NoError(t, err)
		conn, err := tls.Dial("tcp", listener.Addr().String(), made)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	whole := &configv1.ClientTls{CaFile: authority.File, CertFile: client.Cert, KeyFile: client.Key, ServerName: "localhost"}
	require.NoError(t, handshake(whole))
	require.Error(t, handshake(&configv1.ClientTls{CaFile: authority.File, ServerName: "localhost"}), "the server wants a certificate")
	require.Error(t, handshake(&configv1.ClientTls{CertFile: client.Cert, KeyFile: client.Key, ServerName: "localhost"}), "the system does not know the authority")
	require.Error(t, handshake(&configv1.ClientTls{CaFile: authority.File, CertFile: client.Cert, KeyFile: client.Key, ServerName: "other"}), "the server has another name")
}

func TestClientTLSNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	files := testcert.New(t).Client(t)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for want, config := range map[string]*configv1.ClientTls{
		"ca_file: open /no/such/file":               {CaFile: "/no/such/file"},
		"ca_file: " + empty + " has no certificate": {CaFile: empty},
		"cert_file and key_file go together":        {CertFile: files.Cert},
		"cert_file and key_file: ":                  {CertFile: files.Cert, KeyFile: empty},
	} {
		_, err := backend.ClientTLS(config)
		require.ErrorContains(t, err, want)
	}
}
