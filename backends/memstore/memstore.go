// Package memstore is the embedded backend: it keeps everything in the gateway's memory. It is the default, needs no server, and is the reading copy of the
// contracts: where another backend differs from it, one of the two is wrong.
//
// # Configuration
//
// A [backendsv1.MemStore] message. All of it may be left out.
//
//	backends:
//	  - name: memstore
//	    config:
//	      max_bytes: 1073741824         # per namespace, of keys and values; 0 means no bound
//	      max_open_transactions: 10000  # per namespace; 0 means 10,000
//	      max_queue_bytes: 1073741824   # per namespace, of what is in queues; 0 means no bound
//	      topic_retention: 3600s        # how long a topic keeps messages; absent means one hour
//	      max_topic_bytes: 1073741824   # per topic, of kept messages, the oldest go first; 0 means no bound
//
// # Semantics
//
// What a namespace holds lives as long as the instance; Close and the end of the process drop it. Page tokens and transaction handles live no longer than
// that either, and are bound to the instance that issued them.
//
// Keys are spread over 256 shards, each with a lock of its own. Get, Exists, Set, Delete, the TTL calls and the CAS calls lock one shard; a batch locks each
// shard that it touches once; Commit locks every shard that its transaction touches. Nothing is sent, and no request waits for a client, under a lock.
//
// Scan, ScanKeys and Count look at every key of the namespace, whatever the prefix: their cost is in proportion to all keys, not to those that match. They
// lock one shard at a time, for as long as it takes to look at its keys. Each page of an enumeration looks again at the rest of the shard that it begins in,
// one 256th of the namespace, and sorts the keys that match there.
//
// An expired key is absent at once: every call asks the clock about a key that has a time to live. Its memory is given back by a sweep that runs when
// keys have expired, at most twice a second in each namespace, or by the first write that needs the room. Times are measured by the monotonic clock.
//
// Transactions are compared by value at Commit: a key that was changed and changed back has not changed. The values that a transaction writes count
// towards its 4 MiB; those that it reads do not.
//
// A topic has a lock of its own, and is freed when nobody listens to it and it keeps nothing. Publish reads the topic under a lock that publishers share, evaluates
// filters, and puts the message into the buffers of its subscriptions; each subscription's own stream sends from there. Patterns are in a tree of tokens: a
// message costs what its topic meets there, not what there is. All gateways that share an instance are one process, so that nothing is lost between them.
//
// The messages of PublishOrdered have one order in a topic, those of PublishPersistent another, whatever their keys; a resume id is the id of its message. A
// message's publish time is that of the wall clock, and its retention is measured by the monotonic one. It is removed when its retention has passed, at most half a
// second later, or earlier and the oldest first when the topic is over max_topic_bytes. A topic that was freed knows no more what it kept: an id from before
// resumes behind a Missed, whether or not there was something behind it.
//
// A durable subscription stays until it is forgotten. A receipt settles its message late too, and when its stream has ended. What was acknowledged does not come
// again, but for a Close. The acknowledgement timeout begins when the stream has taken the message. A Missed of it never has a count. Subscription ids, message ids,
// resume ids and receipts are good for the instance that issued them. Close ends streams with UNAVAILABLE.
//
// Each queue has a lock of its own; only Redrive takes those of two. Adding a message and taking the first is O(1), whatever is in the queue, and O(log n) when
// messages are leased or have come back. A message that becomes visible wakes one call that waits, and the call then takes what is first: nothing is taken for a
// call that has ended.
//
// A lease has ended and a scheduled message is visible at the nanosecond of its time, by the monotonic clock: every call on a queue first lets happen what is due,
// up to 256 messages, and a timer of the queue does so when no call comes. Leases that end at the same time may come to a dead letter queue in any order. An
// idempotency key counts for 6 minutes after the last call with it. The reason of a Release stays when the next one gives none. Redrive goes by the time at which
// messages came to the dead letter queue, whatever their priority. Message ids and receipts are random and good for the instance that issued them. A queue that
// holds nothing, no message, key or configuration, is freed after a second at most; Close ends calls that wait with UNAVAILABLE.
//
// # Limits
//
// A namespace that is empty takes about 4 KiB. A key takes some 75 bytes beside its own and its value's, 45 more when it has a time to live. max_bytes
// counts the bytes of keys and values only; it is exact, also under concurrent writes. A refused write is RESOURCE_EXHAUSTED and names max_bytes.
// The open transactions of a namespace hold at most 256 MiB of values together, outside of max_bytes until they commit.
//
// A subscription that is idle takes some 800 bytes beside its stream, a topic included, whatever its buffer size: a buffer grows with what waits in it, to 16 MiB of
// payload, which subscriptions to one topic share, and 16 bytes for each message. A kept message takes some 250 bytes beside its own, a durable subscription
// some 400 and 150 for each message that it has sent and that is not acknowledged. max_topic_bytes counts payloads, metadata, ordering keys and 256 bytes for each
// message, for PublishPersistent and for PublishOrdered apart. There is no bound on the number of topics, subscriptions and durable subscriptions.
//
// A queue takes some 700 bytes and a message some 260 beside its own, 450 more while messages are leased. max_queue_bytes counts payloads, metadata, reasons and
// idempotency keys, and 256 bytes for each message, key and configured queue; it is exact but for reasons, for whose sake nothing is refused. A refused call is
// RESOURCE_EXHAUSTED and names max_queue_bytes. A repeated call that its idempotency key identifies is never refused.
package memstore

