package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/fault"
)

// Target is where a provider listens.
type Target struct {
	// Address is host:port, or "unix:" and the path of a socket.
	Address string
	// TLS secures the connection; nil is in clear.
	TLS *tls.Config
}

// mostReceived bounds what a provider may send as one message, but for the answers of Execute. A frame is far smaller; one that is only somewhat too large gets an error of ours.
const mostReceived = 1 << 20

// dial makes a connection, which connects with its first call.
func (t Target) dial() (*grpc.ClientConn, error) {
	network, address, target := "tcp", t.Address, t.Address
	var options []grpc.DialOption
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address, target = "unix", path, "provider" // the library takes its target for a URL, which a path need not be
		options = append(options, grpc.WithAuthority("localhost"))
	}
	secure := insecure.NewCredentials()
	if t.TLS != nil {
		secure = credentials.NewTLS(t.TLS)
	}
	const window = 4 << 20 // credit and limits bound what is on its way; HTTP/2 must not
	return grpc.NewClient("passthrough:///"+target, append(options,
		grpc.WithTransportCredentials(secure),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(4*window),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(mostReceived), grpc.MaxCallSendMsgSize(math.MaxInt32)),
	)...)
}

// procedures of the protocol.
func procedure(name string) string { return "/prism.provider.v1.PatternProvider/" + name }

// link is an instance at a provider that was initialized, and the connection to it. When it is lost it does not come back: another one is made.
type link struct {
	conn     *grpc.ClientConn
	handle   string
	limits   *providerv1.Limits
	offers   []string
	provider string
	// shared carries unary calls; nil when the provider has no streams, and Execute carries them.
	shared *sharedStream
	// calls and streams count what is under way by Execute and on streams of their own, and shutdowns what ends the instance.
	calls, streams, shutdowns atomic.Int64
	// silence is after how many ticks without a sign of life the provider is taken for dead.
	silence int

	ctx  context.Context //nolint:containedctx // it ends with the link
	stop context.CancelFunc
	once sync.Once
	// gone is closed when the link is lost, for the reason why.
	gone chan struct{}
	why  error
}

