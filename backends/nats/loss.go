package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// lookAgainMost is how long a stream trusts at most that nothing was lost.
	lookAgainMost = 10 * time.Minute
	// lookAgainLeast bounds how often it looks where the retention is short.
	lookAgainLeast = time.Second
	// lookAgainSoon bounds how often it looks while retention comes near to what is not acknowledged.
	lookAgainSoon = 100 * time.Millisecond
)

// lossWatch looks whether retention has removed messages of a durable subscription before they were acknowledged. The server does not tell. So it is noted up to which time everything was
// acknowledged; while that is less than the retention ago, nothing that was not can be gone.
type lossWatch struct {
	mu     sync.Mutex
	missed bool
	known  time.Time // up to which time nothing was missed
	due    time.Time // when to look again, by the gateway's clock
	d      *durable
}

// every tells how often to look.
func (w *lossWatch) every(retention time.Duration) time.Duration {
	return min(max(retention/4, lookAgainLeast), lookAgainMost)
}

// again looks if it is time to, and tells whether there is a Missed to be sent.
func (w *lossWatch) again(ctx context.Context, d *durable) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !time.Now().Before(w.due) {
		if err := w.find(ctx, d); err != nil {
			return false, err
		}
	}
	return w.missed, nil
}

// look looks what is not acknowledged.
func (w *lossWatch) look(ctx context.Context, d *durable) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.find(ctx, d)
}

func (w *lossWatch) find(ctx context.Context, d *durable) error {
	asked := time.Now()
	info, err := d.info(ctx)
	if err != nil || info == nil {
		return err
	}
	w.d = d
	known := time.UnixMilli(d.record.Known)
	if w.known.After(known) {
		known = w.known
	}
	w.missed = w.missed || d.record.Missed
	switch begin := info.TimeStamp.Add(-d.store.retention); {
	case known.Before(begin): // what came just behind it may be gone; the consumer takes that for settled
		first, err := d.store.firstKept(ctx)
		if err != nil {
			return err
		}
		w.missed = w.missed || first > d.record.Start
		if known, err = d.oldest(ctx, first, info.TimeStamp); err != nil {
			return err
		}
	case info.NumPending == 0 && info.NumAckPending == 0:
		known = info.TimeStamp
	case info.AckFloor.Stream > 0:
		at, err := d.store.timeOf(ctx, info.AckFloor.Stream)
		if err != nil {
			return err
		}
		if acknowledged := time.UnixMilli(at); acknowledged.After(known) {
			known = acknowledged
		}
	}
	w.known = known
	// A Missed comes before the next message, so it is looked when the first can be gone. It is looked before that too: what was acknowledged meanwhile is not missed.
	left := known.Add(d.store.retention).Sub(info.TimeStamp)
	w.due = asked.Add(min(w.every(d.store.retention), max(left/2, min(left, lookAgainSoon))))
	if !w.missed {
		w.note(ctx)
	}
	return nil
}

// oldest returns a time up to which the topic keeps no message: just before the first one from a sequence on, or now.
func (d *durable) oldest(ctx context.Context, from uint64, now time.Time) (time.Time, error) {
	err := d.store.do(ctx, "nats.pubsub", true, func(ctx context.Context) error {
		message, err := d.store.topics.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(d.kept(persistent, d.topic)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err == nil {
			now = message.Time.Add(-time.Millisecond)
		}
		return err
	})
	return now, err
}

// told notes that a Missed was sent.
func (w *lossWatch) told() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missed = false
	w.note(context.WithoutCancel(w.d.store.ctx))
}

// note writes the time up to which nothing was missed, when it has moved far enough that the next stream should know. Another gateway may have written meanwhile; then that stays.
func (w *lossWatch) note(ctx context.Context) {
	if !w.d.record.Missed && w.known.Sub(time.UnixMilli(w.d.record.Known)) < w.d.store.retention/8 {
		return
	}
	w.d.record.Known, w.d.record.Missed = w.known.UnixMilli(), false
	if err := w.d.save(ctx, false); isConflict(err) {
		now := durable{pubSub: w.d.pubSub, hash: w.d.hash}
		if there, err := now.load(ctx); err == nil && there && now.record.Generation == w.d.record.Generation {
			w.d.revision = now.revision
		}
	}
}

// info asks about the consumer; nil when there is none.
func (d *durable) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	var found *jetstream.ConsumerInfo
	err := d.store.do(ctx, "nats.pubsub.SubscribeDurable", true, func(ctx context.Context) error {
		consumer, err := d.store.topics.Consumer(ctx, d.consumer())
		if err == nil {
			found = consumer.CachedInfo()
		}
		return err
	})
	if isGone(err) {
		return nil, nil //nolint:nilnil // nil is none
	}
	return found, err
}
