package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/fault"
)

// Version is the version of the protocol that this build speaks.
const Version = 1

const (
	// maxHandle bounds an instance's handle.
	maxHandle = 512
	// defaultStart is how long Open tries, unless it is told.
	defaultStart = 10 * time.Second
	// attachAgain and attachAgainMost bound the pause before the gateway reaches for a provider again; it doubles. A link that has lived for the longest one begins anew, without a pause.
	attachAgain, attachAgainMost = 50 * time.Millisecond, 2 * time.Second
	// attachTimeout bounds one attempt, unless Open was told that the provider needs more.
	attachTimeout = 10 * time.Second
	// tickInterval is how often the shared stream is looked at.
	tickInterval = 250 * time.Millisecond
	// defaultSilence is how long a provider may be silent, asked by pings, unless Open is told.
	defaultSilence = time.Second
	// healthInterval is how often HealthCheck is called, and healthTimeout how long it may take.
	healthInterval, healthTimeout = time.Second, 2 * time.Second
	// leaveTime is how long the calls of a link that takes no new ones may go on.
	leaveTime = 60 * time.Second
)

// Options say which instance is opened, and where.
type Options struct {
	// Target is where the provider listens.
	Target Target
	// Instance is the backend instance's name in the configuration.
	Instance string
	// Backend is what the instance is of.
	Backend catalog.Backend
	// Catalog says which interfaces the gateway knows.
	Catalog *catalog.Catalog
	// Config is the backend's configuration.
	Config proto.Message
	// Gateway is the gateway's name and version, for logs.
	Gateway string
	// Env is where the instance's log and status go.
	Env backend.Env
	// StartTimeout is how long Open tries to reach a provider that is not there yet. 0 means 10 s.
	StartTimeout time.Duration
	// Silence is how long a provider may send nothing, though it was asked, before it is taken for dead. 0 means 1 s.
	Silence time.Duration
}

// Instance is a backend instance in another process. It implements [backend.Instance].
type Instance struct {
	options Options
	request *providerv1.InitializeRequest
	log     *slog.Logger
	status  *backend.Status
	// offers are the interfaces, by what the first attachment said.
	offers []string

	// link is what calls go by; nil while the provider does not answer.
	link atomic.Pointer[link]
	// ended tells that Shutdown has succeeded.
	ended atomic.Bool

	ctx  context.Context //nolint:containedctx // it ends with the instance
	stop context.CancelFunc
	// wanted ends with the instance, or with Shutdown: the provider is then not reached for again.
	wanted  context.Context //nolint:containedctx // as above
	unwant  context.CancelFunc
	running sync.WaitGroup
}

// Open initializes an instance at a provider and stays attached to it: when the connection breaks it connects and initializes again, until Close. The error says what
// is wrong and what would be right. What cannot be mended by waiting is returned at once.
func Open(ctx context.Context, o Options) (*Instance, error) {
	i, err := newInstance(ctx, o)
	if err != nil {
		return nil, err
	}
	l, err := i.first(ctx)
	if err != nil {
		i.stop()
		return nil, err
	}
	i.offers = l.offers
	i.warnOfMissing()
	i.attached(l)
	i.running.Go(func() { i.watch(l) })
	return i, nil
}

func newInstance(ctx context.Context, o Options) (*Instance, error) {
	if o.Env.Log == nil {
		o.Env.Log = slog.New(slog.DiscardHandler)
	}
	if o.Env.Status == nil {
		o.Env.Status = new(backend.Status)
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = defaultStart
	}
	if o.Silence <= 0 {
		o.Silence = defaultSilence
	}
	config, err := anypb.New(o.Config)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be sent to a provider: %w", err)
	}
	i := &Instance{options: o, log: o.Env.Log, status: o.Env.Status, request: &providerv1.InitializeRequest{
		ProtocolVersion: Version, InstanceName: o.Instance, Backend: o.Backend.Name, Config: config, Interfaces: make(map[string][]byte), Gateway: o.Gateway,
	}}
	for _, name := range o.Backend.Implements {
		if known, ok := o.Catalog.Interface(name); ok {
			i.request.Interfaces[name] = hashOf(known)
		}
	}
	i.ctx, i.stop = context.WithCancel(context.WithoutCancel(ctx))
	i.wanted, i.unwant = context.WithCancel(i.ctx)
	return i, nil
}

// first attaches for the first time: it waits for a provider that is still starting.
func (i *Instance) first(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, i.options.StartTimeout)
	defer cancel()
	for again := attachAgain; ; again = min(again*2, attachAgainMost) {
		l, err := attach(ctx, &i.options, i.request)
		if err == nil {
			return l, nil
		}
		code := fault.CodeOf(err)
		if code != fault.Unavailable && code != fault.DeadlineExceeded || !pause(ctx, again) {
			return nil, i.refused(err)
		}
	}
}

