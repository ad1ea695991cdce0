package memstore

import (
	"container/heap"
	"container/list"
	"sync"
	"time"
)

const (
	// idleTime is how long an empty queue is kept for the next message at most, so that one that is filled and emptied in turn is not made anew each time.
	idleTime = time.Second
	// advanceBite is how many messages whose time has come are looked after under one lock: some 50 µs. What is left is next.
	advanceBite = 256
)

// line is one queue. Its methods need the lock, which lock and unlock take and give back. Who holds the lock of one line takes that of another only as
// lockBoth does.
type line struct {
	queue  *queue
	name   string
	number uint64 // the order in which the locks of two lines are taken

	mu   sync.Mutex
	gone bool // not in the namespace any more
	// now and at are the time at which the lock was taken, on the wall clock and on the store's.
	now time.Time
	at  int64

	places    uint64 // how many places were given away
	ready     ready
	agenda    itemHeap // the messages that are not visible, by the time at which they will be
	scheduled lookup[string, *item]
	leases    lookup[string, *item] // by receipt
	keys      keys
	letters   letters

	deadLetters deadLetters
	moves       []move // what is to be done when the lock is given back

	waiting int       // how many calls wait, asleep or just woken
	asleep  list.List // of chan struct{}: those that no message woke yet

	timer *time.Timer
	due   int64 // when the timer fires, or never
}

func newLine(q *queue, name string) *line {
	return &line{
		queue:  q,
		name:   name,
		number: q.numbers.Add(1),
		ready:  newReady(),
		agenda: itemHeap{before: func(a, b *item) bool {
			if a.due != b.due {
				return a.due < b.due
			}
			return a.place < b.place
		}},
		due: never,
	}
}

// lock takes the lock and lets happen what is due. It does not when the line is not in the namespace any more, and tells so.
func (l *line) lock() bool {
	l.mu.Lock()
	if l.gone || l.queue.closed.Load() {
		l.mu.Unlock()
		return false
	}
	l.now = time.Now()
	l.at = l.queue.clock.at(l.now)
	l.advance()
	return true
}

// unlock gives the lock back and moves what is to be moved.
func (l *line) unlock() {
	if moves := l.release(); moves != nil {
		l.queue.deliver(moves)
	}
}

// release gives the lock back and returns what is to be moved.
func (l *line) release() []move {
	l.arm()
	moves := l.moves
	l.moves = nil
	l.mu.Unlock()
	return moves
}

// arrive gives a message the last place and shows it.
func (l *line) arrive(i *item) {
	i.place = l.nextPlace()
	i.state = visible
	l.letters.add(i)
	l.ready.join(i)
	l.wake()
}

// comeBack shows a message at its old place.
func (l *line) comeBack(i *item) {
	i.state = visible
	l.ready.rejoin(i)
	l.wake()
}

// hide takes a visible message out of sight until its time comes.
func (l *line) hide(i *item, as state, lasting time.Duration) {
	i.state = as
	i.due = l.at + int64(lasting)
	heap.Push(&l.agenda, i)
}

// drop removes a message that is in neither ready nor agenda any more.
func (l *line) drop(i *item) {
	l.letters.remove(i)
	l.queue.quota.reserve(-i.counted())
}

func (l *line) nextPlace() uint64 {
	l.places++
	return l.places
}

// advance lets happen what is due, a bite at a time so that nobody waits long. It tells whether that was all.
func (l *line) advance() bool {
	if l.keys.next() <= l.at {
		l.queue.quota.reserve(-l.keys.expire(l.at, advanceBite))
	}
	for range advanceBite {
		next := l.agenda.first()
		if next == nil || next.due > l.at {
			return true
		}
		heap.Pop(&l.agenda)
		switch next.state {
		case scheduled:
			l.scheduled.remove(next.id)
			l.arrive(next)
		case leased:
			l.endLease(next, 0)
		default:
			l.comeBack(next)
		}
	}
	return false
}

// wake wakes one call for a message that became visible.
func (l *line) wake() {
	if first := l.asleep.Front(); first != nil {
		close(l.asleep.Remove(first).(chan struct{}))
	}
}

// empty tells that there is nothing that the queue is needed for.
func (l *line) empty() bool {
	return l.ready.first() == nil && l.agenda.first() == nil && l.keys.empty() && l.waiting == 0 && l.deadLetters.queue == ""
}

// arm has the timer fire no later than the next thing is due, be it that the queue is freed. It may fire earlier, when that thing has gone meanwhile: then it is armed anew.
func (l *line) arm() {
	next := l.keys.next()
	if first := l.agenda.first(); first != nil {
		next = min(next, first.due)
	}
	if l.empty() {
		next = l.at + int64(idleTime)
	}
	if next >= l.due || l.gone {
		return
	}
	l.due = next
	wait := time.Duration(next - l.at)
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.tick)
	} else {
		l.timer.Reset(wait)
	}
}

// tick is what the timer runs.
func (l *line) tick() {
	if !l.lock() {
		return
	}
	l.due = never
	if l.empty() {
		l.gone = true
		l.queue.lines.Delete(l.name)
	}
	l.unlock()
}

// freed tells whether the line is not in the namespace any more.
func (l *line) freed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// close drops everything and wakes all calls that wait.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	if l.timer != nil {
		l.timer.Stop()
	}
	for l.asleep.Len() > 0 {
		l.wake()
	}
}
