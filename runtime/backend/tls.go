package backend

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
)

// ClientTLS returns the configuration of TLS towards a backend's server; nil when there shall be none. Files are read now, and not again. A server name that is empty is to be the host
// of the address, which is for who dials to see to.
func ClientTLS(config *configv1.ClientTls) (*tls.Config, error) {
	if config == nil {
		return nil, nil //nolint:nilnil // nil is no TLS
	}
	made := &tls.Config{ServerName: config.GetServerName(), MinVersion: tls.VersionTLS12}
	if file := config.GetCaFile(); file != "" {
		content, err := os.ReadFile(file) //nolint:gosec // the configuration names it
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		made.RootCAs = x509.NewCertPool()
		if !made.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("ca_file: %s has no certificate; it must be a PEM file with the authorities that sign the server's certificate", file)
		}
	}
	if (config.GetCertFile() == "") != (config.GetKeyFile() == "") {
		return nil, errors.New("cert_file and key_file go together: set both, or neither")
	}
	if config.GetCertFile() != "" {
		pair, err := tls.LoadX509KeyPair(config.GetCertFile(), config.GetKeyFile())
		if err != nil {
			return nil, fmt.Errorf("cert_file and key_file: %w", err)
		}
		made.Certificates = []tls.Certificate{pair}
	}
	return made, nil
}