// refused says for people why an instance cannot be opened.
func (i *Instance) refused(err error) error {
	var known *fault.Error
	where := fmt.Sprintf("the provider at %s", i.options.Target.Address)
	switch {
	case errors.As(err, &known) && known.Code == fault.Unimplemented:
		return fmt.Errorf("%s does not speak prism.provider.v1; check the address: %w", where, err)
	case fault.CodeOf(err) == fault.Unavailable, fault.CodeOf(err) == fault.DeadlineExceeded:
		return fmt.Errorf("%s does not answer after %s; start it with \"prism provider %s --listen %s\", or check the address and TLS: %w",
			where, i.options.StartTimeout, i.options.Backend.Name, i.options.Target.Address, err)
	}
	return fmt.Errorf("%s refused the instance: %w", where, err)
}

func (i *Instance) warnOfMissing() {
	var missing []string
	for _, name := range i.options.Backend.Implements {
		if !slices.Contains(i.offers, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		i.log.Warn("the provider does not offer all interfaces of the backend", "missing", missing, "offers", i.offers)
	}
}

// watch keeps the instance attached.
func (i *Instance) watch(l *link) {
	var wait time.Duration
	for {
		began := time.Now()
		looked := make(chan struct{})
		go func() {
			i.look(l)
			close(looked)
		}()
		select {
		case <-l.gone:
		case <-i.ctx.Done():
		}
		i.link.CompareAndSwap(l, nil)
		if i.ctx.Err() != nil {
			l.close()
			<-looked
			return
		}
		<-looked
		if i.wanted.Err() != nil {
			l.drain(i.ctx, i.leaveTime(l))
			return
		}
		i.status.Openings.Add(1)
		i.status.Unavailable("its provider does not answer")
		i.log.Warn("the backend's provider does not answer; its calls are refused until it does", slog.Any("error", l.why))
		left := l
		i.running.Go(func() { left.drain(i.ctx, i.leaveTime(left)) })
		if time.Since(began) >= attachAgainMost {
			wait = 0
		}
		if l, wait = i.again(wait); l == nil {
			return
		}
		i.attached(l)
		if i.wanted.Err() != nil {
			l.lose(errEnded) // Shutdown has come meanwhile, and may have found no link
		}
		i.log.Info("the backend's provider answers again")
	}
}

// leaveTime is how long the calls of a link that is lost may go on: when the provider said that it goes, they are finished.
func (i *Instance) leaveTime(l *link) time.Duration {
	if l.shared != nil && l.shared.left() {
		return leaveTime
	}
	return 0
}

// again attaches anew after a pause, until the instance is not wanted any more. It returns the next pause too: a provider that takes a link and breaks it is not reached for all the time.
func (i *Instance) again(wait time.Duration) (*link, time.Duration) {
	for {
		if wait > 0 && !pause(i.wanted, wait) {
			return nil, 0
		}
		wait = min(max(2*wait, attachAgain), attachAgainMost)
		ctx, cancel := context.WithTimeout(i.wanted, max(attachTimeout, i.options.StartTimeout))
		l, err := attach(ctx, &i.options, i.request)
		cancel()
		if err == nil {
			return l, wait
		}
		if i.wanted.Err() != nil {
			return nil, 0
		}
		i.log.Debug("the backend's provider cannot be attached", slog.Any("error", err))
		if code := fault.CodeOf(err); code != fault.Unavailable && code != fault.DeadlineExceeded {
			i.status.Unavailable("its provider refuses it: " + clipped(fault.Public(err).Message, 300))
			i.log.Error("the backend's provider refuses the instance; the gateway goes on trying", slog.Any("error", err))
		}
	}
}

// attached lets calls go by a link.
func (i *Instance) attached(l *link) {
	i.status.Ready()
	i.link.Store(l)
	i.log.Info("attached to the backend's provider", "provider", clipped(l.provider, 200), "streams", l.shared != nil)
}

// Shutdown ends the instance at the provider, for every gateway that uses it; calls under way may go on for so long. Others may open it there again; this one takes no more calls, whatever
// comes of it. UNAVAILABLE says that the provider is not reached, and has the instance still if it lives. Close alone leaves the instance open there, for the gateway that comes next.
func (i *Instance) Shutdown(ctx context.Context, drain time.Duration) error {
	i.unwant()
	l := i.link.Load()
	switch {
	case i.ended.Load():
		return nil
	case l == nil:
		return unended(nil)
	}
	err := l.shutdown(ctx, &providerv1.ShutdownRequest{Instance: l.handle, Drain: durationpb.New(drain)})
	if err == nil {
		i.ended.Store(true)
	}
	return err
}

// Close leaves the provider, which keeps the instance: a gateway that comes later finds it again.
func (i *Instance) Close(context.Context) error {
	i.stop()
	i.running.Wait()
	return nil
}

// pause waits, for half as long to half as much again, so that gateways do not come all at once; it tells false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d)) //nolint:gosec // it is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
