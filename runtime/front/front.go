// Package front is where a gateway is reached: its listeners, TLS, who may call by Host and Origin, and the address for operators.
//
// A [Front] is made of server in the configuration. [Open] takes every address and reads every certificate before anything else is started, so that what cannot be
// served is refused while nothing has happened yet; [Front.Serve] then serves routes.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

// renewal is how long before its end a certificate is warned of.
const renewal = 14 * 24 * time.Hour

// Options are what a front needs besides the configuration.
type Options struct {
	// Insecure allows addresses that other machines can reach, though nobody is authenticated there.
	Insecure bool
	// Log is told of risks, of certificates, and at debug level of what was refused. nil discards.
	Log *slog.Logger
	// Refused is told of requests that are refused before they are calls, see [ServerOptions]; nil is told nothing.
	Refused rpc.Refused
}

// Front is where a gateway is reached. Make one with [Open]. Its methods may be called at once.
type Front struct {
	log      *slog.Logger
	standard bool
	pprof    bool
	options  ServerOptions
	clients  []*place
	admin    *place
	// operators holds the admin address to its names.
	operators *allowed

	// reloading is held while certificates are read.
	reloading             sync.Mutex
	reloaded, notReloaded atomic.Int64

	mu     sync.Mutex
	closed bool
	// data and operating serve clients and operators; nil before Serve.
	data, operating *listen.Server
}

// Open reads every certificate and opens every listener of a configuration, or nothing. An error is [config.Problems]; each says what would be right.
func Open(ctx context.Context, server *configv1.Server, o Options) (*Front, error) {
	f := &Front{log: o.Log, standard: server.GetHttp2() == "standard", pprof: server.GetPprof()}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.clients, f.admin = placesOf(server)
	if problems := append(Check(server, o.Insecure), f.loadCertificates()...); len(problems) > 0 {
		return nil, problems
	}
	if problems := f.listen(ctx); len(problems) > 0 {
		_ = f.Close() // what is wrong is said already
		return nil, problems
	}
	f.warnOfReach()
	f.warnOfEnd()
	hosts := server.GetAllowedHosts()
	f.options = ServerOptions{
		Standard: f.standard,
		Limits:   ListenLimits(server.GetLimits()),
		HTTP2:    H2Limits(server.GetLimits()),
		Log:      f.log,
		Refused:  o.Refused,
		allowed:  newAllowed(hosts, server.GetAllowedOrigins(), f.clients),
	}
	f.operators = allowedAtLoopback(hosts, []*place{f.admin})
	return f, nil
}

func (f *Front) places() []*place { return append(slices.Clip(f.clients), f.admin) }

// listen opens the listeners.
func (f *Front) listen(ctx context.Context) config.Problems {
	var problems config.Problems
	for _, p := range f.places() {
		problems = append(problems, p.open(ctx)...)
	}
	return problems
}

// warnOfReach tells of the risk that was taken.
func (f *Front) warnOfReach() {
	for _, p := range f.places() {
		if !p.safe() {
			f.log.Warn("other machines can reach this address, and nobody is authenticated", "address", p.where())
		}
	}
}

// warnOfEnd tells of certificates that end soon.
func (f *Front) warnOfEnd() {
	for _, p := range f.clients {
		certificate := p.certificate()
		if certificate != nil && time.Until(certificate.NotAfter) < renewal {
			f.log.Warn("a certificate ends soon; renew it", "address", p.where(), "file", p.files.GetCertFile(), "end", certificate.NotAfter.UTC())
		}
	}
}

// Address is where clients are served.
type Address struct {
	// Address is host:port, or unix: and a path, as it is in truth: a port 0 has become one.
	Address string
	// TLS is "off", "on", or "mutual" when clients need a certificate too.
	TLS string
}

// Addresses returns where clients are served: server.listen, and then server.listeners in their order.
func (f *Front) Addresses() []Address {
	var addresses []Address
	for _, p := range f.clients {
		addresses = append(addresses, Address{p.where(), p.security()})
	}
	return addresses
}

// AdminAddress returns where operators are served.
func (f *Front) AdminAddress() string { return f.admin.where() }

// Serve serves routes to clients, and a handler to operators, beside which it puts Go's profiles when the configuration says so. It returns nil after [Front.Close],
// and an error as soon as a listener fails; then the others go on until Close.
func (f *Front) Serve(routes []rpc.Route, admin http.Handler) error {
	if f.pprof {
		admin = withProfiles(admin)
	}
	data := NewServer(routes, f.options)
	operating := listen.New(listen.Config{HTTP: f.operators.handler(admin), Log: f.log})
	f.mu.Lock()
	closed := f.closed
	if !closed {
		f.data, f.operating = data, operating
	}
	f.mu.Unlock()
	if closed {
		return nil
	}
	places := f.places()
	results := make(chan error, len(places))
	for _, p := range places {
		server := data
		if p == f.admin {
			server = operating
		}
		go func() {
			err := server.ServeTLS(p.listener, p.secured.Load)
			if errors.Is(err, listen.ErrClosed) {
				err = nil
			} else {
				err = fmt.Errorf("serving on %s %s: %w", p.path, p.where(), err)
			}
			results <- err
		}()
	}
	for range places {
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

// Shutdown takes no more connections of clients and lets their calls finish until the context ends; then it cuts them off and returns an error. Operators are served
// until [Front.Close], so that they see that the gateway is not ready any more.
func (f *Front) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	data := f.data
	f.closed = true
	f.mu.Unlock()
	if data == nil {
		return f.Close()
	}
	return data.Shutdown(ctx)
}

// Close closes every listener and every connection at once.
func (f *Front) Close() error {
	f.mu.Lock()
	data, operating := f.data, f.operating
	f.closed = true
	f.mu.Unlock()
	if data != nil {
		return errors.Join(data.Close(), operating.Close())
	}
	var errs []error
	for _, p := range f.places() {
		if p.listener != nil {
			if err := p.listener.Close(); !errors.Is(err, net.ErrClosed) { // it may be the second time
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (f *Front) listenStats() listen.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.data == nil {
		return listen.Stats{}
	}
	return f.data.Stats()
}

func (f *Front) http2Stats() h2.Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.data == nil {
		return h2.Stats{}
	}
	return f.data.HTTP2().Stats()
}

// refusedNames returns how many requests were refused for their host and for their origin.
func (f *Front) refusedNames() (hosts, origins int64) {
	data, operators := f.options.allowed, f.operators
	return data.refusedHosts.Load() + operators.refusedHosts.Load(), data.refusedOrigins.Load() + operators.refusedOrigins.Load()
}
