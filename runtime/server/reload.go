package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/runtime/config"
	"github.com/prismgate/prism/runtime/plan"
)

// Reload reads the configuration again and serves it, all or nothing: when something is wrong, nothing has changed, and the error says why. Unary calls finish on
// what they began on; see [gateway.Gateway.Apply] for streams. Reloads run one after another. Certificates are no part of it: see [Server.ReloadCertificates].
func (s *Server) Reload(ctx context.Context) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.stopped {
		return errors.New("the gateway is stopping")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.running, cancel)()
	err := s.reload(ctx)
	if err != nil {
		s.keep(err)
		s.log.Error("the configuration was not reloaded, and nothing has changed", "error", err.Error())
	}
	return err
}

// ReloadCertificates reads the files of certificates and keys again, all or nothing; new connections get what they hold. The log says how it ended.
func (s *Server) ReloadCertificates() error { return s.front.ReloadCertificates() }

func (s *Server) reload(ctx context.Context) error {
	source, planned, err := load(s.o)
	if err != nil {
		return err
	}
	difference := plan.Compare(s.gateway.Plan(), planned)
	if err := restartProblems(difference); err != nil {
		return source.Locate(err)
	}
	observe, err := s.observer.Configure(source.Config.GetObservability(), source.Config.GetServer().GetExplain())
	if err != nil {
		return source.Locate(err)
	}
	if err := s.gateway.Apply(ctx, planned, durationOr(source.Config.GetServer().GetReloadGrace(), defaultReloadGrace)); err != nil {
		return source.Locate(err)
	}
	observe()
	s.use(source)
	s.log.LogAttrs(ctx, slog.LevelInfo, "the configuration was reloaded",
		changes("namespaces", difference.Namespaces), changes("backends", difference.Instances), slog.String("lost", shortened(difference.Lost)))
	return nil
}

// changes is how many of something changed.
func changes(what string, c plan.Changes) slog.Attr {
	return slog.Group(what, slog.Int("added", len(c.Added)), slog.Int("changed", len(c.Changed)), slog.Int("removed", len(c.Removed)), slog.Int("same", len(c.Same)))
}

// restartProblems refuses what differs and cannot change while the gateway runs. To serve the rest would be to serve a configuration that nobody wrote.
func restartProblems(d plan.Difference) error {
	var problems config.Problems
	for _, field := range d.Restart {
		problems = append(problems, config.Problem{Path: field, Message: "it cannot change while the gateway runs; restart the gateway, or put its former value back"})
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func durationOr(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.AsDuration()
}
