// Package nats keeps data in NATS JetStream, and sends live messages through core NATS: KeyValue basic, cas, scan and ttl; PubSub basic, filtering, ordering, persistent and wildcards.
//
// # Configuration
//
//	backends:
//	  - name: nats
//	    config:
//	      urls: ["nats://127.0.0.1:4222"]
//	      username: prism
//	      password: {env: NATS_PASSWORD}  # or token, or credentials: the content of a .creds file
//	      tls: {ca_file: /etc/prism/ca.pem}
//	      prefix: prism                   # of all streams and subjects
//	      timeout: 5s
//	      replicas: 3                     # of each stream; 1 when not set
//	      topic_retention: 1h             # of PublishPersistent and PublishOrdered
//
// # Semantics
//
// An instance has two streams, whatever the number of its namespaces: <prefix>_kv holds keys, the last message of a subject being a key's value, and what gateways share;
// <prefix>_topics holds the kept messages of topics, which the server republishes to live subscribers once they are kept. Names that a subject can carry stand in it as they are,
// others as their SHA-256; keys, metadata and payloads travel in the message, byte for byte.
//
// A conditional write carries the sequence that its key had when it was read, and begins again when another was faster. A removed key leaves a mark for five minutes. Expiry goes by
// the server's clock: a time to live counts from when the server kept the value, and a gateway knows the server's time only from below, so that nothing expires early and all is gone at
// most a round trip late. The server's own time to live, in whole seconds, only collects what is expired. Expire and Persist write the value again.
//
// With one replica reads go straight to it; with several they go to the leader, because others may be behind. Scan and Count read all keys of the namespace, whatever the prefix. They go
// by the stream's order, in which a key that is written moves to the end, and last until they have caught up with the writers.
//
// A gateway subscribes to a topic or pattern once. When the connection is lost, or the client drops a message because the gateway is overwhelmed, all streams end with UNAVAILABLE. A
// durable subscription is a pull consumer of JetStream, with a record in <prefix>_kv that tells one from another of the same name. Streams fetch one message at a time. Receipts and
// ids of durable subscriptions are good on every gateway; ids of live subscriptions are bound to the gateway that issued them.
//
// Concurrent calls share one connection, which carries many of them in one write; publications that are kept nowhere share pings by which the server confirms them. There is nothing to
// coalesce beyond that.
//
// # Limits
//
// The delivery count counts what the gateway that sends the message has sent of it: what other gateways sent, or the same one before it was started, does not count. The server does not
// tell which messages of a subscription retention has removed. While streams are open, and between streams that are less than the retention apart, a Missed comes only when some are gone. After a longer absence
// a Missed comes when anything was removed from the stream of topics, also of another topic. A subscriber of ordered messages that is slower than the retention may be told of a Missed
// when only what it has been sent is gone.
//
// # Server
//
// NATS 2.11 or newer with JetStream; max_payload at least 1,114,112 bytes (set 8MB). A write is durable when the server has answered: it is in the operating system's hands then, and on
// the disk every sync_interval, two minutes by default. Set sync_interval: always where a power failure must lose nothing; no client can look whether it is set. The position of a
// durable subscription is written by the server a little later than it is acknowledged: when the server is killed, messages may come again.
//
// # Left out
//
// The queue interfaces: JetStream's explicit acknowledgement looks only at the sequence in the stream, so that a stale receipt would settle the message of its next holder, and AckWait is
// one for the consumer, so that there is no lease of a message's own. keyvalue_transactional: JetStream has no conditional write over several subjects that reads could be part of.
// keyvalue_batch is not written.
package nats

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	"github.com/prismgate/prism/runtime/backend"
)

const (
	defaultPrefix = "prism"
	// defaultTimeout is how long the server may take to answer when the configuration does not say.
	defaultTimeout = 5 * time.Second
	// defaultRetention is how long a topic keeps messages when the configuration does not say; the contract's least.
	defaultRetention = time.Hour
)

