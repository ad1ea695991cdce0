package nats

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	"github.com/prismgate/prism/runtime/backend"
)

const (
	// leastPayload is what the server must take as one message: a value of 1 MiB, and what goes with it.
	leastPayload = 1<<20 + 64<<10
	// leastMinor is the least server version, 2.11: it has times to live of single messages.
	leastMinor = 11
	// pingAgain and maxPings bound how long a connection whose other end is silent counts as one.
	pingAgain, maxPings = 10 * time.Second, 2
	// leastWrite is how long a write to the connection may take at least.
	leastWrite = time.Second
	// reconnectAgain is the longest pause between two attempts to connect again.
	reconnectAgain = 2 * time.Second
)

// dial connects, once.
func (s *Store) dial(ctx context.Context, config *backendsv1.Nats) error {
	options, err := s.options(config)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, nats.Timeout(min(s.timeout, time.Until(deadline))))
	}
	urls := strings.Join(config.GetUrls(), ",")
	if urls == "" {
		urls = nats.DefaultURL
	}
	conn, err := nats.Connect(urls, options...)
	if err != nil {
		return connectFailed(err)
	}
	s.conn = conn
	if s.js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(s.timeout)); err != nil {
		conn.Close()
		return err
	}
	if s.appends, err = newAppends(conn, s.timeout); err != nil {
		conn.Close()
	}
	return err
}

func (s *Store) options(config *backendsv1.Nats) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name("prism " + s.env.Instance), nats.Timeout(s.timeout), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.PingInterval(pingAgain), nats.MaxPingsOutstanding(maxPings),
		nats.FlusherTimeout(max(s.timeout, leastWrite)), nats.ReconnectOnFlusherError(), // a call that writes while the server reads nothing waits for so long, whatever its deadline
		nats.ReconnectBufSize(-1), // calls fail while the connection is lost, and do not wait for the next one
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			return time.Duration(rand.Int64N(int64(min(reconnectAgain, 50*time.Millisecond<<min(attempts, 10))))) //nolint:gosec // jitter
		}),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { s.lost() }),
		nats.ReconnectHandler(func(*nats.Conn) { s.found() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.complained(err) }),
	}
	password, err := backend.Secret(config.GetPassword())
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	token, err := backend.Secret(config.GetToken())
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	credentials, err := backend.Secret(config.GetCredentials())
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if config.GetUsername() != "" || password != "" {
		options = append(options, nats.UserInfo(config.GetUsername(), password))
	}
	if token != "" {
		options = append(options, nats.Token(token))
	}
	if credentials != "" {
		options = append(options, nats.UserCredentialBytes([]byte(credentials)))
	}
	secure, err := backend.ClientTLS(config.GetTls())
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if secure != nil {
		options = append(options, nats.Secure(secure))
	}
	return options, nil
}

// connectFailed says what is wrong and what would be right. It names no address and no secret: a URL may hold both.
func connectFailed(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var malformed *url.Error
	switch {
	case errors.As(err, &malformed): // it repeats the URL
		return errors.New("urls: one of them is no URL; write nats://host:port, and what is special in a user or password as %XX")
	case errors.Is(err, nats.ErrNoServers):
		return errors.New("nothing answers at any of urls; start the NATS server, or correct urls")
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return fmt.Errorf("the server refuses to let the gateway in (%w); correct username and password, token, or credentials", err)
	case errors.Is(err, nats.ErrSecureConnRequired):
		return errors.New("the server wants TLS; set tls, or begin the URL with tls://")
	case errors.Is(err, nats.ErrSecureConnWanted):
		return errors.New("tls is set and the server has no TLS; remove tls, or enable it on the server")
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &certificate), errors.As(err, &record):
		return fmt.Errorf("TLS with the server fails (%w); correct ca_file and server_name in tls", err)
	case errors.Is(err, nats.ErrTimeout), os.IsTimeout(err):
		return errors.New("what answers at urls does not answer as a NATS server does, or not in time; correct urls, or raise timeout")
	}
	return fmt.Errorf("connecting to the NATS server: %w", err)
}

// check looks whether the server is one that the backend can work with. It changes nothing.
func (s *Store) check(ctx context.Context) error {
	version := s.conn.ConnectedServerVersion()
	if !newEnough(version) {
		return fmt.Errorf("the server's version is %s; it must be 2.%d or newer", version, leastMinor)
	}
	if most := s.conn.MaxPayload(); most < leastPayload {
		return fmt.Errorf("the server takes messages of at most %d bytes, and a value of 1 MiB needs %d; set max_payload: 8MB in the server's configuration", most, leastPayload)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for _, subject := range []string{s.prefix + ".check", "$JS.API.INFO", "$JS.API.STREAM.INFO." + s.topicsName(), "$JS.ACK." + s.topicsName() + ".check"} {
		if err := s.mayPublish(ctx, subject); err != nil {
			return err
		}
	}
	if err := s.mayListen(ctx, s.prefix+".check"); err != nil {
		return err
	}
	_, err := s.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return errors.New("the server has no JetStream; enable it with a jetstream block in the server's configuration")
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return errors.New("the gateway's account has no JetStream; enable it for the account")
	case err != nil:
		return fmt.Errorf("asking JetStream about the account: %w", err)
	}
	return nil
}

// newEnough tells whether a version is one that the backend knows to work with.
func newEnough(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	return major > 2 || major == 2 && minor >= leastMinor
}

// mayPublish sends a message that nobody wants, to see whether the server lets it through.
func (s *Store) mayPublish(ctx context.Context, subject string) error {
	if err := s.conn.Publish(subject, nil); err != nil {
		return err
	}
	return s.allowed(ctx, "publish to "+subject)
}

func (s *Store) mayListen(ctx context.Context, subject string) error {
	sub, err := s.conn.SubscribeSync(subject)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	return s.allowed(ctx, "subscribe to "+subject)
}

// allowed tells whether the server has complained of what was sent last: a complaint comes before the answer to a ping.
func (s *Store) allowed(ctx context.Context, what string) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	if errors.Is(s.conn.LastError(), nats.ErrPermissionViolation) {
		return fmt.Errorf("the gateway's user may not %s; allow it to publish to %s.>, $JS.API.> and $JS.ACK.%s.>, and to subscribe to %s.> and _INBOX.>",
			what, s.prefix, s.topicsName(), s.prefix)
	}
	return nil
}

// flush returns when the server has taken all that was sent before.
func (s *Store) flush(ctx context.Context) error {
	if !s.conn.IsConnected() {
		return nats.ErrDisconnected
	}
	return s.conn.FlushWithContext(ctx)
}
