package server

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/admin"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/front"
	"github.com/prismgate/prism/runtime/httprpc"
	"github.com/prismgate/prism/runtime/watch"
)

// serve begins to serve clients and operators.
func (s *Server) serve() {
	operators := front.NewAdminHandler(s.state, s.metrics, s.troubles, httprpc.NewMux(admin.Routes(s.tell)))
	s.background.Go(func() {
		if err := s.front.Serve(s.gateway.Routes(s.state), operators); err != nil {
			s.failed <- err
		}
	})
	s.state.Set(true)
	var listen []string
	var security []string
	for _, at := range s.front.Addresses() {
		listen, security = append(listen, at.Address), append(security, at.TLS)
	}
	s.log.LogAttrs(s.running, slog.LevelInfo, "prism is ready",
		slog.String("listen", strings.Join(listen, ",")),
		slog.String("admin", s.front.AdminAddress()),
		slog.String("namespaces", shortened(s.gateway.Namespaces())),
		slog.String("http2", http2(s.status.Load().config)),
		slog.String("tls", strings.Join(security, ",")))
}

// troubles yields the backends whose servers do not answer, a line for each.
func (s *Server) troubles(yield func(string) bool) {
	goOn := true
	s.gateway.EachBackend(func(instance, name string, status *backend.Status) {
		if unavailable, since := status.State(); goOn && unavailable != "" {
			goOn = yield(fmt.Sprintf("backend %s (%s) is unavailable since %s: %s", instance, name, since.UTC().Format(time.RFC3339), unavailable))
		}
	})
}

// http2 is whose HTTP/2 serves clients.
func http2(c *configv1.Config) string {
	if chosen := c.GetServer().GetHttp2(); chosen != "" {
		return chosen
	}
	return "own"
}

// shortened lists names on one line, the first of them when there are many.
func shortened(names []string) string {
	const most = 20
	if len(names) > most {
		names = append(names[:most:most], "...")
	}
	return strings.Join(names, ",")
}

// watchConfiguration reloads when the files of the configuration change.
func (s *Server) watchConfiguration() error {
	if len(s.o.Watch) == 0 {
		return nil
	}
	return watch.Files(s.running, s.o.Watch, func() { _ = s.Reload(s.running) }) // the log says why it failed
}

// watchCertificates takes the files of certificates over when they change.
func (s *Server) watchCertificates() error {
	files := s.front.CertificateFiles()
	if len(files) == 0 {
		return nil
	}
	return watch.Files(s.running, files, func() { _ = s.front.ReloadCertificates() }) // the log says how it ended
}
