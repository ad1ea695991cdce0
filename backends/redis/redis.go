// Package redis is the backend that keeps data in a Redis server, or in a Redis Cluster. docs/backends/redis.md says the same at more length, for operators.
//
// # Configuration
//
// A [backendsv1.Redis] message. All of it may be left out.
//
//	backends:
//	  - name: redis
//	    config:
//	      address: redis.internal:6379        # or unix:/path; empty means 127.0.0.1:6379
//	      addresses: [redis-2.internal:6379]  # further nodes of a cluster
//	      cluster: false
//	      username: prism                     # empty means the default user
//	      password: {env: REDIS_PASSWORD}
//	      database: 0
//	      tls: {ca_file: /etc/prism/ca.pem}   # absent means none
//	      prefix: prism                       # of all keys and channels
//	      timeout: 5s
//	      max_connections: 40                 # 0 means 10 for each processor
//	      coalescing: {max_batch: 256, max_in_flight: 2}
//	      topic_retention: 3600s
//
// # Semantics
//
// A value of KeyValue is a string of Redis, and its time to live is Redis's own: by the server's wall clock, in whole milliseconds, and never early. Get is one GET, or a place in one MGET with others
// that come at the same time. Beside the values a namespace has an index, a sorted set of its keys: who adds or removes a key changes both in one step. Setting a key that is there costs one look-up
// more than SET, a new one O(log n), and each key some 100 bytes and its own length twice. Scan, ScanKeys and Count go through the index in the order of the bytes, 500 to 2,000 keys in a step, and look at no other
// keys than those that match. Keys that have expired stay in the index until an enumeration meets them, or one of the sweeps that every 256th write with a time to live of a gateway begins: they
// are at most about as many as those that live.
//
// The calls of BasicInterface and TTLInterface share exchanges with the server: reads one pipeline, writes one MULTI. A value of more than 64 KiB goes alone, and so do the 64 Gets that follow
// one that has found such a value. CompareAndSwap, CompareAndDelete, BatchGet and the calls of transactions are one Lua script each.
//
// A transaction is a hash on the server that expires with it; its handle is good on every gateway. Reads are kept there too, and are compared by value at Commit: a key that was changed and changed
// back has not changed. A page token holds the last key, sealed under a key that the first gateway has made on the server, in a cluster one for each namespace.
//
// A live subscription is one to a channel of the server, which all subscribers of the gateway share; those by pattern share one for the whole namespace. What the server sends comes on one connection for each
// instance, in a cluster for each node. When it is lost, streams end with UNAVAILABLE. Their ids are bound to the gateway. Kept messages are in streams of the server, durable subscriptions in a hash and sorted
// sets each, and both are good on every gateway, as are their receipts, also when they are late or their stream has ended. Retention is done by the next call on the topic. A stream of a durable subscription
// tells that it has sent a message when it takes the next, and what a gateway dies with comes again after 10 s. A Missed of it never has a count.
//
// Each method of a queue is one Lua script, which first lets happen what is due, there and in the queues whose dead letters come there. A call that waits holds no connection: it is told when a message becomes visible, and
// asks when something is due, and once a second. What is taken for a call that ends at that moment is put back as it was; it is lost, or comes back when its lease ends, only if the gateway or its connection ends before.
//
// What is answered is in the server's memory. What a crash of the server leaves of it is for its configuration to say: appendfsync always loses nothing, everysec a second, and a fail-over to a
// replica what had not come there.
//
// # Limits
//
// A namespace is in one slot of a cluster, and so on one of its nodes; when that is gone, other namespaces are served on. While that slot moves to another node, what needs more than one key is UNAVAILABLE. It has at most 10,000 open transactions; each holds on the server what it has read and written, so that one that reads 100 values of
// 1 MiB takes 100 MiB until it ends. BatchSet, BatchDelete and Commit are one step, in which the server does nothing else. A server whose memory is full refuses to store, with
// RESOURCE_EXHAUSTED, and still reads and removes.
//
// # Server
//
// Redis 6.2 or newer, or what is compatible with it. Its maxmemory-policy must be noeviction when it has a maxmemory. It must be a master. The user needs ~PREFIX:* &PREFIX:* and the rights that
// [Open] names when one is missing.
package redis

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/prismgate/prism/runtime/backend"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

