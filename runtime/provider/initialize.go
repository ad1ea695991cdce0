package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	providerv1 "github.com/prismgate/prism/gen/go/prism/provider/v1"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/catalog"
	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

var instanceName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)

// Initialize opens an instance, or returns the one that is open.
func (s *Server) Initialize(ctx context.Context, request *providerv1.InitializeRequest) (*providerv1.InitializeResponse, error) {
	if request.GetProtocolVersion() != Version {
		return nil, fault.New(fault.FailedPrecondition,
			"the gateway (%s) speaks version %d of the provider protocol, and this provider (%s) speaks version %d only; use a gateway and a provider of one version",
			orUnnamed(request.GetGateway()), request.GetProtocolVersion(), orUnnamed(s.options.Version), Version).WithReason("PROTOCOL_MISMATCH")
	}
	if !instanceName.MatchString(request.GetInstanceName()) {
		return nil, fault.Invalid("instance_name", "must be 1 to 200 of A-Z a-z 0-9 . _ -")
	}
	known, code, err := s.backend(request.GetBackend())
	if err != nil {
		return nil, err
	}
	offers, err := s.offers(known, request)
	if err != nil {
		return nil, err
	}
	config, key, err := configOf(known, request)
	if err != nil {
		return nil, err
	}
	i, err := s.openOnce(ctx, key, known, code, config)
	if err != nil {
		return nil, err
	}
	s.log.Info("a gateway has attached", "instance", request.GetInstanceName(), "backend", known.Name, "gateway", clipped(request.GetGateway(), 200))
	return &providerv1.InitializeResponse{
		Instance: i.handle, ProtocolVersion: Version, Interfaces: offers, Provider: s.options.Version,
		Limits: &providerv1.Limits{MaxCalls: maxCalls, MaxStreams: maxStreams},
	}, nil
}

// backend returns what is known of a backend, and its code.
func (s *Server) backend(name string) (catalog.Backend, backend.Type, error) {
	known, ok := s.options.Catalog.Backend(name)
	at := slices.IndexFunc(s.options.Backends, func(t backend.Type) bool { return t.Name == name })
	if !ok || at < 0 {
		var names []string
		for _, t := range s.options.Backends {
			names = append(names, t.Name)
		}
		return known, backend.Type{}, fault.New(fault.NotFound, "this provider (%s) has no backend %q; it has %v", orUnnamed(s.options.Version), rpc.Clip(name), names)
	}
	return known, s.options.Backends[at], nil
}

// offers returns the interfaces of a backend that the gateway knows too. Those that the two know differently are an error.
func (s *Server) offers(known catalog.Backend, request *providerv1.InitializeRequest) (map[string][]byte, error) {
	offers := make(map[string][]byte)
	for _, name := range known.Implements {
		theirs, asked := request.GetInterfaces()[name]
		ours, ok := s.options.Catalog.Interface(name)
		if !asked || !ok {
			continue
		}
		if hash := hashOf(ours); !slices.Equal(theirs, hash) {
			return nil, skew(name, "the gateway ("+orUnnamed(request.GetGateway())+")", clipHash(theirs), "this provider ("+orUnnamed(s.options.Version)+")", hash)
		}
		offers[name] = theirs
	}
	return offers, nil
}

// configOf unpacks and checks a configuration.
func configOf(known catalog.Backend, request *providerv1.InitializeRequest) (proto.Message, instanceKey, error) {
	config := known.NewConfig()
	key := instanceKey{name: request.GetInstanceName(), backend: known.Name}
	if packed := request.GetConfig(); packed != nil {
		// What does not decode is not told: it may hold a secret.
		if packed.MessageName() != config.ProtoReflect().Descriptor().FullName() || packed.UnmarshalTo(config) != nil {
			return nil, key, fault.Invalid("config", "is a %s and must be a valid %s, the configuration of the backend %s",
				clipped(string(packed.MessageName()), 200), config.ProtoReflect().Descriptor().FullName(), known.Name)
		}
	}
	if known.Check != nil {
		if err := known.Check(config); err != nil {
			return nil, key, err
		}
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(config)
	if err != nil {
		return nil, key, fault.Wrap(err, fault.InvalidArgument, "", "config: does not encode")
	}
	key.config = sha256.Sum256(encoded)
	return config, key, nil
}

// openOnce returns the instance of a key, which is opened when there is none. Of several that ask at once, one opens it.
func (s *Server) openOnce(ctx context.Context, key instanceKey, known catalog.Backend, code backend.Type, config proto.Message) (*instance, error) {
	for {
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			return nil, errClosing()
		}
		if i := s.byKey[key]; i != nil && !i.draining.Load() {
			i.use()
			s.mu.Unlock()
			return i, nil
		}
		busy := s.opening[key]
		if busy == nil {
			busy = make(chan struct{})
			s.opening[key] = busy
			s.mu.Unlock()
			return s.openNow(ctx, key, known, code, config, busy)
		}
		s.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Server) openNow(ctx context.Context, key instanceKey, known catalog.Backend, code backend.Type, config proto.Message, busy chan struct{}) (*instance, error) {
	defer func() {
		s.mu.Lock()
		delete(s.opening, key)
		s.mu.Unlock()
		close(busy)
	}()
	i := &instance{
		server: s, key: key, handle: newHandle(known.Name), status: new(backend.Status), carriers: make(map[*carrier]struct{}),
		idle: make(chan struct{}, 1), hurried: make(chan struct{}), over: make(chan struct{}),
	}
	i.hurry = sync.OnceFunc(func() { close(i.hurried) })
	i.log = s.log.With("instance", key.name, "backend", known.Name)
	i.methods = make(map[string]*rpc.Method)
	for _, name := range known.Implements {
		if offered, ok := s.options.Catalog.Interface(name); ok {
			for _, r := range offered.RPCs {
				i.methods[r.Method.Procedure] = r.Method
			}
		}
	}
	i.cutting, i.cut = context.WithCancel(context.WithoutCancel(ctx))
	err := i.guard(func() (err error) {
		i.open, err = code.Open(ctx, backend.Env{Instance: key.name, Log: i.log, Status: i.status}, config)
		return err
	})
	if err != nil {
		i.cut()
		return nil, openError(err)
	}
	if !s.add(i) {
		i.cut()
		i.close(ctx)
		return nil, errClosing()
	}
	return i, nil
}

// add has an instance found; it is not when the provider stops.
func (s *Server) add(i *instance) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	i.use()
	s.instances[i.handle], s.byKey[i.key] = i, i
	s.lookForUnused()
	return true
}

func errClosing() error { return fault.New(fault.Unavailable, "the provider is stopping") }

// openError says why a backend cannot be opened. Backends explain it to operators, and it is an operator who reads it: in the gateway's log, or at its start. What they
// say holds no secret.
func openError(err error) error {
	if code := fault.CodeOf(err); code != fault.Internal {
		public := fault.Public(err)
		return &fault.Error{Code: code, Message: clipped(err.Error(), 2000), Cause: err, Details: public.Details}
	}
	return fault.Wrap(err, fault.FailedPrecondition, "", "%s", clipped(err.Error(), 2000))
}

// newHandle returns a handle that no other process issues.
func newHandle(name string) string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return name + "-" + hex.EncodeToString(random[:])
}

// hashOf returns an interface's hash as the protocol has it.
func hashOf(known catalog.Interface) []byte {
	hash, _ := hex.DecodeString(known.Hash) // the generator wrote it
	return hash
}
