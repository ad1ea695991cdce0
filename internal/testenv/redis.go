package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Redis is a Redis server that keeps nothing on disk, and waits for subscribers however slow a busy machine makes them. Options are further arguments: "--appendonly", "yes", "--appendfsync", "always".
var Redis = &Kind{
	Name:     "redis",
	Programs: []string{"redis-server"},
	Install:  "run `make servers`, or install redis-server (Debian: apt-get install redis-server)",
	Arguments: func(s *Server) []string {
		return append([]string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(s.Port), "--dir", s.Folder, "--save", "", "--loglevel", "warning",
			"--client-output-buffer-limit", "pubsub", "0", "0", "0",
		}, s.Options...)
	},
	Ready: func(ctx context.Context, s *Server) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", s.Address())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprint(conn, "PING\r\n"); err != nil {
			return err
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "-LOADING") {
			return errors.New("it reads its data")
		}
		return nil // also when it wants a password
	},
}
