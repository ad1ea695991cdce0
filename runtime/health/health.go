// Package health serves gRPC's health protocol (grpc.health.v1) from one flag: a process that is starting or draining is not serving.
package health

import (
	"context"
	"sync"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/prismgate/prism/runtime/fault"
	"github.com/prismgate/prism/runtime/rpc"
)

// Service is the full name of the health service.
const Service = "grpc.health.v1.Health"

var checkMethod = &rpc.Method{
	Procedure:   "/" + Service + "/Check",
	Service:     Service,
	Name:        "Check",
	Shape:       rpc.ShapeUnary,
	NewRequest:  func() proto.Message { return new(grpc_health_v1.HealthCheckRequest) },
	NewResponse: func() proto.Message { return new(grpc_health_v1.HealthCheckResponse) },
}

var watchMethod = &rpc.Method{
	Procedure:   "/" + Service + "/Watch",
	Service:     Service,
	Name:        "Watch",
	Shape:       rpc.ShapeServerStream,
	NewRequest:  func() proto.Message { return new(grpc_health_v1.HealthCheckRequest) },
	NewResponse: func() proto.Message { return new(grpc_health_v1.HealthCheckResponse) },
}

// State is whether a process serves. It begins as not serving. All methods may be called at once.
type State struct {
	services map[string]bool

	mu      sync.Mutex
	serving bool
	ended   bool
	changed chan struct{} // closed and replaced at each change
}

// NewState returns the state of a process that offers the named services. The empty name, the process as a whole, is always known.
func NewState(services ...string) *State {
	s := &State{services: map[string]bool{"": true, Service: true}, changed: make(chan struct{})}
	for _, name := range services {
		s.services[name] = true
	}
	return s
}

// Set says whether the process serves, and wakes the watchers.
func (s *State) Set(serving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == serving || s.ended {
		return
	}
	s.serving = serving
	close(s.changed)
	s.changed = make(chan struct{})
}

// End says that the process serves no more, for good, and ends the watchers once they were told, so that none keeps a server from shutting down.
func (s *State) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.serving, s.ended = false, true
	close(s.changed)
}

// Serving tells whether the process serves.
func (s *State) Serving() bool {
	serving, _, _ := s.get()
	return serving
}

// Handlers returns the handlers of grpc.health.v1.Health.
func (s *State) Handlers() []rpc.Handler {
	return []rpc.Handler{rpc.Unary(checkMethod, s.check), rpc.ServerStream(watchMethod, s.watch)}
}

func (s *State) get() (serving, ended bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving, s.ended, s.changed
}

func (s *State) check(_ context.Context, request *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !s.services[request.GetService()] {
		return nil, fault.New(fault.NotFound, "no service %q is served here", request.GetService())
	}
	return response(s.Serving()), nil
}

// watch sends the state now and at each change, until the caller leaves. An unknown service is an answer here, as the protocol has it.
func (s *State) watch(ctx context.Context, request *grpc_health_v1.HealthCheckRequest, send func(*grpc_health_v1.HealthCheckResponse) error) error {
	known := s.services[request.GetService()]
	if !known {
		if err := send(&grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN}); err != nil {
			return err
		}
	}
	for {
		serving, ended, changed := s.get()
		if known {
			if err := send(response(serving)); err != nil {
				return err
			}
		}
		if ended {
			return fault.New(fault.Unavailable, "the gateway is shutting down")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func response(serving bool) *grpc_health_v1.HealthCheckResponse {
	if serving {
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}
}
