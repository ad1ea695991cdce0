package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ringAgain is the least time between two notifications about what happened here: each takes a lock of the whole server.
const ringAgain = 20 * time.Millisecond

// wakeKind is what a wake is about.
type wakeKind string

const (
	queueWake wakeKind = "queue"
	topicWake wakeKind = "topic"
)

// wake tells the other gateways that there may be something to do in a queue or a topic.
type wake struct {
	kind      wakeKind
	namespace int32
	name      string
}

// doorbell notifies the other gateways, outside of the transactions that they are told of, and of what happens within ringAgain once. Nothing depends on it but speed.
type doorbell struct {
	store *Store

	mu      sync.Mutex
	wakes   map[wake]struct{}
	ringing bool
}

// ring has the other gateways told.
func (d *doorbell) ring(w wake) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wakes == nil {
		d.wakes = make(map[wake]struct{})
	}
	d.wakes[w] = struct{}{}
	if !d.ringing && d.store.ctx.Err() == nil {
		d.ringing = true
		d.store.wait.Go(d.run)
	}
}

func (d *doorbell) run() {
	timer := time.NewTimer(ringAgain)
	defer timer.Stop()
	for {
		d.mu.Lock()
		wakes := d.wakes
		d.wakes = nil
		d.ringing = len(wakes) > 0
		d.mu.Unlock()
		if len(wakes) == 0 {
			return
		}
		texts := make([]string, 0, len(wakes))
		for w := range wakes {
			texts = append(texts, fmt.Sprintf("%s %s %d %s", d.store.listener.instance, w.kind, w.namespace, w.name))
		}
		// Who is not told looks by itself before long.
		_ = d.store.do(d.store.ctx, "postgres.wake", false, func(ctx context.Context) error {
			return d.store.notify(ctx, d.store.wakeChannel(), texts)
		})
		timer.Reset(ringAgain)
		select {
		case <-timer.C:
		case <-d.store.ctx.Done():
			return
		}
	}
}

// woken does what another gateway's wake asks for.
func (l *listener) woken(payload string) {
	var from, name string
	var kind wakeKind
	var namespace int32
	if n, _ := fmt.Sscanf(payload, "%s %s %d %s", &from, &kind, &namespace, &name); n != 4 || from == l.instance {
		return
	}
	at := l.space(namespace)
	switch {
	case at == nil:
	case kind == queueWake && at.queue != nil:
		at.queue.waiting.wake(name, 1)
	case kind == topicWake && at.pubSub != nil:
		at.pubSub.wakeTopic(name)
	}
}

// notify sends texts to a channel. It waits for no disk: what is notified is kept nowhere.
func (s *Store) notify(ctx context.Context, channel string, texts []string) error {
	statements := &pgx.Batch{}
	statements.Queue(withoutDiskSQL)
	statements.Queue(`select pg_notify($1, text) from unnest($2::text[]) with ordinality as t(text, n) order by n`, channel, texts)
	return s.pool.SendBatch(ctx, statements).Close()
}

// A channel is the database's, and several schemas may be in one.
func (s *Store) channel(name string) string {
	digest := sha256.Sum256([]byte(s.schema))
	return strings.Join([]string{"prism", hex.EncodeToString(digest[:8]), name}, "_")
}

func (s *Store) wakeChannel() string { return s.channel("wake") }
