package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// slot is the place of one connection. When one goes, another takes its place.
type slot struct {
	conn *conn
	// dialing tells that a connection is being made, or waited for.
	dialing bool
}

// arrival is a connection that was dialed for a slot.
type arrival struct {
	slot     *slot
	wire     *wire
	received []byte
	err      error
}

// worker is a thread with its connections. Only arrivals and progress are touched by others.
type worker struct {
	run      *run
	index    int
	poller   *poller
	slots    []*slot
	conns    map[int]*conn
	buffer   []byte
	tally    *tally
	schedule *schedule
	turn     int
	chooseP  func() int
	chooseK  func() int
	// now is the time of the run, read when something happened.
	now int64
	// pending counts the calls under way; repeats are those to be made on another connection.
	pending int
	repeats []call
	// exhausted tells that all calls were made, or that the time is over.
	exhausted bool
	// heardAt is when the server was last heard from, or when it began to owe an answer.
	heardAt int64
	// lastFailure is why the last dial failed, since one worked.
	lastFailure error
	// connect dials after a pause.
	connect func(pause time.Duration) (*wire, []byte, error)
	dials   sync.WaitGroup

	mu       sync.Mutex
	arrivals []arrival

	// answered and failed are for those who watch.
	answered, failed atomic.Int64
}

// bufferSize is how much is read at a time: the answers of a few hundred calls.
const bufferSize = 256 << 10

func newWorker(r *run, index, threads int) *worker {
	w := &worker{run: r, index: index, conns: make(map[int]*conn), buffer: make([]byte, bufferSize), tally: newTally()}
	random := rand.New(rand.NewPCG(r.plan.Seed, uint64(index)))
	w.chooseP = r.plan.Mix.chooser(random)
	w.chooseK = r.plan.Keys.chooser(random, func() int64 { return r.keys.Add(1) - 1 })
	if r.plan.Rate > 0 {
		w.schedule = newSchedule(r.plan.Rate, index, threads, r.start)
	}
	return w
}

// serve drives the worker's connections until the run is over. It must be called on a goroutine of its own.
func (w *worker) serve(ctx context.Context) error {
	runtime.LockOSThread() // and never unlocked: the thread ends with its timer slack
	poller, err := newPoller(runtime.GOMAXPROCS(0) > len(w.run.workers))
	if err != nil {
		return err
	}
	w.poller = poller
	stop := context.AfterFunc(ctx, poller.wake)
	dialing, cancel := context.WithCancel(ctx)
	w.connect = func(pause time.Duration) (*wire, []byte, error) {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
			return dial(dialing, w.run.target, w.run.plan)
		case <-dialing.Done():
			return nil, nil, context.Cause(dialing)
		}
	}
	defer func() {
		for _, c := range w.conns {
			c.close(nil)
		}
		cancel()
		w.dials.Wait() // until then they may wake the poller
		w.arrive(false)
		if stop() {
			poller.close()
		} // else it may be woken right now; the process keeps two descriptors
	}()
	w.now = w.run.clock()
	w.arrive(true)
	return w.loop(ctx)
}

func (w *worker) loop(ctx context.Context) error {
	tick := min(int64(w.run.plan.Timeout/4), int64(100*time.Millisecond))
	w.now = w.run.clock()
	w.heardAt = w.now
	next := w.now + tick
	for {
		if ctx.Err() != nil {
			w.endAll()
			return nil //nolint:nilerr // the run knows why its context has ended
		}
		if w.now >= next {
			next = w.now + tick
			if err := w.check(); err != nil {
				return err
			}
		}
		w.issue()
		if w.over() {
			return nil
		}
		wait, exact := next-w.now, false
		if w.schedule != nil && !w.exhausted && !w.schedule.starved {
			if due := w.schedule.due() - w.now; due < wait {
				wait, exact = due, true
			}
		}
		events, err := w.poller.wait(time.Duration(max(wait, 0)), exact)
		if err != nil {
			return err
		}
		w.now = w.run.clock()
		w.arrive(true)
		for _, e := range events {
			if c := w.conns[e.fd]; c != nil {
				w.handle(c, e)
			}
		}
	}
}

