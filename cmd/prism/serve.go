package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/listen"
)

// closeTimeout bounds how long the backends may take to close, after the last call.
const closeTimeout = 10 * time.Second

// serveOptions are the flags of serve.
type serveOptions struct {
	listen, admin string
	insecure      bool
	drainTimeout  time.Duration
	logFormat     choice
	logLevel      choice
}

func (c *cli) serveCommand() *cobra.Command {
	o := serveOptions{logFormat: newChoice("text", "json"), logLevel: newChoice("info", "debug", "warn", "error")}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the gateway",
		Long: `Serve the gateway: namespaces to clients on one address, health, readiness and metrics to operators on another.

Without a configuration there is one namespace, "default", which is kept in memory and ends with the process.

SIGTERM or SIGINT stops it: it turns not ready, takes no new calls, and lets those under way finish for as long as
--drain-timeout. Calls that do not finish in time are cut off; the exit code is then 1. A second signal
ends it at once.`,
		Example: `  # Serve on ` + gateway.DefaultListen + `, with health and metrics on ` + gateway.DefaultAdmin + `
  prism serve

  # Let the system choose the ports; the log says which
  prism serve --listen 127.0.0.1:0 --admin 127.0.0.1:0`,
		Args: noArgs,
		RunE: func(command *cobra.Command, _ []string) error { return c.serve(command.Context(), o) },
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.listen, "listen", gateway.DefaultListen, "`ADDRESS` to serve clients on, host:port; port 0 lets the system choose")
	flags.StringVar(&o.admin, "admin", gateway.DefaultAdmin, "`ADDRESS` to serve /healthz, /readyz and /metrics on")
	flags.BoolVar(&o.insecure, "insecure", false, "allow addresses that other machines can reach, though nobody is authenticated yet")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", 30*time.Second, "how long calls may go on after a signal to stop")
	o.logFormat.add(flags, "log-format", "", "how to write the log, to standard error")
	o.logLevel.add(flags, "log-level", "", "what to log")
	o.logFormat.completeFor(command, "log-format")
	o.logLevel.completeFor(command, "log-level")
	return command
}

// serve runs a gateway until the context ends, and then lets its calls finish.
func (c *cli) serve(ctx context.Context, o serveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	collectLess()
	log := newLogger(c.stderr, o)
	data, admin, err := o.open(ctx)
	if err != nil {
		return err
	}
	server, err := c.newServer(ctx, log)
	if err != nil {
		return errors.Join(err, data.Close(), admin.Close())
	}
	for _, address := range []string{o.listen, o.admin} {
		if !listen.IsLocal(address) {
			log.Warn("other machines can reach this address, and nobody is authenticated", "address", address)
		}
	}
	return server.run(ctx, data, admin, o.drainTimeout)
}

// check refuses what must not be served.
func (o serveOptions) check() error {
	if o.drainTimeout < 0 {
		return usagef("--drain-timeout must not be negative, is %s", o.drainTimeout)
	}
	for _, flag := range []struct{ name, address string }{{"listen", o.listen}, {"admin", o.admin}} {
		_, port, err := net.SplitHostPort(flag.address)
		if err != nil {
			return usagef("--%s must be host:port, such as %s, is %q", flag.name, gateway.DefaultListen, flag.address)
		}
		_, err = strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil:
			return usagef("the port of --%s %q is not a number from 0 to 65535", flag.name, flag.address)
		case !listen.IsLocal(flag.address) && !o.insecure:
			return usagef("refusing to serve on --%s %s: other machines can reach that address, and Prism has no authentication yet, so that anyone could read and "+
				"change everything; listen on 127.0.0.1, or accept the risk with --insecure", flag.name, flag.address)
		}
	}
	return nil
}

// open opens both listeners or none.
func (o serveOptions) open(ctx context.Context) (data, admin net.Listener, err error) {
	if data, err = listen.Open(ctx, o.listen); err != nil {
		return nil, nil, fmt.Errorf("%w (choose another address with --listen)", err)
	}
	if admin, err = listen.Open(ctx, o.admin); err != nil {
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
	log     *slog.Logger
	state   *health.State
	gateway *gateway.Gateway
	opened  *gateway.Opened
	data    *listen.Server
	admin   *listen.Server
}

// newServer opens what the configuration names.
func (c *cli) newServer(ctx context.Context, log *slog.Logger) (*server, error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	calls, err := gateway.NewMetrics(metrics)
	if err != nil {
		return nil, err
	}
	s := &server{
		log:     log,
		state:   health.NewState(gateway.Services(c.catalog)...),
		gateway: gateway.New(c.catalog, log, calls),
	}
	if s.opened, err = s.gateway.Open(ctx, gateway.DefaultConfig(), c.backends); err != nil {
		return nil, err
	}
	s.gateway.Use(s.opened)
	s.data = gateway.NewFront(gateway.Routes(s.gateway, s.state), gateway.FrontOptions{Log: log})
	s.admin = gateway.NewAdminFront(gateway.NewAdminHandler(s.state, metrics), log)
	return s, nil
}

// run serves on two listeners until the context ends or one of them fails.
func (s *server) run(ctx context.Context, data, admin net.Listener, drainTimeout time.Duration) error {
	failed := make(chan error, 2)
	serve := func(what string, server *listen.Server, listener net.Listener) {
		if err := server.Serve(listener); !errors.Is(err, listen.ErrClosed) {
			failed <- fmt.Errorf("serving on --%s %s: %w", what, listener.Addr(), err)
		}
	}
	go serve("admin", s.admin, admin)
	go serve("listen", s.data, data)
	s.state.Set(true)
	s.log.Info("prism is ready",
		"listen", data.Addr().String(), "admin", admin.Addr().String(), "namespaces", strings.Join(s.gateway.Namespaces(), ","))

	var failure error
	select {
	case failure = <-failed:
	case <-ctx.Done():
		s.log.Info("draining", "reason", context.Cause(ctx).Error(), "timeout", drainTimeout.String())
	}
	return errors.Join(failure, s.stop(context.WithoutCancel(ctx), drainTimeout))
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
