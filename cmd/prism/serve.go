package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/listen"
)

// closeTimeout bounds how long the backends may take to close, after the last call.
const closeTimeout = 10 * time.Second

// serveOptions are the flags of serve.
type serveOptions struct {
	config                    string
	listen, admin             string
	http2                     choice
	tlsCert, tlsKey, clientCA string
	insecure                  bool
	drainTimeout              time.Duration
	logFormat                 choice
	logLevel                  choice
}

func (c *cli) serveCommand() *cobra.Command {
	o := serveOptions{
		http2: newChoice(http2Own, http2Standard), logFormat: newChoice("text", "json"), logLevel: newChoice("info", "debug", "warn", "error"),
	}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the gateway",
		Long: `Serve the gateway: namespaces to clients on one address, health, readiness and metrics to operators on another.

Without a configuration there is one namespace, "default", which is kept in memory and ends with the process. --config
reads one, in YAML; schema/prism/config/v1/config.proto says what it may hold. A flag that is given goes before what the
file says.

Addresses that other machines can reach are refused while nobody is authenticated. TLS alone authenticates only the
gateway; with --client-ca clients need a certificate too, and --listen may be any address. --admin has no TLS, and
--insecure takes the risk.

SIGTERM or SIGINT stops it: it turns not ready, takes no new calls, and lets those under way finish for as long as
--drain-timeout. Calls that do not finish in time are cut off; the exit code is then 1. A second signal
ends it at once.`,
		Example: `  # Serve on ` + gateway.DefaultListen + `, with health and metrics on ` + gateway.DefaultAdmin + `
  prism serve

  # Serve what a file says, but on a Unix socket
  prism serve --config prism.yaml --listen unix:/run/prism.sock

  # Serve with TLS to clients that have a certificate
  prism serve --listen 0.0.0.0:8980 --tls-cert cert.pem --tls-key key.pem --client-ca ca.pem

  # Let the system choose the ports; the log says which
  prism serve --listen 127.0.0.1:0 --admin 127.0.0.1:0`,
		Args: noArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return c.serve(command.Context(), o, command.Flags().Changed)
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.config, "config", "c", "", "the `FILE` with the configuration")
	flags.StringVar(&o.listen, "listen", gateway.DefaultListen, "`ADDRESS` to serve clients on, host:port or unix:PATH; port 0 lets the system choose")
	flags.StringVar(&o.admin, "admin", gateway.DefaultAdmin, "`ADDRESS` to serve /healthz, /readyz and /metrics on")
	o.http2.add(flags, "http2", "", "the gateway's own HTTP/2, or that of Go's net/http, which is slower")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "the `FILE` with the certificate to serve clients with, in PEM")
	flags.StringVar(&o.tlsKey, "tls-key", "", "the `FILE` with the certificate's private key, in PEM")
	flags.StringVar(&o.clientCA, "client-ca", "", "the `FILE` with the authorities of clients' certificates, in PEM; clients without one are refused")
	flags.BoolVar(&o.insecure, "insecure", false, "allow addresses that other machines can reach, though nobody is authenticated there")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", 30*time.Second, "how long calls may go on after a signal to stop")
	o.logFormat.add(flags, "log-format", "", "how to write the log, to standard error")
	o.logLevel.add(flags, "log-level", "", "what to log")
	completeFile(command, "config", "yaml", "yml")
	for _, name := range []string{"tls-cert", "tls-key", "client-ca"} {
		completeFile(command, name)
	}
	o.http2.completeFor(command, "http2")
	o.logFormat.completeFor(command, "log-format")
	o.logLevel.completeFor(command, "log-level")
	return command
}

// serve runs a gateway until the context ends, and then lets its calls finish.
func (c *cli) serve(ctx context.Context, o serveOptions, given func(flag string) bool) error {
	if o.drainTimeout < 0 {
		return usagef("--drain-timeout must not be negative, is %s", o.drainTimeout)
	}
	s, err := o.settings(given)
	if err != nil {
		return err
	}
	collectLess()
	log := newLogger(c.stderr, o)
	limitMemory(log)
	data, admin, err := s.open(ctx)
	if err != nil {
		return err
	}
	server, err := c.newServer(ctx, s, log)
	if err != nil {
		return errors.Join(err, data.Close(), admin.Close())
	}
	s.warn(log)
	return server.run(ctx, data, admin, o.drainTimeout)
}

// warn tells of the risk that --insecure takes.
func (s *settings) warn(log *slog.Logger) {
	for _, at := range []struct {
		address string
		safe    bool
	}{{s.server().GetListen(), s.authenticates()}, {s.server().GetAdmin(), false}} {
		if !at.safe && !listen.IsLocal(at.address) {
			log.Warn("other machines can reach this address, and nobody is authenticated", "address", at.address)
		}
	}
}

