package server

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/prismgate/prism/gen/go/prism/admin/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/config"
)

// status is what a server tells of itself. It is not changed: another one takes its place.
type status struct {
	config *configv1.Config
	files  []string
	since  time.Time
	// failure is why the last reload changed nothing; "" when it did not.
	failure string
	failed  time.Time
}

// tell answers the admin service.
func (s *Server) tell() *adminv1.GetConfigResponse {
	now := s.status.Load()
	answer := &adminv1.GetConfigResponse{
		Config: now.config,
		Files:  now.files,
		Since:  timestamppb.New(now.since),
		Build:  &adminv1.Build{Version: s.o.Build.Version, Revision: s.o.Build.Revision, GoVersion: s.o.Build.GoVersion},
	}
	if now.failure != "" {
		answer.ReloadProblem = &adminv1.ReloadProblem{Message: now.failure, Time: timestamppb.New(now.failed)}
	}
	return answer
}

// use notes that a configuration is in force.
func (s *Server) use(source *config.Source) {
	now := time.Now()
	s.status.Store(&status{config: source.Config, files: source.Files, since: now}) // and not where each field stands, which takes more than all the rest
	s.reloads.ok(now, len(s.gateway.Namespaces()))
}

// keep notes that a configuration was refused, and that the former one stays in force.
func (s *Server) keep(problem error) {
	now := *s.status.Load()
	now.failure, now.failed = problem.Error(), time.Now()
	s.status.Store(&now)
	s.reloads.failed()
}
