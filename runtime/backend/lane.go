package backend

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/runtime/fault"
)

const (
	// defaultMaxBatch is where a larger batch gains little and its first call waits long.
	defaultMaxBatch = 256
	// defaultInFlight lets calls past a batch that is slow.
	defaultInFlight = 2
	// slow is when those who wait need not wait for the batch that is under way any longer, if another may be. Most batches are back sooner, and the next is the larger for it.
	slow = 2 * time.Millisecond
)

// Lane makes batches of concurrent calls. A call without company is made at once, by its caller and in its context; those that come while a batch is under way are gathered, and go
// together as soon as it returns, or as soon as it is slow or they fill a batch, if more batches may be under way. So nobody waits for company, and the more calls there are the fewer
// exchanges each of them costs.
//
// C is one call: what is asked, and room for the answer.
type Lane[C any] struct {
	run func(ctx context.Context, batch []*C) error
	// key is what two calls of one batch must not share; nil when they may share anything.
	key         func(*C) string
	env         Env
	sizes       *Batches
	ctx         context.Context //nolint:containedctx // batches are nobody's own
	max, flight int
	off         bool

	mu      sync.Mutex
	waiting []*seat[C]
	running int
	began   time.Time // the batch that began last
	watched bool      // a timer looks for a batch that is slow
	seats   sync.Pool
}

// seat is a call's place in a batch.
type seat[C any] struct {
	call *C
	err  error
	done chan struct{}
}

// NewLane returns a lane. Run makes the calls of a batch, at least one: it puts each call's outcome into the call, or returns an error that is the outcome of them all. Batches of
// several run in ctx, which is the instance's. Key says what ends a batch: the second call with the same key waits for the next one; empty ones never do. Nil lets calls share everything.
func NewLane[C any](ctx context.Context, env Env, name string, config *configv1.Coalescing, key func(*C) string, run func(ctx context.Context, batch []*C) error) *Lane[C] {
	env = env.filled()
	l := &Lane[C]{
		run: run, key: key, env: env, sizes: env.Status.Batches(name), ctx: ctx,
		max: int(config.GetMaxBatch()), flight: int(config.GetMaxInFlight()), off: config.GetOff(),
	}
	if l.max == 0 {
		l.max = defaultMaxBatch
	}
	if l.flight == 0 {
		l.flight = defaultInFlight
	}
	l.seats.New = func() any { return &seat[C]{done: make(chan struct{}, 1)} }
	return l
}

// Do makes a call, alone or in company. When it returns nil, run has put the outcome into the call. When the context ends first, its error is returned, the call may still take
// effect, and it must not be looked at any more.
func (l *Lane[C]) Do(ctx context.Context, call *C) error {
	if l.off {
		return l.alone(ctx, call)
	}
	l.mu.Lock()
	if l.running == 0 {
		l.running++
		l.began = time.Now()
		l.mu.Unlock()
		defer l.next()
		return l.alone(ctx, call)
	}
	s := l.seats.Get().(*seat[C])
	s.call = call
	l.waiting = append(l.waiting, s)
	if l.running < l.flight && (len(l.waiting) >= l.max || time.Since(l.began) > slow) {
		l.running++
		l.began = time.Now() // the goroutine may take a moment
		go l.drain()
	}
	l.watch(slow)
	l.mu.Unlock()
	select {
	case <-s.done:
		err := s.err
		s.call, s.err = nil, nil
		l.seats.Put(s)
		return err
	case <-ctx.Done():
		l.leave(s)
		return ctx.Err()
	}
}

// watch sees to it that those who wait are let past a batch that turns slow, also when nobody else comes. The lock is held.
func (l *Lane[C]) watch(after time.Duration) {
	if !l.watched && len(l.waiting) > 0 && l.running < l.flight {
		l.watched = true
		time.AfterFunc(after, l.look)
	}
}

// look lets those who wait past a batch that is slow.
func (l *Lane[C]) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched = false
	if since := time.Since(l.began); since < slow {
		l.watch(slow - since)
	} else if len(l.waiting) > 0 && l.running < l.flight {
		l.running++
		l.began = time.Now()
		go l.drain()
	}
}

// leave gives up a place in a batch that was not begun: nobody waits for the call any more, and a server that is slow must not have to make ever more of them.
func (l *Lane[C]) leave(s *seat[C]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := slices.Index(l.waiting, s); at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
	}
}

func (l *Lane[C]) alone(ctx context.Context, call *C) error {
	l.sizes.Observe(1)
	batch := [1]*C{call}
	return l.run(ctx, batch[:])
}

// next is called when a batch has returned: those who came meanwhile are its successors.
func (l *Lane[C]) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running--
		return
	}
	go l.drain()
}

// drain makes batches until nobody waits.
func (l *Lane[C]) drain() {
	var seats []*seat[C]
	var batch []*C
	keys := make(map[string]struct{})
	for {
		l.mu.Lock()
		if len(l.waiting) == 0 {
			l.running--
			l.mu.Unlock()
			return
		}
		n := l.take(keys)
		l.began = time.Now()
		seats = append(seats[:0], l.waiting[:n]...)
		rest := copy(l.waiting, l.waiting[n:])
		clear(l.waiting[rest:])
		l.waiting = l.waiting[:rest]
		l.watch(slow)
		l.mu.Unlock()

		batch = batch[:0]
		for _, s := range seats {
			batch = append(batch, s.call)
		}
		l.sizes.Observe(n)
		err := l.together(batch)
		for _, s := range seats {
			s.err = err
			s.done <- struct{}{}
		}
		clear(seats)
		clear(batch)
	}
}

// take tells how many of those who wait go into the next batch.
func (l *Lane[C]) take(keys map[string]struct{}) int {
	most := min(len(l.waiting), l.max)
	if l.key == nil {
		return most
	}
	clear(keys)
	for i, s := range l.waiting[:most] {
		key := l.key(s.call)
		if key == "" {
			continue
		}
		if _, taken := keys[key]; taken {
			return i
		}
		keys[key] = struct{}{}
	}
	return most
}

// together runs a batch of several. A panic is the outcome of its calls, and not the end of the process, which serves others.
func (l *Lane[C]) together(batch []*C) (err error) {
	defer func() {
		if r := recover(); r != nil {
			l.env.Log.Error("a batch panicked", "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "internal error; the gateway's log has the cause")
		}
	}()
	return l.run(l.ctx, batch)
}