// open opens both listeners or none.
func (s *settings) open(ctx context.Context) (data, admin net.Listener, err error) {
	if data, err = listen.Open(ctx, s.server().GetListen()); err != nil {
		return nil, nil, fmt.Errorf("%w (choose another address with --listen)", err)
	}
	if admin, err = listen.Open(ctx, s.server().GetAdmin()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w (choose another address with --admin)", err), data.Close())
	}
	return data, admin, nil
}

func newLogger(w io.Writer, o serveOptions) *slog.Logger {
	var level slog.Level
	// The flag takes only what slog knows.
	_ = level.UnmarshalText([]byte(o.logLevel.value))
	options := &slog.HandlerOptions{Level: level}
	if o.logFormat.value == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// server is a gateway with its two HTTP servers.
type server struct {
	log      *slog.Logger
	settings *settings
	state    *health.State
	gateway  *gateway.Gateway
	opened   *gateway.Opened
	data     *listen.Server
	admin    *listen.Server
}

// newServer opens what the configuration names.
func (c *cli) newServer(ctx context.Context, settings *settings, log *slog.Logger) (*server, error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	calls, err := gateway.NewMetrics(metrics)
	if err != nil {
		return nil, err
	}
	s := &server{
		log:      log,
		settings: settings,
		state:    health.NewState(gateway.Services(c.catalog)...),
		gateway:  gateway.New(c.catalog, log, calls),
	}
	if s.opened, err = s.gateway.Open(ctx, settings.config, c.backends); err != nil {
		if settings.file != "" {
			err = fmt.Errorf("%s: %w", settings.file, err)
		}
		return nil, err
	}
	s.gateway.Use(s.opened)
	s.data = gateway.NewFront(gateway.Routes(s.gateway, s.state), gateway.FrontOptions{
		Standard: settings.server().GetHttp2() == http2Standard,
		TLS:      settings.tls,
		Limits:   gateway.ListenLimits(settings.server().GetLimits()),
		HTTP2:    gateway.H2Limits(settings.server().GetLimits()),
		Log:      log,
	})
	var http2 func() h2.Stats
	if own := s.data.HTTP2(); own != nil {
		http2 = own.Stats
	}
	if err := metrics.Register(gateway.NewFrontCollector(s.data.Stats, http2)); err != nil {
		return nil, err
	}
	s.admin = gateway.NewAdminFront(gateway.NewAdminHandler(s.state, metrics), log)
	return s, nil
}

// run serves on two listeners until the context ends or one of them fails.
func (s *server) run(ctx context.Context, data, admin net.Listener, drainTimeout time.Duration) error {
	failed := make(chan error, 2)
	serve := func(what string, server *listen.Server, listener net.Listener) {
		if err := server.Serve(listener); !errors.Is(err, listen.ErrClosed) {
			failed <- fmt.Errorf("serving on --%s %s: %w", what, addressOf(listener), err)
		}
	}
	go serve("admin", s.admin, admin)
	go serve("listen", s.data, data)
	s.state.Set(true)
	s.log.Info("prism is ready",
		"listen", addressOf(data), "admin", addressOf(admin), "namespaces", strings.Join(s.gateway.Namespaces(), ","),
		"http2", s.settings.server().GetHttp2(), "tls", s.settings.security())

	var failure error
	select {
	case failure = <-failed:
	case <-ctx.Done():
		s.log.Info("draining", "reason", context.Cause(ctx).Error(), "timeout", drainTimeout.String())
	}
	return errors.Join(failure, s.stop(context.WithoutCancel(ctx), drainTimeout))
}

// addressOf is where a listener listens, as --listen and --address take it.
func addressOf(listener net.Listener) string {
	address := listener.Addr()
	if address.Network() == "unix" {
		return unixPrefix + address.String()
	}
	return address.String()
}

// stop turns the gateway not ready, lets its calls finish, and closes everything.
func (s *server) stop(ctx context.Context, drainTimeout time.Duration) error {
	s.state.End()
	draining, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	var errs []error
	if err := s.data.Shutdown(draining); err != nil {
		// The backends stay open: a call that was cut off may still be on its way out of one.
		s.log.Warn("drained in part", "error", err.Error())
		errs = append(errs, err)
	} else {
		closing, cancel := context.WithTimeout(ctx, closeTimeout)
		defer cancel()
		errs = append(errs, s.opened.Close(closing))
	}
	errs = append(errs, s.admin.Close())
	s.log.Info("stopped")
	return errors.Join(errs...)
}