// handle does what can be done on a connection.
func (w *worker) handle(c *conn, e event) {
	if e.writable {
		if err := c.block(false); err != nil {
			c.lost(err)
			return
		}
		c.pump()
	}
	if e.readable {
		c.readable()
		w.now = w.run.clock()
	}
	if w.schedule == nil {
		w.topUp(c)
	}
	c.flush()
	w.retire(c)
}

// retire closes a connection that has nothing left to do.
func (w *worker) retire(c *conn) {
	if c.draining && !c.closed && c.active() == 0 {
		c.close(nil)
	}
}

// topUp makes as many calls as a connection has room for.
func (w *worker) topUp(c *conn) {
	var next call
	for !c.closed && !c.draining && c.room() > 0 && w.take(&next, w.now) {
		w.open(c, &next)
	}
}

// issue makes the calls that are due, of an open loop or because they are to be made again.
func (w *worker) issue() {
	if w.schedule == nil {
		for len(w.repeats) > 0 {
			c := w.free()
			if c == nil {
				return
			}
			w.topUp(c)
			c.flush()
		}
		return
	}
	var next call
	dirty := false
	w.schedule.starved = false
	for due := w.schedule.due(); len(w.repeats) > 0 || due <= w.now; due = w.schedule.due() {
		c := w.free()
		if c == nil {
			w.schedule.starved, w.schedule.blocked = true, w.now
			break
		}
		repeated := len(w.repeats) > 0
		if !w.take(&next, due) {
			break
		}
		if !repeated {
			w.schedule.made++
			if next.measured && due > w.schedule.blocked {
				record(w.tally.lateness, w.now-due)
			}
		}
		w.open(c, &next)
		dirty = true
	}
	if dirty {
		for _, s := range w.slots {
			if s.conn != nil {
				s.conn.flush()
			}
		}
	}
}

// free returns a connection that takes a call, each in its turn.
func (w *worker) free() *conn {
	for range w.slots {
		s := w.slots[w.turn%len(w.slots)]
		w.turn++
		if c := s.conn; c != nil && !c.draining && c.room() > 0 {
			return c
		}
	}
	return nil
}

// take chooses the next call; there may be none any more.
func (w *worker) take(next *call, due int64) bool {
	if len(w.repeats) > 0 {
		*next = w.repeats[0]
		w.repeats = w.repeats[1:]
		return true
	}
	r := w.run
	if w.exhausted || due >= r.end || w.now >= r.end {
		w.exhausted = true
		return false
	}
	measured := due >= r.measure
	if measured && r.plan.Calls > 0 && r.calls.Add(1) > r.plan.Calls {
		w.exhausted = true
		return false
	}
	*next = call{procedure: r.procedures[w.chooseP()], key: w.chooseK(), due: due, measured: measured}
	if r.sequenced {
		next.sequence = r.sequence.Add(1)
	}
	return true
}

func (w *worker) open(c *conn, next *call) {
	if w.pending == 0 {
		w.heardAt = w.now
	}
	w.pending++
	next.sent = w.now
	next.attempts++
	c.open(next)
}

// heard notes messages of a response.
func (w *worker) heard(measured bool, messages int64) {
	w.heardAt = w.now
	if messages == 0 {
		return
	}
	if measured {
		w.tally.messages += messages
	}
	if w.now >= w.run.measure && w.now < w.run.end {
		w.tally.received += messages
	}
}

// ended counts a call, with the size of its response.
func (w *worker) ended(c *call, code, message string, size int64) {
	w.pending--
	t := w.tally
	if code != failTimeout {
		w.heardAt = w.now
	}
	if code == "" {
		w.answered.Store(w.answered.Load() + 1)
	} else {
		w.failed.Store(w.failed.Load() + 1)
	}
	if w.now >= w.run.measure && w.now < w.run.end {
		t.finished++
		if code == "" {
			t.succeeded++
		}
	}
	if !c.measured {
		return
	}
	t.calls++
	t.last = w.now
	if code != "" {
		count(t.failures, code, message)
		if code != failTimeout {
			return // how fast a call failed would flatter the others; one that was waited for in vain took at least that long
		}
	} else {
		t.ok++
		t.bytes += size
	}
	recordCorrected(t.latency, w.now-c.due, int64(w.run.plan.ExpectedInterval))
	record(t.service, w.now-c.sent)
}

// maxAttempts is how often a call is made that the server has not looked at.
const maxAttempts = 5

