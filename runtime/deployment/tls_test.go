package deployment_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
	"github.com/prismgate/prism/internal/testcert"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/provider"
)

// secured serves memstore with mutual TLS, and returns the address.
func secured(t *testing.T, own testcert.Files, gateways *testcert.Authority) string {
	t.Helper()
	pair, err := front.LoadKeyPair(own.Cert, own.Key) // and not LoadTLS, which refuses what has expired
	require.NoError(t, err)
	authorities, err := front.LoadAuthorities(gateways.File)
	require.NoError(t, err)
	mutual := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: authorities, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	listener, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	served := provider.NewServer(provider.ServerOptions{Catalog: knownCatalog(t), Backends: memStores(), Version: "test"}).Listener(mutual)
	go func() { _ = served.Serve(listener) }()
	t.Cleanup(func() { _ = served.Close() })
	return listener.Addr().String()
}

func withTLS(address string, files *configv1.ClientTls) *configv1.BackendInstance {
	return &configv1.BackendInstance{Deployment: "remote", Provider: &configv1.Provider{Address: address, Tls: files, StartTimeout: durationpb.New(6 * time.Second)}}
}

func TestBothSidesShowACertificate(t *testing.T) {
	t.Parallel()
	providers, gateways := testcert.New(t), testcert.New(t)
	own := gateways.Client(t)
	address := secured(t, providers.Server(t), gateways)
	instance := withTLS(address, &configv1.ClientTls{CaFile: providers.File, CertFile: own.Cert, KeyFile: own.Key})
	instance.Name = "orders"
	basic := gateway(t, newLog(t).logger(), instance)["orders"].KeyValueBasic
	_, err := basic.Set(t.Context(), &keyvaluev1.SetRequest{Key: "key", Value: []byte("value")})
	require.NoError(t, err)
}

func TestASideThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	providers, gateways, strangers := testcert.New(t), testcert.New(t), testcert.New(t)
	own, strange := gateways.Client(t), strangers.Client(t)
	good := secured(t, providers.Server(t), gateways)
	old := secured(t, providers.ServerBetween(t, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)), gateways)
	open, err := listen.Open(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	plain := provider.NewServer(provider.ServerOptions{Catalog: knownCatalog(t), Backends: memStores()}).Listener(nil)
	go func() { _ = plain.Serve(open) }()
	t.Cleanup(func() { _ = plain.Close() })
	for _, test := range []struct {
		name, address string
		files         *configv1.ClientTls
		wants         []string
	}{
		{
			"the authority is another one", good, &configv1.ClientTls{CaFile: strangers.File, CertFile: own.Cert, KeyFile: own.Key},
			[]string{"certificate signed by unknown authority", "the authority that has signed its certificate belongs into provider.tls.ca_file"},
		},
		{
			"the certificate has expired", old, &configv1.ClientTls{CaFile: providers.File, CertFile: own.Cert, KeyFile: own.Key},
			[]string{"certificate has expired or is not yet valid", "its certificate has to be renewed"},
		},
		{
			"the name is another one", good, &configv1.ClientTls{CaFile: providers.File, CertFile: own.Cert, KeyFile: own.Key, ServerName: "provider.example.com"},
			[]string{"certificate is valid for localhost, not provider.example.com", "provider.tls.server_name says which name"},
		},
		{
			"the gateway has no certificate", good, &configv1.ClientTls{CaFile: providers.File},
			[]string{"certificate required", "it wants a certificate of the gateway: set provider.tls.cert_file"},
		},
		{
			"the gateway's authority is another one", good, &configv1.ClientTls{CaFile: providers.File, CertFile: strange.Cert, KeyFile: strange.Key},
			[]string{"unknown certificate authority", "belongs into its --client-ca"},
		},
		{
			"the provider speaks no TLS", open.Addr().String(), &configv1.ClientTls{CaFile: providers.File, CertFile: own.Cert, KeyFile: own.Key},
			[]string{open.Addr().String()},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := opener(t).Try(t.Context(), planned(t, withTLS(test.address, test.files)), backend.Env{Instance: "orders"})
			for _, want := range append(test.wants, test.address) {
				require.ErrorContains(t, err, want)
			}
		})
	}
	t.Run("the provider wants TLS", func(t *testing.T) {
		t.Parallel()
		err := opener(t).Try(t.Context(), planned(t, withTLS(good, nil)), backend.Env{Instance: "orders"})
		require.ErrorContains(t, err, "check the address and TLS")
	})
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text.pem")
	require.NoError(t, os.WriteFile(text, []byte("text"), 0o600))
	err := opener(t).Try(t.Context(), planned(t, withTLS("127.0.0.1:1", &configv1.ClientTls{CaFile: text})), backend.Env{Instance: "orders"})
	var problem config.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, "backends[0].provider.tls", problem.Path)
	require.Contains(t, problem.Message, "ca_file: ")
}