// attach connects to a provider and initializes the instance.
func attach(ctx context.Context, o *Options, request *providerv1.InitializeRequest) (*link, error) {
	conn, err := o.Target.dial()
	if err != nil {
		return nil, fmt.Errorf("the provider's address %q: %w", o.Target.Address, err)
	}
	l := &link{conn: conn, gone: make(chan struct{}), silence: max(int(o.Silence/tickInterval), 1)}
	l.ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.initialize(ctx, request); err != nil {
		l.close()
		return nil, err
	}
	if err := l.open(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *link) initialize(ctx context.Context, request *providerv1.InitializeRequest) error {
	response := new(providerv1.InitializeResponse)
	if err := l.conn.Invoke(ctx, procedure("Initialize"), request, response); err != nil {
		return fromGRPC(err)
	}
	l.handle, l.limits, l.provider = response.GetInstance(), response.GetLimits(), response.GetProvider()
	return l.check(request, response)
}

// check holds the answer to the protocol.
func (l *link) check(request *providerv1.InitializeRequest, response *providerv1.InitializeResponse) error {
	who := fmt.Sprintf("the provider (%s)", orUnnamed(response.GetProvider()))
	switch version := response.GetProtocolVersion(); {
	case version != request.GetProtocolVersion():
		return fault.New(fault.FailedPrecondition, "%s speaks version %d of the provider protocol and this gateway (%s) speaks version %d; use a provider and a gateway of one version",
			who, version, request.GetGateway(), request.GetProtocolVersion())
	case l.handle == "" || len(l.handle) > maxHandle || strings.ContainsFunc(l.handle, func(r rune) bool { return r < ' ' || r > '~' }):
		return fault.New(fault.FailedPrecondition, "%s answered Initialize without a handle of 1 to %d bytes of ASCII; it is not a provider of this protocol, or is broken", who, maxHandle)
	}
	for name, hash := range response.GetInterfaces() {
		known, ok := request.GetInterfaces()[name]
		if !ok {
			return fault.New(fault.FailedPrecondition, "%s offers the interface %q, which it was not asked for; it may only offer what Initialize names", who, clipped(name, 100))
		}
		if !slices.Equal(known, hash) {
			return skew(name, "this gateway ("+request.GetGateway()+")", known, who, hash)
		}
		l.offers = append(l.offers, name)
	}
	slices.Sort(l.offers)
	if len(l.offers) == 0 {
		return fault.New(fault.FailedPrecondition, "%s offers no interface that this gateway knows for the backend %s; use a provider that has the backend", who, request.GetBackend())
	}
	return nil
}

// skew tells of an interface that two sides know differently.
func skew(name, one string, oneHash []byte, other string, otherHash []byte) error {
	return fault.New(fault.FailedPrecondition, "the interface %s is another one on each side: %s has the hash %x, and %s has %x; build both from the same schema",
		name, one, oneHash, other, clipHash(otherHash)).WithReason("INTERFACE_MISMATCH", "interface", name)
}

func clipHash(hash []byte) []byte { return hash[:min(len(hash), 32)] }

func orUnnamed(name string) string {
	if name == "" {
		return "which gives no name"
	}
	return clipped(name, 200)
}

var errMute = fault.New(fault.Unavailable, "the provider answered Initialize and does not answer on a stream")

// open opens the shared stream, if the provider has streams.
func (l *link) open(ctx context.Context) error {
	opened := context.AfterFunc(ctx, l.stop) // the stream outlives the context, and what opens it must not: a connection that was lost is made anew first
	stream, err := l.newStream(l.ctx)
	if !opened() {
		return errMute
	}
	if err != nil {
		return fromGRPC(err)
	}
	lost := make(chan error, 1)
	lose := func(why error) {
		select {
		case lost <- why:
		default: // it is lost already
		}
	}
	s := newSharedStream(stream, l.handle, int(l.limits.GetMaxCalls()), lose)
	select {
	case <-s.greeted:
	case why := <-lost:
		lose(why) // for who waits below
		select {
		case <-s.greeted: // it went away at once
		default:
			switch status.Code(why) {
			case codes.Unimplemented:
				return nil // a simple provider: the link has no stream
			case codes.FailedPrecondition:
				return unavailable(fromGRPC(why)) // somebody has ended the instance meanwhile: Initialize opens it again
			default:
				return fromGRPC(why)
			}
		}
	case <-ctx.Done():
		return errMute
	}
	l.shared = s
	go func() { l.lose(<-lost) }() // the stream ends with the link at the latest
	return nil
}

func (l *link) newStream(ctx context.Context) (grpc.ClientStream, error) {
	return l.conn.NewStream(ctx, &grpc.StreamDesc{StreamName: "ExecuteStream", ServerStreams: true, ClientStreams: true}, procedure("ExecuteStream"))
}

// lose says that the link takes no more calls. Those under way go on, if they can.
func (l *link) lose(why error) {
	l.once.Do(func() {
		l.why = why
		close(l.gone)
	})
}

// failed is what a call gets for an error of the protocol's own RPCs, of which it says nothing itself.
func (l *link) failed(err error) error {
	if errors.Is(err, context.Canceled) && l.ctx.Err() != nil {
		return unavailable(err)
	}
	err = fromGRPC(err)
	switch fault.CodeOf(err) {
	case fault.Unavailable, fault.Canceled, fault.Unknown:
		return unavailable(err)
	case fault.FailedPrecondition:
		l.lose(err) // the provider does not know the instance any more
		return unavailable(err)
	case fault.DeadlineExceeded, fault.ResourceExhausted:
		return err
	case fault.Unimplemented:
		return fault.Wrap(err, fault.Unimplemented, "", "the backend's provider does not carry calls of this kind")
	default:
		return fault.Wrap(err, fault.Internal, "provider", "the backend's provider does not keep to its protocol; the gateway's log has the cause")
	}
}

// health asks how the instance is.
func (l *link) health(ctx context.Context) (*providerv1.HealthCheckResponse, error) {
	response := new(providerv1.HealthCheckResponse)
	if err := l.conn.Invoke(ctx, procedure("HealthCheck"), &providerv1.HealthCheckRequest{Instance: l.handle}, response); err != nil {
		return nil, fromGRPC(err)
	}
	return response, nil
}

// shutdown ends the instance at the provider, and then the link.
func (l *link) shutdown(ctx context.Context, request *providerv1.ShutdownRequest) error {
	l.shutdowns.Add(1)
	defer l.shutdowns.Add(-1)
	defer l.lose(errEnded)
	select {
	case <-l.gone:
		return unended(l.why)
	default: // from here on drain waits for the answer
	}
	err := l.conn.Invoke(ctx, procedure("Shutdown"), request, new(providerv1.ShutdownResponse))
	switch {
	case err == nil:
		return nil
	case l.ctx.Err() != nil: // what the library says then is that the connection was closed, and not why
		return unended(l.why)
	}
	return fromGRPC(err)
}

// unended is why nobody knows whether an instance has ended.
func unended(why error) error {
	return fault.Wrap(why, fault.Unavailable, "", "the backend's provider does not answer; it keeps the instance if it is still there")
}

// mute counts a tick, and tells that the provider has sent nothing for too many of them, though it was asked.
func (l *link) mute() bool { return l.shared != nil && l.shared.tick() > l.silence }

// drain waits until the calls of a lost link have ended, for so long at most, or its instance is closed, or its provider is mute, and closes the link. A shutdown is waited for longer: the
// provider ends the stream before it answers.
func (l *link) drain(ctx context.Context, most time.Duration) {
	defer l.close()
	until := time.Now().Add(most)
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for l.shutdowns.Load() > 0 || !l.quiet() && time.Now().Before(until) {
		select {
		case <-ticker.C:
			if l.mute() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (l *link) quiet() bool {
	return l.streams.Load() == 0 && l.calls.Load() == 0 && (l.shared == nil || l.shared.idle())
}

// close cuts the link.
func (l *link) close() {
	l.lose(errClosed)
	l.stop()
	_ = l.conn.Close() // nothing is lost by it
}

var (
	errClosed = errors.New("the instance was closed")
	errEnded  = errors.New("the instance was shut down")
)