// defaultTimeout is how long the server may take to answer; timeout of the configuration.
const defaultTimeout = 5 * time.Second

// Store is an open instance.
type Store struct {
	client  redis.UniversalClient
	env     backend.Env
	config  *backendsv1.Redis
	prefix  string
	timeout time.Duration

	listener *listener

	ctx        context.Context //nolint:containedctx // it ends what outlives the call that began it: batches, sweeps
	stop       context.CancelFunc
	begin      sync.Mutex // orders what begins in the background with Close
	background sync.WaitGroup

	mu     sync.Mutex
	places map[string]*place // by namespace, in a cluster; else there is one, under ""
}

// Open connects to the server and checks that it will do: its version, the database, the user's rights. It changes nothing there.
func Open(ctx context.Context, env backend.Env, config *backendsv1.Redis) (*Store, error) {
	client, err := connect(config)
	if err != nil {
		return nil, err
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{client: client, env: env, config: config, prefix: config.GetPrefix(), timeout: timeout(config), places: make(map[string]*place)}
	if s.prefix == "" {
		s.prefix = "prism"
	}
	if err := s.check(ctx); err != nil {
		_ = client.Close()
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.listener = newListener(s)
	return s, nil
}

func timeout(config *backendsv1.Redis) time.Duration {
	if config.GetTimeout() == nil {
		return defaultTimeout
	}
	return config.GetTimeout().AsDuration()
}

// Namespace returns the interfaces of a namespace. On a single server the first one makes the key of all page tokens. In a cluster nothing is made for it here: its node may be gone, which must not keep the
// gateway from serving the others.
func (s *Store) Namespace(ctx context.Context, name string) (backendsv1.RedisInterfaces, error) {
	p := s.place(ctx, name)
	if !s.config.GetCluster() {
		if _, err := p.tokens(ctx); err != nil {
			return backendsv1.RedisInterfaces{}, err
		}
	}
	return backendsv1.NewRedisInterfaces(newKeyValue(p, name), newPubSub(p, name), newQueue(p, name)), nil
}

// later runs what outlives the call that began it; Close waits for it. It tells false when the instance is closed, and nothing runs any more.
func (s *Store) later(run func()) bool {
	s.begin.Lock()
	defer s.begin.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.background.Go(run)
	return true
}

// Close ends the instance.
func (s *Store) Close(context.Context) error {
	s.begin.Lock()
	s.stop()
	s.begin.Unlock()
	s.background.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.places {
		p.breaker.Close()
	}
	return s.client.Close()
}

// key is the name of something of a namespace on the server: "<prefix>:{<namespace>}:<kind>:<parts>". What is in braces is the hash tag: all of a namespace is in one slot of a cluster.
// Namespaces and parts are encoded, so that none can be taken for another, whatever is in them.
func (s *Store) key(namespace, kind string, parts ...string) string {
	var b strings.Builder
	b.WriteString(s.prefix)
	b.WriteString(":{")
	encode(&b, namespace)
	b.WriteString("}:")
	b.WriteString(kind)
	for _, part := range parts {
		b.WriteByte(':')
		encode(&b, part)
	}
	return b.String()
}

// encode writes letters, digits and "._-/" as they are, and every other byte as "%" and two digits. Nothing at all is "%", for a hash tag must not be empty.
func encode(b *strings.Builder, text string) {
	const hex = "0123456789ABCDEF"
	if text == "" {
		b.WriteByte('%')
	}
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}

// isNil tells whether the server answered that there is nothing.
func isNil(err error) bool { return errors.Is(err, redis.Nil) }
