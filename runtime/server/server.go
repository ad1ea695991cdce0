// Package server is a gateway's whole life: it reads a configuration, plans it, opens listeners and backends, serves, takes a new configuration while it serves, and
// drains.
//
// [Start] refuses what is wrong before anything is served: first the configuration, then certificates and listeners, then backends. [Server.Reload] changes all or
// nothing. [Server.Shutdown] lets calls finish.
package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/gateway"
	"github.com/prismgate/prism/runtime/health"
	"github.com/prismgate/prism/runtime/observe"
	"github.com/prismgate/prism/runtime/pattern"
	"github.com/prismgate/prism/runtime/plan"
)

const (
	// defaultDrainTimeout is how long calls may go on after a signal to stop, when the configuration does not say.
	defaultDrainTimeout = 30 * time.Second
	// defaultReloadGrace is how long streams and transactions may go on after a reload, when the configuration does not say.
	defaultReloadGrace = 30 * time.Second
	// closeTimeout bounds how long the backends together may take to close after the last call, and then what sends spans.
	closeTimeout = 10 * time.Second
)

// Options are what a server is made of.
type Options struct {
	// Catalog is what the build knows: the generated registry.
	Catalog *catalog.Catalog
	// Backends are the code of the catalog's backends: the generated wiring.
	Backends []backend.Type
	// Patterns are the code of the catalog's patterns.
	Patterns []pattern.Type
	// Provider is the command that starts a provider of this build, when the name of a backend is added to it: what sidecars are. Without it each sidecar names its own.
	Provider []string
	// Load reads the configuration: once at the start, and once for each reload.
	Load func() (*config.Source, error)
	// Watch are the files and folders of the configuration: a change in one of them is a reload. Without any there is none.
	Watch []string
	// Insecure allows addresses that other machines can reach, though nobody is authenticated there.
	Insecure bool
	// Build is what /metrics and the admin service tell of the program.
	Build observe.Build
	// Log takes what operators should know; nil discards.
	Log *slog.Logger
}

// Fixed is what loads a configuration that is made in code.
func Fixed(c *configv1.Config) func() (*config.Source, error) {
	return func() (*config.Source, error) { return config.FromMessage(c), nil }
}

// Server is a gateway that serves. Make one with [Start].
type Server struct {
	o        Options
	log      *slog.Logger
	metrics  *prometheus.Registry
	reloads  *reloads
	observer *observe.Observer
	state    *health.State
	gateway  *gateway.Gateway
	front    *front.Front
	// failed gets what ends the server before its time.
	failed chan error

	// changing is held by a reload from its begin to its end.
	changing sync.Mutex
	stopped  bool
	status   atomic.Pointer[status]

	background sync.WaitGroup
	// running ends, by halt, when the server is told to stop.
	running context.Context //nolint:containedctx // it is no call's: it ends with the server
	halt    context.CancelFunc
}

// Start serves a configuration. It returns when clients are served, or when something is wrong and everything that was opened is closed again. What goes on
// afterwards ends with [Server.Shutdown], whatever becomes of the context.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		o:       o,
		log:     o.Log,
		metrics: prometheus.NewRegistry(),
		reloads: newReloads(),
		state:   health.NewState(gateway.Services(o.Catalog)...),
		failed:  make(chan error, 1),
	}
	s.running, s.halt = context.WithCancel(context.WithoutCancel(ctx))
	s.changing.Lock() // a file that changes meanwhile is read again when the start is over
	defer s.changing.Unlock()
	if err := s.start(ctx); err != nil {
		s.stopped = true
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	if err := s.watchConfiguration(); err != nil { // before it is read, so that no change is lost
		return err
	}
	source, planned, err := load(s.o)
	if err != nil {
		return err
	}
	if err := s.open(ctx, source, planned); err != nil {
		return source.Locate(err)
	}
	s.use(source)
	s.serve()
	return nil
}

