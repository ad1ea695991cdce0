package subject

import (
	"crypto"
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
	"time"
)

// Certificate is a certificate for localhost and 127.0.0.1, and the authority that has signed it, which is its own: some clients refuse a certificate that is both.
type Certificate struct {
	// AuthorityFile is the authority's certificate, in PEM: who trusts it trusts the gateway.
	AuthorityFile string
	// CertFile is the gateway's certificate, in PEM.
	CertFile string
	// KeyFile is its key, in PEM.
	KeyFile string
	// Pool has the authority.
	Pool *x509.CertPool
	// Pair is the gateway's certificate with its key.
	Pair tls.Certificate
}

// NewCertificate makes a certificate that is good for a day, and writes it to a folder.
func NewCertificate(dir string) (*Certificate, error) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Prism's clients' authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authorityPEM, err := signed(authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	leafPEM, err := signed(leaf, authority, leafKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return nil, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})

	c := &Certificate{
		AuthorityFile: filepath.Join(dir, "authority.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		Pool: x509.NewCertPool(),
	}
	c.Pool.AppendCertsFromPEM(authorityPEM)
	if c.Pair, err = tls.X509KeyPair(leafPEM, keyPEM); err != nil {
		return nil, err
	}
	for file, content := range map[string][]byte{c.AuthorityFile: authorityPEM, c.CertFile: leafPEM, c.KeyFile: keyPEM} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func signed(certificate, authority *x509.Certificate, key crypto.PublicKey, authorityKey crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, certificate, authority, key, authorityKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}
