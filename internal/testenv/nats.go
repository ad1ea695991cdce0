package testenv

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NATS is a NATS server with JetStream. Options are lines of its configuration: "authorization {token: secret}"; one that begins with "sync_interval:" is JetStream's own.
var NATS = &Kind{
	Name:     "nats",
	Programs: []string{"nats-server"},
	Install:  "run `make servers`, which builds it",
	Prepare: func(_ context.Context, s *Server) error {
		jetStream := []string{"store_dir: \"" + s.Folder + "\""}
		lines := []string{"listen: \"" + s.Address() + "\"", "server_name: prism-test"}
		if !slices.ContainsFunc(s.Options, func(option string) bool { return strings.HasPrefix(option, "max_payload:") }) {
			lines = append(lines, "max_payload: 8MB") // values of 1 MiB need more than what is set by default
		}
		for _, option := range s.Options {
			if strings.HasPrefix(option, "sync_interval:") {
				jetStream = append(jetStream, option)
			} else {
				lines = append(lines, option)
			}
		}
		lines = append(lines, "jetstream {\n"+strings.Join(jetStream, "\n")+"\n}")
		return os.WriteFile(filepath.Join(s.Folder, "nats.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	},
	Arguments: func(s *Server) []string { return []string{"-c", filepath.Join(s.Folder, "nats.conf")} },
	Ready: func(ctx context.Context, s *Server) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", s.Address())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "INFO ") {
			err = errors.New("it is no NATS server")
		}
		return err
	},
}