// load reads a configuration and says what it comes to.
func load(o Options) (*config.Source, *plan.Plan, error) {
	source, err := o.Load()
	if err != nil {
		return nil, nil, err
	}
	planned, err := plan.Make(source.Config, o.Catalog)
	if err != nil {
		return nil, nil, source.Locate(err)
	}
	planned.ResolveFiles(source)
	return source, planned, nil
}

// open opens everything, what fails soonest first, and serves nothing yet.
func (s *Server) open(ctx context.Context, source *config.Source, planned *plan.Plan) (err error) {
	server := source.Config.GetServer()
	if s.front, err = front.Open(ctx, server, front.Options{
		Insecure: s.o.Insecure, Log: s.log, Refused: func(protocol, reason string) { s.observer.RequestRefused(protocol, reason) },
	}); err != nil {
		return err
	}
	if err := s.watchCertificates(); err != nil {
		return err
	}
	if s.observer, err = observe.New(ctx, observe.Options{
		Registry: s.metrics, Log: s.log, Config: source.Config.GetObservability(), Explain: server.GetExplain(), Build: s.o.Build,
	}); err != nil {
		return err
	}
	s.gateway = gateway.New(ctx, gateway.Options{
		Catalog: s.o.Catalog, Backends: s.o.Backends, Patterns: s.o.Patterns, Steps: s.observer.Steps(), Log: s.log,
		Provider: s.o.Provider, Build: "prism " + s.o.Build.Version,
		Gone: func(namespace string) { s.observer.Forget(namespace) },
	})
	if err := s.register(); err != nil {
		return err
	}
	return s.gateway.Apply(ctx, planned, 0)
}

// register registers what /metrics shows beside the calls.
func (s *Server) register() error {
	all := append(s.reloads.collectors(), s.front.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, c := range all {
		if err := s.metrics.Register(c); err != nil {
			return err
		}
	}
	if err := s.observer.RegisterBackends(s.gateway.EachBackend); err != nil {
		return err
	}
	return s.observer.RegisterInFlight(s.gateway.InFlight)
}

// Failed gets what ends the server before its time: a listener that broke.
func (s *Server) Failed() <-chan error { return s.failed }

// Gateway is what is served.
func (s *Server) Gateway() *gateway.Gateway { return s.gateway }

// Front is where it is served.
func (s *Server) Front() *front.Front { return s.front }

// Shutdown turns the server not ready, takes no new calls, ends subscriptions, lets the other calls finish for as long as the configuration says, and closes
// everything. Calls that do not finish are cut off, and then the error says so.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	timeout := durationOr(s.status.Load().config.GetServer().GetDrainTimeout(), defaultDrainTimeout)
	s.gateway.Drain()
	draining, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.front.Shutdown(draining); err != nil {
		s.log.Warn("drained in part", "error", err.Error())
		return errors.Join(err, s.close(ctx))
	}
	return s.close(ctx)
}

// Close ends the server at once: calls under way are cut off.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	return errors.Join(s.front.Close(), s.close(ctx))
}

// stop turns the server not ready, and takes no more configurations: a reload that is under way gives up.
func (s *Server) stop() {
	s.state.End()
	s.halt()
	s.changing.Lock()
	defer s.changing.Unlock()
	s.stopped = true
}

// close closes what was opened, the latest first.
func (s *Server) close(ctx context.Context) error {
	s.halt()
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if s.gateway != nil {
		errs = append(errs, within(ctx, s.gateway.Close))
	}
	if s.observer != nil {
		if err := within(ctx, s.observer.Close); err != nil {
			s.log.Warn("the last spans were not sent", "error", err.Error()) // no reason for the gateway to fail
		}
	}
	if s.front != nil {
		errs = append(errs, s.front.Close())
	}
	s.background.Wait()
	return errors.Join(errs...)
}

// within gives each part its own time, so that backends that hang do not take that of the spans.
func within(ctx context.Context, closes func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return closes(ctx)
}
