package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/provider"
	"github.com/prismgate/prism/runtime/sidecar"
	"github.com/prismgate/prism/runtime/suggest"
)

// providerOptions are the flags of provider.
type providerOptions struct {
	listen                    string
	tlsCert, tlsKey, clientCA string
	insecure                  bool
	drainTimeout              time.Duration
	logFormat, logLevel       choice
}

func (c *cli) providerCommand() *cobra.Command {
	o := providerOptions{logFormat: newChoice("text", "json"), logLevel: newChoice("info", "debug", "warn", "error")}
	command := &cobra.Command{
		Use:   "provider BACKEND",
		Short: "Serve a backend to gateways from a process of its own",
		Long: `Serve a backend to gateways from a process of its own. Gateways whose configuration says deployment: sidecar start it
themselves; this is for those that say deployment: remote, with this address as provider.address. They send the
backend's configuration; secrets that it names are read here.

On an address that other machines can reach both sides have to show a certificate: --tls-cert and --tls-key are the
provider's, --client-ca has the authority of the gateways'. --insecure does without, and lets everybody who can reach
the address read and change everything.

SIGTERM or SIGINT stops it: it takes no new calls, and those under way may finish for as long as --drain-timeout. A second
signal ends it at once.`,
		Example: `  # Serve redis to gateways on this machine
  prism provider redis --listen unix:/run/prism-redis.sock

  # Serve postgres to gateways on other machines
  prism provider postgres --listen 0.0.0.0:8990 --tls-cert cert.pem --tls-key key.pem --client-ca gateways.pem`,
		Args:              oneArg("a BACKEND, such as memstore"),
		ValidArgsFunction: completeNames(c.providable),
		RunE: func(command *cobra.Command, args []string) error {
			return c.provide(command.Context(), args[0], o)
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.listen, "listen", "", "`ADDRESS` to serve gateways on, host:port or unix:PATH; port 0 lets the system choose (required)")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "the `FILE` with the provider's certificate, in PEM")
	flags.StringVar(&o.tlsKey, "tls-key", "", "the `FILE` with the certificate's private key, in PEM")
	flags.StringVar(&o.clientCA, "client-ca", "", "the `FILE` with the authorities of the gateways' certificates, in PEM; gateways without one are refused")
	flags.BoolVar(&o.insecure, "insecure", false, "allow an address that other machines can reach, though anybody there can call")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", 30*time.Second, "how long calls may go on after a signal to stop")
	o.logFormat.add(flags, "log-format", "", "how to write the log, to standard error")
	o.logLevel.add(flags, "log-level", "", "what to log")
	for _, name := range []string{"tls-cert", "tls-key", "client-ca"} {
		completeFile(command, name)
	}
	o.logFormat.completeFor(command, "log-format")
	o.logLevel.completeFor(command, "log-level")
	return command
}

// providable completes the backends that this build has code for.
func (c *cli) providable() []cobra.Completion {
	var names []cobra.Completion
	for _, t := range c.backends {
		names = append(names, t.Name)
	}
	return names
}

// provide serves a backend until the context ends, and then lets its calls finish.
func (c *cli) provide(ctx context.Context, name string, o providerOptions) error {
	i := slices.IndexFunc(c.backends, func(t backend.Type) bool { return t.Name == name })
	if i < 0 {
		names := c.providable()
		return usagef("this build has no code for a backend %q%s; it has %s", name, suggest.DidYouMean(name, names), suggest.Enumerate(names, "and"))
	}
	secured, err := o.secured()
	if err != nil {
		return err
	}
	log := newLogger(c.stderr, serveOptions{logFormat: o.logFormat, logLevel: o.logLevel})
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	options := provider.ServerOptions{Catalog: c.catalog, Backends: c.backends[i : i+1], Log: log, Version: "prism " + c.build.version}
	if os.Getenv(sidecar.Environment) != "" {
		options.Exit = func() { stop(errors.New("the gateway asked for it")) }
		go func() {
			_, _ = io.Copy(io.Discard, c.stdin) // it ends when the gateway does
			stop(errors.New("the gateway is gone"))
		}()
	}
	listener, err := listen.Open(ctx, o.listen)
	if err != nil {
		return err
	}
	served := provider.NewServer(options)
	server := served.Listener(secured)
	if !listen.IsLocal(o.listen) && o.clientCA == "" {
		log.Warn("other machines can reach this address, and nobody is authenticated", "address", o.listen)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.LogAttrs(ctx, slog.LevelInfo, "the provider is ready", slog.String("backend", name), slog.String("listen", addressOf(o.listen, listener.Addr().String())),
		slog.String("tls", o.security()))
	var failure error
	select {
	case failure = <-failed:
		stop(failure)
	case <-ctx.Done():
	}
	log.Info("draining", "reason", context.Cause(ctx).Error())
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.drainTimeout)
	defer cancel()
	err = errors.Join(failure, served.Close(draining), server.Shutdown(draining))
	log.Info("stopped")
	return err
}

// provider is the command that starts a provider of this build; nil when nobody knows where this program is.
func (c *cli) provider() []string {
	if c.executable == nil {
		return nil
	}
	program, err := c.executable()
	if err != nil {
		return nil
	}
	return []string{program, "provider"}
}

// secured is how gateways are served, and whether they may be served so at all; nil is in clear.
func (o providerOptions) secured() (*tls.Config, error) {
	switch {
	case o.listen == "":
		return nil, usagef("provider needs --listen, such as unix:/run/prism-provider.sock or 127.0.0.1:8990")
	case o.drainTimeout < 0:
		return nil, usagef("--drain-timeout must not be negative, is %s", o.drainTimeout)
	case o.unix() && o.tlsCert+o.tlsKey+o.clientCA != "":
		return nil, usagef("a Unix socket is served without TLS, its file mode says who may connect: leave --tls-cert, --tls-key and --client-ca out")
	case !o.insecure && !listen.IsLocal(o.listen) && o.clientCA == "":
		return nil, usagef("refusing to serve on %s: other machines can reach that address, and anybody there could read and change everything; "+
			"let only gateways with a certificate in (--tls-cert, --tls-key, --client-ca), listen on 127.0.0.1 or a Unix socket, or accept the risk with --insecure", o.listen)
	}
	secured, err := front.LoadTLS(&configv1.Tls{CertFile: o.tlsCert, KeyFile: o.tlsKey, ClientCaFile: o.clientCA})
	var failed *front.TLSError
	if errors.As(err, &failed) {
		flag := map[string]string{"cert_file": "--tls-cert", "key_file": "--tls-key", "client_ca_file": "--client-ca"}[failed.Field]
		return nil, fmt.Errorf("%s: %w", flag, failed.Err)
	}
	return secured, err
}

func (o providerOptions) unix() bool {
	_, ok := listen.UnixPath(o.listen)
	return ok
}

// security is how gateways are served, for the log.
func (o providerOptions) security() string {
	switch {
	case o.tlsCert == "":
		return "off"
	case o.clientCA == "":
		return "on"
	}
	return "mutual"
}

// addressOf is an address as it is in truth: a port 0 has become one.
func addressOf(asked, is string) string {
	if _, unix := listen.UnixPath(asked); unix {
		return asked
	}
	return is
}
