// Package observe holds the first steps of the pipeline: what is known of every call, whatever becomes of it.
//
//   - recover ends one call when its handler panics, and not the process
//   - request id names a call, for those who look for its line in the log
//   - observe counts it, times it, traces it and logs it
//   - explain tells a caller who asks what served the call
//
// Nothing of this ever tells a payload, a key, a header or a secret. docs/metrics.md has the metrics, and what is logged.
package observe

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/rpc"
)

// flushTimeout bounds how long a collector that was replaced may take to receive its last spans.
const flushTimeout = 10 * time.Second

// Options are what an observer is made of.
type Options struct {
	// Registry takes the metrics.
	Registry prometheus.Registerer
	// Log takes the lines of calls, of panics, and of collectors that cannot be reached; nil discards.
	Log *slog.Logger
	// Config says what is told of calls; nil is the default: calls that fail or are slow are logged, none is traced.
	Config *configv1.Observability
	// Explain answers callers who ask what served them.
	Explain bool
	// Build is what prism_build_info tells of the program.
	Build Build
}

// Build says which program this is.
type Build struct {
	// Version is the release.
	Version string
	// Revision is the commit.
	Revision string
	// GoVersion is the version of Go that it was built with.
	GoVersion string
}

// Observer observes the calls of one gateway. Make one with [New].
type Observer struct {
	ctx      context.Context //nolint:containedctx // it is no call's: what sends spans outlives every call
	log      *slog.Logger
	version  string
	metrics  *metrics
	lines    *limiter
	settings atomic.Pointer[settings]
	// retiring are the exporters of settings that were replaced.
	retiring sync.WaitGroup
}

// settings are what a reload may change.
type settings struct {
	tracing *tracing // nil when calls are not traced
	access  accessLog
	explain bool
}

// New returns an observer. What runs in the background for it ends with Close, whatever becomes of the context.
func New(ctx context.Context, o Options) (*Observer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	counted, err := newMetrics(o.Registry, o.Build)
	if err != nil {
		return nil, err
	}
	observer := &Observer{ctx: context.WithoutCancel(ctx), log: o.Log, version: o.Build.Version, metrics: counted}
	observer.lines = newLimiter(observer.leftOut)
	observer.settings.Store(&settings{})
	apply, err := observer.Configure(o.Config, o.Explain)
	if err != nil {
		return nil, err
	}
	apply()
	return observer, nil
}

// Steps are the steps, outermost first.
func (o *Observer) Steps() []rpc.Middleware {
	return []rpc.Middleware{o.recover, requestID, o.observe, o.explain}
}

// Configure prepares another configuration. It takes effect with apply, which cannot fail, and for calls that begin afterwards; without apply nothing has happened.
// The errors are problems of the configuration, see package config. It is not to be used by two at once.
func (o *Observer) Configure(c *configv1.Observability, explain bool) (apply func(), err error) {
	current := o.settings.Load()
	next := &settings{access: newAccessLog(c.GetAccessLog()), explain: explain}
	if next.tracing, err = o.newTracing(c.GetTracing(), current.tracing); err != nil {
		return nil, err
	}
	return func() {
		before, after := current.tracing.sender(), next.tracing.sender()
		if after != nil && after != before {
			after.start(o.ctx)
		}
		o.settings.Store(next)
		if before != nil && before != after {
			o.retiring.Go(func() {
				ctx, cancel := context.WithTimeout(o.ctx, flushTimeout)
				defer cancel()
				_ = before.close(ctx) // it has counted what it could not send
			})
		}
	}, nil
}

// Close sends the spans that have not been sent yet, and ends what runs in the background. Call it after the last call has ended.
func (o *Observer) Close(ctx context.Context) error {
	o.lines.close()
	var err error
	if sender := o.settings.Load().tracing.sender(); sender != nil {
		err = sender.close(ctx)
	}
	o.retiring.Wait()
	return err
}

// Forget drops the series of namespaces that are gone, so that those of namespaces that came and went do not pile up. Call it when their calls have ended.
func (o *Observer) Forget(namespaces ...string) {
	for _, namespace := range namespaces {
		o.metrics.forget(namespace)
	}
}

// RegisterInFlight makes prism_calls_in_flight of a function that yields how many calls are under way in each namespace. It is asked when metrics are: counting them
// once more would cost every call.
func (o *Observer) RegisterInFlight(each func(yield func(namespace string, calls int64))) error {
	return o.metrics.registry.Register(newInFlight(each))
}

// RegisterBackends makes the metrics prism_backend_* of a function that yields the open backend instances. It is asked when metrics are.
func (o *Observer) RegisterBackends(each func(yield func(instance, backend string, status *backend.Status))) error {
	return o.metrics.registry.Register(newBackends(each))
}

// RequestRefused counts a request that was refused before it was a call; it is an [rpc.Refused].
func (o *Observer) RequestRefused(protocol, reason string) {
	o.metrics.requestRefused(protocol, reason)
}
