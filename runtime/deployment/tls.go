package deployment

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

// clientTLS is how a remote provider is reached; nil is in clear. A provider that is there and with which TLS cannot be spoken is an error at once: to wait would not help.
func clientTLS(ctx context.Context, planned *plan.Instance) (*tls.Config, error) {
	secured, err := backend.ClientTLS(planned.Provider.GetTls())
	if err != nil {
		return nil, config.Problem{Path: planned.Path + ".provider.tls", Message: err.Error()}
	}
	if secured == nil {
		return nil, nil
	}
	address := planned.Provider.GetAddress()
	if secured.ServerName == "" {
		secured.ServerName, _, _ = net.SplitHostPort(address) // the plan has seen that it is one
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout(planned))
	defer cancel()
	if err := shake(ctx, address, secured); err != nil {
		if remedy := remedyOf(err); remedy != "" {
			return nil, fmt.Errorf("the provider at %s: %w; %s", address, err, remedy)
		}
	}
	return secured, nil
}

// hello is how a client of HTTP/2 begins: a server answers it, or says why not.
const hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// shake connects with TLS until each side has accepted the other's certificate. With TLS 1.3 a server judges the client's when the client thinks that all is well: only
// its first words tell.
func shake(ctx context.Context, address string, secured *tls.Config) error {
	secured = secured.Clone()
	secured.NextProtos = []string{"h2"}
	connection, err := (&tls.Dialer{Config: secured}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	if _, err := connection.Write([]byte(hello)); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 1))
	return err
}

// remedyOf says what to do about a side that does not trust the other; "" is another error.
func remedyOf(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		remote  *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return "the authority that has signed its certificate belongs into provider.tls.ca_file"
	case errors.As(err, &name):
		return "provider.tls.server_name says which name its certificate has, where that is not the host of the address"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has to be renewed, or a clock be set"
	case errors.As(err, &record):
		return "it does not speak TLS: start it with --tls-cert, --tls-key and --client-ca"
	case !errors.As(err, &remote) || remote.Op != "remote error":
		return ""
	}
	switch remote.Err.Error() {
	case alert(116), alert(42): // certificate_required, bad_certificate
		return "it wants a certificate of the gateway: set provider.tls.cert_file and key_file, or mend what they hold"
	case alert(48): // unknown_ca
		return "it does not know the authority that has signed provider.tls.cert_file, which belongs into its --client-ca"
	case alert(45): // certificate_expired
		return "the certificate in provider.tls.cert_file has expired: renew it"
	}
	return "it ended the handshake"
}

// alert is what crypto/tls says of an alert by which the other side ends a connection (RFC 8446, section 6).
func alert(number uint8) string { return tls.AlertError(number).Error() }
