package provider

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/gen/go/prism/provider/v1/providerrpc"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/grpcserver"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/listen"
	"github.com/prismgate/prism/runtime/rpc"
)

const (
	// maxCalls and maxStreams are what one gateway may have under way at an instance.
	maxCalls, maxStreams = 10_000, 50_000
	// mostUnread bounds the calls of a stream that are under way, refused or given up, and whose answers were not sent: a peer that asks and does not read is no peer.
	mostUnread = 4 * maxCalls
	// maxHeld bounds the bytes of the requests of one stream that are not served yet.
	maxHeld = 256 << 20
	// maxNamespaces bounds the namespaces of an instance: each is memory, and who calls names them.
	maxNamespaces = 100_000
	// defaultDrain is how long calls may go on when Shutdown does not say.
	defaultDrain = 30 * time.Second
	// cancelTime is how long a cancelled call may take to end before it is left to itself.
	cancelTime = time.Second
	// executeSlack is how much larger than a procedure's messages those of Execute may be.
	executeSlack = 64 << 10
)

// ServerOptions say what a provider is made of.
type ServerOptions struct {
	// Catalog says which interfaces and backends there are.
	Catalog *catalog.Catalog
	// Backends are the code of the backends.
	Backends []backend.Type
	// Log takes what operators should know; nil discards.
	Log *slog.Logger
	// Version is the provider's name and version, for logs.
	Version string
	// Exit is called when a gateway has ended the provider as a whole, by Shutdown without an instance; nil is not.
	Exit func()
}

// Server is a provider: it opens backends for gateways and serves their calls. Make one with [NewServer].
type Server struct {
	options ServerOptions
	log     *slog.Logger
	methods map[string]*rpc.Method
	workers *workers

	mu        sync.Mutex
	instances map[string]*instance
	byKey     map[instanceKey]*instance
	opening   map[instanceKey]chan struct{}
	closing   bool
	looking   *time.Timer // for instances that nobody uses; nil while it is not necessary
}

// instanceKey says which instances are the same.
type instanceKey struct {
	name, backend string
	config        [sha256.Size]byte
}

// NewServer returns a provider without instances. It is served by a listener that [Server.Listener] makes, or by any transport that is given its Handlers.
func NewServer(o ServerOptions) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		options: o, log: o.Log, methods: make(map[string]*rpc.Method), workers: newWorkers(),
		instances: make(map[string]*instance), byKey: make(map[instanceKey]*instance), opening: make(map[instanceKey]chan struct{}),
	}
	for _, known := range o.Catalog.Interfaces() {
		for _, r := range known.RPCs {
			s.methods[r.Method.Procedure] = r.Method
		}
	}
	return s
}

// Handlers returns a handler for each of the protocol's RPCs.
func (s *Server) Handlers() []rpc.Handler {
	handlers := rpc.Relayed(providerrpc.PatternProviderHandlers(s), s)
	largest := rpc.DefaultMaxMessageBytes
	for _, m := range s.methods {
		largest = max(largest, m.MessageLimit())
	}
	for i := range handlers {
		if handlers[i].Method.Name == "Execute" {
			wider := *handlers[i].Method
			wider.MaxMessageBytes = largest + executeSlack
			handlers[i].Method = &wider
		}
	}
	return handlers
}

// Listener returns what serves the protocol on any listener; secure is nil in clear. Its limits are those of a provider: few peers, who have many streams.
func (s *Server) Listener(secure *tls.Config) *listen.Server {
	var routes []rpc.Route
	for _, handler := range s.Handlers() {
		routes = append(routes, rpc.Route{Method: handler.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error { return handler.Serve(ctx, stream) }})
	}
	rest := httprpc.NewMux(routes)
	limits := h2.Limits{MaxStreams: maxStreams + maxCalls, MaxHeaderBytes: 64 << 10, FloodAllowance: 100_000, MinPingInterval: time.Millisecond}
	return listen.New(listen.Config{
		HTTP: rest, TLS: secure, Log: s.log,
		HTTP2: h2.NewServer(grpcserver.New(routes, rest, nil), h2.Options{Limits: limits, Log: s.log}),
	})
}

