// Package testcert makes certificates for tests, in files as a gateway and its clients read them.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority signs certificates.
type Authority struct {
	// File has the authority's own certificate.
	File        string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Files are a certificate and its key.
type Files struct {
	// Cert and Key are paths of PEM files.
	Cert, Key string
}

// New returns an authority of its own, which nobody trusts yet.
func New(t testing.TB) *Authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority for tests"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &Authority{}
	a.certificate, a.key = sign(t, template, nil)
	a.File = write(t, "ca.pem", "CERTIFICATE", a.certificate.Raw)
	return a
}

// Server returns a certificate for this machine: localhost, 127.0.0.1 and ::1.
func (a *Authority) Server(t testing.TB) Files {
	t.Helper()
	return a.ServerBetween(t, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
}

// ServerBetween returns a certificate as [Authority.Server] does, that is valid from begin to end.
func (a *Authority) ServerBetween(t testing.TB, begin, end time.Time) Files {
	t.Helper()
	return a.leaf(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: begin, NotAfter: end,
	})
}

// Client returns a certificate that a client shows.
func (a *Authority) Client(t testing.TB) Files {
	t.Helper()
	return a.leaf(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "a client for tests"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	})
}

// Trust returns the configuration of a client that trusts the authority, and shows those certificates.
func (a *Authority) Trust(t testing.TB, shown ...Files) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.certificate)
	for _, files := range shown {
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		require.NoError(t, err)
		config.Certificates = append(config.Certificates, pair)
	}
	return config
}

func (a *Authority) leaf(t testing.TB, template *x509.Certificate) Files {
	t.Helper()
	certificate, key := sign(t, template, a)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return Files{Cert: write(t, "cert.pem", "CERTIFICATE", certificate.Raw), Key: write(t, "key.pem", "PRIVATE KEY", der)}
}

// sign makes a certificate; without an authority it signs itself.
func sign(t testing.TB, template *x509.Certificate, by *Authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	parent, parentKey := template, key
	if by != nil {
		parent, parentKey = by.certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate, key
}

func write(t testing.TB, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return file
}
