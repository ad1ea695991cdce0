package front

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// TLSError says what keeps a configuration of TLS from being used. It never holds anything of a key.
type TLSError struct {
	// Field is the field of [configv1.Tls] that is at fault, as the schema writes it.
	Field string
	// Missing tells that the field is not set, though another one demands it. Otherwise it is what its file holds that is wrong.
	Missing bool
	// Err says what is wrong and what would be right.
	Err error
}

// Error is the whole sentence.
func (e *TLSError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong, without the field.
func (e *TLSError) Unwrap() error { return e.Err }

// LoadTLS reads the files that a configuration names, and returns how connections are secured; nil is in clear. Every error is a [*TLSError].
//
// A client speaks TLS 1.3, or 1.2 with the suites that HTTP/2 allows (RFC 9113, section 9.2.2): forward secrecy and authenticated encryption. Sessions are
// resumed with tickets, so that a client that comes back does not pay for a whole handshake. Which protocols are offered is package listen's to say.
func LoadTLS(config *configv1.Tls) (*tls.Config, error) {
	cert, key, clientCA := config.GetCertFile(), config.GetKeyFile(), config.GetClientCaFile()
	switch {
	case cert == "" && key == "" && clientCA == "":
		return nil, nil
	case cert == "" && key != "":
		return nil, missing("cert_file", "a key needs its certificate beside it")
	case cert == "":
		return nil, missing("cert_file", "only a gateway that has a certificate itself can ask clients for theirs")
	case key == "":
		return nil, missing("key_file", "a certificate needs its key beside it")
	}
	loaded := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are not chosen
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
	if config.GetMinVersion() == "1.3" {
		loaded.MinVersion = tls.VersionTLS13
	}
	own, err := LoadKeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	if err := checkTime(cert, own.Leaf, time.Now()); err != nil {
		return nil, err
	}
	loaded.Certificates = []tls.Certificate{own}
	if clientCA != "" {
		if loaded.ClientCAs, err = LoadAuthorities(clientCA); err != nil {
			return nil, err
		}
		loaded.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return loaded, nil
}

// checkTime refuses a certificate that no client would take.
func checkTime(file string, leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return broken("cert_file", "the certificate in %s has expired on %s; renew it", file, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return broken("cert_file", "the certificate in %s is not valid before %s; wait, take another one, or set this machine's clock (%s)",
			file, leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// LoadAuthorities reads the certificates of authorities. An error is a [*TLSError] about client_ca_file.
func LoadAuthorities(file string) (*x509.CertPool, error) {
	authorities, _, err := readCertificates("client_ca_file", file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, authority := range authorities {
		pool.AddCert(authority)
	}
	return pool, nil
}

// LoadKeyPair reads a certificate and its key. An error is a [*TLSError] about cert_file or key_file.
func LoadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	_, certificates, err := readCertificates("cert_file", certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, broken("key_file", "%w", err)
	}
	if err := checkKey(key); err != nil {
		return tls.Certificate{}, broken("key_file", "%s %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(certificates, key)
	if err != nil {
		return tls.Certificate{}, broken("key_file", "%s is not the key of the certificate in %s: %s", keyFile, certFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return pair, nil
}

// checkKey finds the common mistakes, which crypto/tls has no words for.
func checkKey(key []byte) error {
	var found string
	for block, rest := pem.Decode(key); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return errors.New("is encrypted, and nobody is asked for a passphrase; decrypt it with openssl pkey, and let only the gateway's user read it")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil
		}
		found = block.Type
	}
	if found != "" {
		return fmt.Errorf("holds no private key but a %s", found)
	}
	return errors.New("holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")
}

// readCertificates returns the certificates that a file holds, parsed and as they are.
func readCertificates(field, file string) ([]*x509.Certificate, []byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, broken(field, "%w", err)
	}
	var certificates []*x509.Certificate
	var others string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			others = block.Type
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, broken(field, "certificate %d in %s is damaged: %w", len(certificates)+1, file, err)
		}
		certificates = append(certificates, certificate)
	}
	switch {
	case len(certificates) > 0 && bytes.Count(data, []byte(beginCertificate)) != len(certificates):
		// Decode goes on behind a block that it cannot read; an authority that is left out in silence would be missed by its clients only.
		return nil, nil, broken(field, "%s holds a certificate whose PEM is damaged", file)
	case len(certificates) > 0:
		return certificates, data, nil
	case others != "":
		return nil, nil, broken(field, "%s holds no certificate but a %s", file, others)
	}
	return nil, nil, broken(field, "%s holds no certificate in PEM (%s)", file, beginCertificate)
}

const beginCertificate = "-----BEGIN CERTIFICATE-----"

func missing(field, why string) error {
	return &TLSError{Field: field, Missing: true, Err: errors.New("it is not set: " + why)}
}

func broken(field, format string, args ...any) error {
	return &TLSError{Field: field, Err: fmt.Errorf(format, args...)}
}
