package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

// defaultAddress is where a Redis server listens unless it was told otherwise.
const defaultAddress = "127.0.0.1:6379"

// connect returns a client. It connects when it is first used.
func connect(config *backendsv1.Redis) (redis.UniversalClient, error) {
	password, err := backend.Secret(config.GetPassword())
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	secured, err := backend.ClientTLS(config.GetTls())
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	redis.SetLogger(silent{}) // what it says on the standard error output is said again by the errors that calls have
	network, address := endpoint(config)
	bound := timeout(config)
	o := &redis.UniversalOptions{
		Addrs:    append([]string{address}, config.GetAddresses()...),
		Username: config.GetUsername(), Password: password, DB: int(config.GetDatabase()),
		IsClusterMode: config.GetCluster(),
		Protocol:      2, // nothing of the third is needed
		Dialer:        dialer(network, bound, secured),
		// The breaker repeats what may be repeated.
		MaxRetries: -1, DialerRetries: 1,
		DialTimeout: bound, ReadTimeout: bound, WriteTimeout: bound, PoolTimeout: bound, ContextTimeoutEnabled: true,
		PoolSize: int(config.GetMaxConnections()), MaxActiveConns: int(config.GetMaxConnections()),
		PipelinePoolSize: -1, // pipelines take connections of the pool
		DisableIdentity:  true,
	}
	if !config.GetCluster() {
		return redis.NewClient(o.Simple()), nil
	}
	cluster := o.Cluster()
	cluster.DisableRoutingPolicies = true // they split commands by slot, and all that is asked for together is in one
	client := redis.NewClusterClient(cluster)
	client.OnNewNode(func(node *redis.Client) { node.AddHook(impatient(patience(config))) })
	return client, nil
}

// patience is how long one node of a cluster may take to say where which slots are. The nodes are asked one after the other, in the order of chance, and those that are frozen must not take the time of
// the others.
func patience(config *backendsv1.Redis) time.Duration {
	if config.GetCluster() {
		return timeout(config) / time.Duration(min(4, 1+len(config.GetAddresses())))
	}
	return timeout(config)
}

// impatient has a node of a cluster not asked for longer where which slots are.
type impatient time.Duration

// ProcessHook bounds the one command.
func (i impatient) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if _, slots := command.(*redis.ClusterSlotsCmd); !slots {
			return next(ctx, command)
		}
		ctx, cancel := context.WithTimeout(ctx, time.Duration(i))
		defer cancel()
		return next(ctx, command)
	}
}

// DialHook leaves connecting as it is.
func (impatient) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook leaves pipelines as they are.
func (impatient) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// endpoint is the network and the address where the server listens.
func endpoint(config *backendsv1.Redis) (network, address string) {
	address = config.GetAddress()
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	if address == "" {
		address = defaultAddress
	}
	return "tcp", address
}

// dialer connects within a call's own time; the client's own heeds no context under TLS.
func dialer(network string, bound time.Duration, secured *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: bound}
	if secured == nil {
		return func(ctx context.Context, _, address string) (net.Conn, error) {
			return plain.DialContext(ctx, network, address)
		}
	}
	over := &tls.Dialer{NetDialer: plain, Config: secured}
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		return over.DialContext(ctx, network, address)
	}
}

// silent is a log for nothing.
type silent struct{}

// Printf drops a line.
func (silent) Printf(context.Context, string, ...any) {}