// again has a call made on another connection.
func (w *worker) again(c *call) {
	w.pending--
	if c.attempts >= maxAttempts {
		w.pending++
		w.ended(c, "UNAVAILABLE", "the server said GOAWAY to each connection that the call was made on", 0)
		return
	}
	if c.measured {
		w.tally.repeated++
	}
	w.repeats = append(w.repeats, *c)
}

// cutOff counts a call that is given up because the run is over.
func (w *worker) cutOff(c *call) {
	w.pending--
	if c.measured {
		w.tally.unfinished++
	}
}

// check ends calls that take too long, streams when the time is over, and the run when the server hangs.
func (w *worker) check() error {
	timeout := int64(w.run.plan.Timeout)
	owed := w.pending > 0 || !w.exhausted && w.free() == nil
	if !owed {
		w.heardAt = w.now
	}
	if w.now-w.heardAt > timeout {
		for _, c := range w.conns {
			c.expire(w.now + 1)
			c.flush()
		}
		err := fmt.Errorf("the server has answered nothing for %s", w.run.plan.Timeout)
		if w.lastFailure != nil && len(w.conns) == 0 {
			err = w.lastFailure
		}
		return err
	}
	over := w.now >= w.run.end
	for _, c := range w.conns {
		c.expire(w.now - timeout)
		if over {
			c.cut(func(c *call) bool { return c.procedure.stream })
		}
		if w.schedule == nil {
			w.topUp(c)
		}
		c.flush()
		w.retire(c)
	}
	return nil
}

// over tells whether nothing is left to be done.
func (w *worker) over() bool {
	if !w.exhausted && w.now >= w.run.end {
		w.exhausted = true
	}
	return w.exhausted && w.pending == 0 && len(w.repeats) == 0
}

// endAll gives up what is under way.
func (w *worker) endAll() {
	for _, c := range w.conns {
		c.cut(func(*call) bool { return true })
		c.flush()
	}
}

// redialPause is how long the next connection waits after one that was of no use.
const redialPause = 100 * time.Millisecond

// replace has a connection dialed in the place of another.
func (w *worker) replace(c *conn) {
	if c.slot.conn != c {
		return
	}
	c.slot.conn = nil
	pause := time.Duration(0)
	if c.answers == 0 {
		pause = redialPause
	}
	w.redial(c.slot, pause)
}

func (w *worker) redial(s *slot, pause time.Duration) {
	if s.dialing || w.exhausted && w.pending == 0 && len(w.repeats) == 0 {
		return
	}
	s.dialing = true
	w.dials.Add(1)
	go func() {
		defer w.dials.Done()
		a := arrival{slot: s}
		a.wire, a.received, a.err = w.connect(pause)
		w.mu.Lock()
		w.arrivals = append(w.arrivals, a)
		w.mu.Unlock()
		w.poller.wake()
	}()
}

// arrive takes the connections that were dialed, or closes them.
func (w *worker) arrive(take bool) {
	w.mu.Lock()
	arrivals := w.arrivals
	w.arrivals = nil
	w.mu.Unlock()
	for _, a := range arrivals {
		a.slot.dialing = false
		switch {
		case a.err != nil && take:
			w.lastFailure = a.err
			w.tally.disconnected("DIAL", a.err.Error())
			w.redial(a.slot, redialPause)
		case a.err != nil:
		case !take:
			_ = a.wire.Close() // nobody wants it any more
		default:
			w.settle(a)
		}
	}
}

// settle puts a connection into its slot.
func (w *worker) settle(a arrival) {
	c := &conn{w: w, slot: a.slot, wire: a.wire}
	if w.run.plan.Protocol == ConnectHTTP1 {
		c.speaker = newHTTP1(c)
	} else {
		c.speaker = newHTTP2(c)
	}
	a.slot.conn = c
	w.lastFailure = nil
	w.conns[a.wire.fd] = c
	if err := errors.Join(w.poller.add(a.wire.fd), c.received(a.received)); err != nil {
		c.lost(err)
		return
	}
	// TLS may have read more than it gave.
	w.handle(c, event{fd: a.wire.fd, readable: true})
}

// forget takes a connection out of the poller, before its descriptor is closed.
func (w *worker) forget(c *conn) {
	w.poller.remove(c.wire.fd)
	delete(w.conns, c.wire.fd)
}
