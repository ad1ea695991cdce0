package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/server"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	config                    []string
	watch                     bool
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
reads one, in YAML, from files and folders; docs/configuration.md says what it may hold, "prism validate" checks one
without serving it. A flag that is given goes before what the configuration says.

When a file of the configuration changes, or on SIGHUP, the configuration is read again and served, all or nothing: what
did not change is carried over with its data and connections, unary calls finish on what they began on, streams and
transactions get server.reload_grace. A configuration that is wrong changes nothing; the log says why.

Addresses that other machines can reach are refused while nobody is authenticated. TLS alone authenticates only the
gateway; with --client-ca clients need a certificate too, and --listen may be any address. --admin has no TLS, and
--insecure takes the risk.

SIGTERM or SIGINT stops it: it turns not ready, takes no new calls, ends subscriptions, and lets the other calls finish
for as long as --drain-timeout. Calls that do not finish in time are cut off; the exit code is then 1. A second signal
ends it at once.`,
		Example: `  # Serve on ` + config.DefaultListen + `, with health and metrics on ` + config.DefaultAdmin + `
  prism serve

  # Serve what a folder says, but on a Unix socket
  prism serve --config /etc/prism --listen unix:/run/prism.sock

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
	flags.StringArrayVarP(&o.config, "config", "c", nil, "a `FILE` with the configuration, or a folder of such files; may be repeated")
	flags.BoolVar(&o.watch, "watch", true, "read the configuration again when its files change")
	flags.StringVar(&o.listen, "listen", config.DefaultListen, "`ADDRESS` to serve clients on, host:port or unix:PATH; port 0 lets the system choose")
	flags.StringVar(&o.admin, "admin", config.DefaultAdmin, "`ADDRESS` to serve /healthz, /readyz and /metrics on")
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
	collectLess()
	log := newLogger(c.stderr, o)
	limitMemory(log)
	options := server.Options{
		Catalog:  c.catalog,
		Backends: c.backends,
		Patterns: c.patterns,
		Provider: c.provider(),
		Load:     o.loader(given),
		Insecure: o.insecure,
		Build:    c.build.observed(),
		Log:      log,
	}
	if o.watch {
		options.Watch = o.config
	}
	var hangups <-chan os.Signal
	if c.hangups != nil {
		hangups = c.hangups() // one that comes during the start must not end the process
	}
	s, err := server.Start(ctx, options)
	if err != nil {
		return err
	}
	return attend(ctx, s, log, hangups)
}

// attend waits for what ends the gateway, and reloads when it is told to.
func attend(ctx context.Context, s *server.Server, log *slog.Logger, hangups <-chan os.Signal) error {
	for {
		select {
		case <-hangups:
			_, _ = s.Reload(ctx), s.ReloadCertificates() // the log says how they ended
		case failure := <-s.Failed():
			return errors.Join(failure, s.Shutdown(context.WithoutCancel(ctx)))
		case <-ctx.Done():
			log.Info("draining", "reason", context.Cause(ctx).Error())
			err := s.Shutdown(context.WithoutCancel(ctx))
			log.Info("stopped")
			return err
		}
	}
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