// Relay serves Execute and ExecuteStream without decoding what they carry, and the others as ever.
func (s *Server) Relay(ctx context.Context, m *rpc.Method, stream rpc.RawStream) error {
	switch m.Name {
	case "ExecuteStream":
		return s.serveStream(ctx, stream.ReceiveRaw, stream.SendRaw)
	case "Execute":
		request, err := stream.ReceiveRaw()
		if err != nil {
			return err
		}
		response, err := s.execute(ctx, request)
		if err != nil {
			return err
		}
		return stream.SendRaw(response)
	}
	return s.decoded(m).Serve(ctx, stream)
}

// decoded returns the handler that decodes.
func (s *Server) decoded(m *rpc.Method) rpc.Handler {
	handlers := providerrpc.PatternProviderHandlers(s)
	return handlers[slices.IndexFunc(handlers, func(h rpc.Handler) bool { return h.Method.Procedure == m.Procedure })]
}

// HealthCheck tells how an instance is.
func (s *Server) HealthCheck(_ context.Context, request *providerv1.HealthCheckRequest) (*providerv1.HealthCheckResponse, error) {
	if request.GetInstance() == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closing {
			return &providerv1.HealthCheckResponse{State: providerv1.HealthState_HEALTH_STATE_DRAINING, Reason: "the provider is stopping"}, nil
		}
		return &providerv1.HealthCheckResponse{State: providerv1.HealthState_HEALTH_STATE_READY}, nil
	}
	i, err := s.instance(request.GetInstance())
	if err != nil {
		return nil, err
	}
	return i.health(), nil
}

// instance returns an open instance by its handle.
func (s *Server) instance(handle string) (*instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.instances[handle]
	if i == nil {
		return nil, fault.New(fault.FailedPrecondition, "the provider has no instance %q; the gateway must call Initialize", rpc.Clip(handle)).WithReason("INSTANCE_UNKNOWN")
	}
	i.use()
	return i, nil
}

// Shutdown ends an instance, or all of them and then the process if a gateway has started it.
func (s *Server) Shutdown(ctx context.Context, request *providerv1.ShutdownRequest) (*providerv1.ShutdownResponse, error) {
	drain := defaultDrain
	if request.GetDrain() != nil {
		drain = max(request.GetDrain().AsDuration(), 0)
	}
	s.mu.Lock()
	var ending []*instance
	all := request.GetInstance() == ""
	if all && s.options.Exit != nil {
		s.closing = true
	}
	for handle, i := range s.instances {
		if all || handle == request.GetInstance() {
			ending = append(ending, i)
		}
	}
	s.mu.Unlock()
	cancelled := s.end(context.WithoutCancel(ctx), ending, drain) // calls of other gateways have their time though this one goes away
	if all && s.options.Exit != nil {
		s.options.Exit()
	}
	return &providerv1.ShutdownResponse{Cancelled: cancelled}, nil
}

// end ends instances, all at once. Calls under way may go on for the drain, or until the context ends.
func (s *Server) end(ctx context.Context, ending []*instance, drain time.Duration) uint64 {
	var cancelled atomic.Uint64
	var ended sync.WaitGroup
	for _, i := range ending {
		ended.Go(func() { cancelled.Add(i.end(ctx, drain)) })
	}
	ended.Wait()
	return cancelled.Load()
}

// forget takes an instance out, so that Initialize makes another one.
func (s *Server) forget(i *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.instances, i.handle)
	if s.byKey[i.key] == i {
		delete(s.byKey, i.key)
	}
}

// Close ends every instance: calls under way may go on until the context ends.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	if s.looking != nil {
		s.looking.Stop()
	}
	var ending []*instance
	for _, i := range s.instances {
		ending = append(ending, i)
	}
	s.mu.Unlock()
	s.end(ctx, ending, longest)
	s.workers.close()
	return nil
}

// Execute carries one unary call, whole.
func (s *Server) Execute(ctx context.Context, request *providerv1.ExecuteRequest) (*providerv1.ExecuteResponse, error) {
	return throughRaw(ctx, request, new(providerv1.ExecuteResponse), s.execute)
}

// ExecuteStream carries many calls.
func (s *Server) ExecuteStream(ctx context.Context, receive func() (*providerv1.ExecuteStreamRequest, error), send func(*providerv1.ExecuteStreamResponse) error) error {
	return s.serveStream(ctx, rawReceive(receive), rawSend(send))
}