// Store is an open instance: one connection, and two streams on the server, whatever the number of its namespaces.
type Store struct {
	env       backend.Env
	prefix    string
	timeout   time.Duration
	retention time.Duration
	replicas  int
	gateway   string // which gateway it is, among all that share the server

	conn      *nats.Conn
	js        jetstream.JetStream
	link      *link
	appends   *appends
	breaker   *backend.Breaker
	publisher *backend.Lane[publication]
	clock     clock
	receiver  *receiver
	ctx       context.Context //nolint:containedctx // it ends what outlives the call that began it
	stop      context.CancelFunc

	provisioning sync.Mutex
	tokens       *backend.Tokens // nil until provision has succeeded
	keys, topics jetstream.Stream

	mu         sync.Mutex
	namespaces map[string]*pubSub
	durables   map[uint64]*durableStream
	unsettled  []delivery             // what could not be given back while the connection was lost
	settling   map[sent]chan struct{} // messages that are being acknowledged; each is closed when it has been

	lastDurable atomic.Uint64
	sends       sends
}

// Open connects to the server and looks whether it will do. It changes nothing there.
func Open(ctx context.Context, env backend.Env, config *backendsv1.Nats) (*Store, error) {
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		env: env, prefix: config.GetPrefix(), timeout: defaultTimeout, retention: defaultRetention, replicas: max(1, int(config.GetReplicas())),
		gateway: strconv.FormatUint(rand.Uint64(), 36), //nolint:gosec // a name, no secret
	}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	if config.GetTimeout() != nil {
		s.timeout = config.GetTimeout().AsDuration()
	}
	if config.GetTopicRetention() != nil {
		s.retention = config.GetTopicRetention().AsDuration()
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.link = newLink(s.ctx)
	if err := s.dial(ctx, config); err != nil {
		s.stop()
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		s.conn.Close()
		s.stop()
		return nil, err
	}
	s.breaker = backend.NewBreaker(s.ctx, env, s.probe)
	s.clock.ask = s.serverTime
	s.publisher = backend.NewLane(s.ctx, env, "publish", nil, nil, s.send)
	s.receiver = newReceiver(s.conn)
	return s, nil
}

// probe asks for a sign of life of the connection, the server and JetStream.
func (s *Store) probe(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	_, err := s.js.AccountInfo(ctx)
	return err
}

// serverTime asks the server for its time.
func (s *Store) serverTime(ctx context.Context) (time.Time, error) {
	var told time.Time
	err := s.do(ctx, "nats.time", true, func(ctx context.Context) error {
		info, err := s.keys.Info(ctx)
		if err == nil {
			told = info.TimeStamp
		}
		return err
	})
	return told, err
}

// Namespace returns the interfaces of a namespace, which is a part of the instance's subjects.
func (s *Store) Namespace(ctx context.Context, name string) (backendsv1.NatsInterfaces, error) {
	if err := s.provision(ctx); err != nil {
		return backendsv1.NatsInterfaces{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.namespaces == nil {
		s.namespaces = make(map[string]*pubSub)
	}
	if s.namespaces[name] == nil {
		s.namespaces[name] = newPubSub(s, name)
	}
	return backendsv1.NewNatsInterfaces(newKeyValue(s, name), s.namespaces[name]), nil
}

// each calls a function for every namespace.
func (s *Store) each(call func(*pubSub)) {
	s.mu.Lock()
	all := make([]*pubSub, 0, len(s.namespaces))
	for _, p := range s.namespaces {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		call(p)
	}
}

// lost is called when the connection was lost: calls under way fail, and streams end, because messages may be lost.
func (s *Store) lost() {
	s.link.down()
	s.each(func(p *pubSub) { p.hub.End(errLost()) })
}

// found is called when there is a connection again.
func (s *Store) found() {
	s.link.up()
	s.giveBackLate()
}

// complained is called when the server or the client has something to say that no call is told.
func (s *Store) complained(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		s.each(func(p *pubSub) { p.hub.End(errLost()) })
	}
	s.env.Log.Warn("the NATS connection complains", slog.Any("error", err))
}

// Close ends the instance.
func (s *Store) Close(context.Context) error {
	s.each(func(p *pubSub) { p.hub.Close(errLost()) })
	s.breaker.Close()
	s.conn.Close()
	s.receiver.close()
	s.stop()
	return nil
}
