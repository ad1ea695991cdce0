package main

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/client"
	"github.com/prismgate/prism/runtime/front"
)

// clientTLS are the flags of a command that calls a gateway over TLS.
type clientTLS struct{ ca, cert, key string }

func (t *clientTLS) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&t.ca, "tls-ca", "", "the `FILE` with the authorities to trust, in PEM, instead of the system's; calls with TLS")
	flags.StringVar(&t.cert, "tls-cert", "", "the `FILE` with the certificate to show to the gateway, in PEM; calls with TLS")
	flags.StringVar(&t.key, "tls-key", "", "the `FILE` with that certificate's private key, in PEM")
	for _, name := range []string{"tls-ca", "tls-cert", "tls-key"} {
		completeFile(command, name)
	}
}

// options returns what the flags ask of a client: nothing without them, and then the address says whether TLS is spoken.
func (t *clientTLS) options() ([]client.Option, error) {
	config, err := t.config()
	if config == nil || err != nil {
		return nil, err
	}
	return []client.Option{client.WithTLS(config)}, nil
}

// config returns what the flags say of TLS; nil without them.
func (t *clientTLS) config() (*tls.Config, error) {
	switch {
	case t.cert != "" && t.key == "":
		return nil, usagef("--tls-cert needs --tls-key, the file with its private key")
	case t.cert == "" && t.key != "":
		return nil, usagef("--tls-key needs --tls-cert, the file with its certificate")
	case t.ca == "" && t.cert == "":
		return nil, nil
	}
	config := new(tls.Config)
	var err error
	if t.ca != "" {
		if config.RootCAs, err = front.LoadAuthorities(t.ca); err != nil {
			return nil, fmt.Errorf("--tls-ca: %w", errors.Unwrap(err))
		}
	}
	if t.cert != "" {
		pair, err := front.LoadKeyPair(t.cert, t.key)
		var failed *front.TLSError
		if errors.As(err, &failed) {
			flag := map[string]string{"cert_file": "--tls-cert", "key_file": "--tls-key"}[failed.Field]
			return nil, fmt.Errorf("%s: %w", flag, failed.Err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