import (
	"context"
	"crypto/rand"
	"hash/maphash"
	"sync"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
)

// defaultMaxOpenTransactions bounds what clients that never commit can hold on to: 10,000 transactions with nothing written are about 4 MB.
const defaultMaxOpenTransactions = 10_000

// Store is an open MemStore.
type Store struct {
	config *backendsv1.MemStore
	seed   maphash.Seed
	tokens *backend.Tokens
	clock  clock

	mu         sync.Mutex
	namespaces map[string]*space // nil after Close
}

// space is what one namespace holds, by data model.
type space struct {
	keyValue *keyValue
	pubSub   *pubSub
	queue    *queue
}

// Open opens an empty MemStore. It connects to nothing and does not fail.
func Open(_ context.Context, _ backend.Env, config *backendsv1.MemStore) (*Store, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return &Store{
		config:     config,
		seed:       maphash.MakeSeed(),
		tokens:     backend.NewTokens(key),
		clock:      startClock(),
		namespaces: make(map[string]*space),
	}, nil
}

// Namespace returns the interfaces of a namespace, which is made when it is asked for first. The same name gives the same data.
func (s *Store) Namespace(_ context.Context, name string) (backendsv1.MemStoreInterfaces, error) {
	found, err := s.space(name)
	if err != nil {
		return backendsv1.MemStoreInterfaces{}, err
	}
	return backendsv1.NewMemStoreInterfaces(found.keyValue, found.pubSub, found.queue), nil
}

func (s *Store) space(name string) (*space, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.namespaces == nil {
		return nil, fault.New(fault.Unavailable, "the memstore is closed").WithOp("memstore.Namespace")
	}
	found, ok := s.namespaces[name]
	if !ok {
		found = &space{newKeyValue(s, name), newPubSub(s, name), newQueue(s, name)}
		s.namespaces[name] = found
	}
	return found, nil
}

// Close drops all data and stops what runs in the background. Call it after the last call has returned.
func (s *Store) Close(context.Context) error {
	s.mu.Lock()
	namespaces := s.namespaces
	s.namespaces = nil
	s.mu.Unlock()
	for _, space := range namespaces {
		space.keyValue.close()
		space.pubSub.close()
		space.queue.close()
	}
	return nil
}
