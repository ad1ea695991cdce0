package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// leastVersion is the oldest server that will do: it has ZRANDMEMBER, and what scripts need.
const leastVersion = "6.2"

// check tells what is wrong with the server, or with the configuration for it, and what would be right.
func (s *Store) check(ctx context.Context) error {
	if s.config.GetCluster() && s.config.GetDatabase() != 0 {
		return fmt.Errorf("database: a Redis Cluster has only database 0, not %d", s.config.GetDatabase())
	}
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return s.checkCluster(ctx, cluster)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.checkNode(ctx, s.client)
}

// checkCluster looks at all masters of a cluster. Some may be gone, as when a gateway is started at such a time, but not all. Nor do all addresses have to answer that are asked for the layout; each has its
// own time for it, so that all together may take longer than one server may.
func (s *Store) checkCluster(ctx context.Context, cluster *redis.ClusterClient) error {
	var mu sync.Mutex
	var wrong, gone error
	answered := false
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		err := unanswered(node.Ping(ctx).Err())
		if err == nil {
			err = s.checkNode(ctx, node)
			mu.Lock()
			defer mu.Unlock()
			answered, wrong = true, cmp.Or(wrong, err)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		gone = err
		return nil
	})
	switch {
	case err != nil:
		return s.explain(err)
	case wrong == nil && !answered:
		return s.explain(gone)
	}
	return wrong
}

// checkNode looks at one server.
func (s *Store) checkNode(ctx context.Context, node redis.Cmdable) error {
	info, err := node.Info(ctx).Result()
	if err != nil {
		return s.explain(err)
	}
	if err := s.checkServer(parseInfo(info)); err != nil {
		return err
	}
	return s.checkRights(ctx, node)
}

// parseInfo returns the fields of what INFO has answered.
func parseInfo(info string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// checkServer looks at what the server tells of itself. What it does not tell is taken as right.
func (s *Store) checkServer(info map[string]string) error {
	if version := info["redis_version"]; version != "" && olderThan(version, leastVersion) {
		return fmt.Errorf("%s: the server is Redis %s; it must be %s or newer", s.where(), version, leastVersion)
	}
	switch clustered := info["cluster_enabled"]; {
	case clustered == "1" && !s.config.GetCluster():
		return fmt.Errorf("%s: the server is a node of a Redis Cluster; set cluster: true", s.where())
	case clustered == "0" && s.config.GetCluster():
		return fmt.Errorf("%s: the server is not a node of a Redis Cluster; leave cluster out", s.where())
	}
	if info["role"] == "slave" && !s.config.GetCluster() {
		return fmt.Errorf("%s: the server is a replica, which takes no writes; set address to its master %s", s.where(), net.JoinHostPort(info["master_host"], info["master_port"]))
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" && info["maxmemory"] != "0" {
		return fmt.Errorf("%s: the server drops keys when its memory is full, also such as were promised to stay; set its maxmemory-policy to noeviction, not %s", s.where(), policy)
	}
	return nil
}

// olderThan compares the first two numbers of versions.
func olderThan(version, least string) bool {
	for range 2 {
		var have, want string
		have, version, _ = strings.Cut(version, ".")
		want, least, _ = strings.Cut(least, ".")
		number, err := strconv.Atoi(have)
		if err != nil {
			return false
		}
		if wanted, _ := strconv.Atoi(want); number != wanted {
			return number < wanted
		}
	}
	return false
}

// where is the server's address as the configuration has it, or all addresses where it may be any of them.
func (s *Store) where() string {
	_, address := endpoint(s.config)
	if further := s.config.GetAddresses(); s.config.GetCluster() && len(further) > 0 {
		return "addresses " + strings.Join(append([]string{address}, further...), ", ")
	}
	return "address " + address
}

// explain says what an error of the first exchange means.
func (s *Store) explain(err error) error {
	var answered redis.Error
	if errors.As(err, &answered) {
		return s.explainAnswer(strings.TrimPrefix(err.Error(), "failed to initialize connection options: "))
	}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	secured := s.config.GetTls() != nil
	timedOut := os.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded)
	ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("%s: the server's certificate is not accepted: %w; tls.ca_file must have who signed it, and tls.server_name a name that is in it", s.where(), certificate.Err)
	case errors.As(err, &record):
		return fmt.Errorf("%s: the server does not answer as TLS does; if it has no TLS, leave tls out", s.where())
	case errors.As(err, &alert), secured && strings.Contains(err.Error(), "remote error: tls:"):
		return fmt.Errorf("%s: the server ends the TLS handshake: %w; if it wants a certificate, set tls.cert_file and tls.key_file", s.where(), err)
	case timedOut && secured:
		return fmt.Errorf("%s: the server did not answer within %s; if it has no TLS, leave tls out", s.where(), patience(s.config))
	case timedOut:
		return fmt.Errorf("%s: the server did not answer within %s; check address, and that it can be reached from here", s.where(), patience(s.config))
	case ended && secured:
		return fmt.Errorf("%s: the server has closed the connection; if it has no TLS, leave tls out; if it wants a certificate, set tls.cert_file and tls.key_file", s.where())
	case ended:
		return fmt.Errorf("%s: the server has closed the connection; if it speaks TLS, set tls", s.where())
	case strings.Contains(err.Error(), "cluster support disabled"):
		return fmt.Errorf("%s: the server is not a node of a Redis Cluster; leave cluster out", s.where())
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("%s: nothing answers there: %w; check address, and that the server runs and can be reached from here", s.where(), dial.Err)
	}
	return fmt.Errorf("%s: it does not answer as a Redis server does: %w; check address", s.where(), err)
}

// explainAnswer says what a server means that answers, but not with what it was asked for.
func (s *Store) explainAnswer(text string) error {
	user := s.config.GetUsername()
	if user == "" {
		user = "default"
	}
	switch {
	case strings.Contains(text, "WRONGPASS"):
		return fmt.Errorf("%s: the server does not know user %q with this password, or the user is off; check username and password", s.where(), user)
	case strings.Contains(text, "NOAUTH"):
		return fmt.Errorf("%s: the server wants a password; set password, and username if the user is not the default one", s.where())
	case strings.Contains(text, "without any password configured"):
		return fmt.Errorf("%s: the server's default user has no password; leave password out, or set username", s.where())
	case strings.Contains(text, "DB index") || strings.Contains(text, "invalid DB"):
		return fmt.Errorf("%s: the server has no database %d; set database to one that it has: its setting databases is their number, and 0 is the first", s.where(), s.config.GetDatabase())
	case strings.Contains(text, "cluster support disabled"):
		return fmt.Errorf("%s: the server is not a node of a Redis Cluster; leave cluster out", s.where())
	case strings.Contains(text, "NOPERM"):
		return s.explainRights(text)
	case strings.Contains(text, "LOADING"):
		return fmt.Errorf("%s: the server still reads its data; try again when it has", s.where())
	}
	return fmt.Errorf("%s: the server answers: %s", s.where(), text)
}
