package redis

import (
	"container/list"
	"context"
	"strconv"
	"sync"
	"time"
)

// lineLinger is how long a gateway goes on listening for a queue that no call waits for.
const lineLinger = 10 * time.Second

// lines are the queues of a namespace that calls wait for on this gateway. The zero value has none.
type lines struct {
	mu     sync.Mutex
	byName map[string]*line
}

// line is one queue that calls wait for.
type line struct {
	queue *queue
	name  string
	on    string // the channel that tells of messages
	users int    // guarded by lines.mu, as is idle
	idle  *time.Timer
	turn  chan struct{} // taken by who makes sure that the line listens

	mu      sync.Mutex
	waiting list.List // of chan struct{}: a token in it is for the call to ask again
}

// enter returns the line of a queue, which is there until leave.
func (l *lines) enter(q *queue, name string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.byName[name]
	if !ok {
		found = &line{queue: q, name: name, on: q.prefix + "w:" + name, turn: make(chan struct{}, 1)}
		if l.byName == nil {
			l.byName = make(map[string]*line)
		}
		l.byName[name] = found
	}
	if found.idle != nil {
		found.idle.Stop()
		found.idle = nil
	}
	found.users++
	return found
}

// leave lets go of a line. It listens for a while yet, because who has waited often waits again.
func (l *lines) leave(left *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left.users--; left.users > 0 {
		return
	}
	left.idle = time.AfterFunc(lineLinger, func() { l.drop(left) })
}

// drop removes a line that nobody has entered meanwhile.
func (l *lines) drop(dropped *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if dropped.users > 0 || l.byName[dropped.name] != dropped || dropped.idle == nil {
		return
	}
	delete(l.byName, dropped.name)
	if len(l.byName) == 0 {
		l.byName = nil // maps never shrink
	}
	dropped.queue.place.listener.leave(dropped.on, dropped)
}

// listen makes sure that the line hears of messages that become visible.
func (l *line) listen(ctx context.Context) error {
	s := l.queue.place
	if s.listener.hears(l.on, l) {
		return nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.listener.hears(l.on, l) {
		return nil
	}
	return s.do(ctx, "redis.queue.wait", true, func(ctx context.Context) error { return s.listener.listen(ctx, l.on, l, nil) })
}

// stand takes a place among those who wait.
func (l *line) stand() *list.Element {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.PushBack(make(chan struct{}, 1))
}

// first tells whether a place is the first one. Who has it asks for all others when something is due.
func (l *line) first(place *list.Element) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Front() == place
}

// step gives a place up, and has another call ask: there may be more messages than one, and this one may have been told of one that it has not taken.
func (l *line) step(place *list.Element) {
	l.mu.Lock()
	l.waiting.Remove(place)
	l.mu.Unlock()
	l.wake(1)
}

// wake lets so many calls ask again.
func (l *line) wake(count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for place := l.waiting.Front(); place != nil && count > 0; place = place.Next() {
		select {
		case place.Value.(chan struct{}) <- struct{}{}:
			count--
		default: // it is told already
		}
	}
}

// hear is told how many messages have become visible.
func (l *line) hear(_, payload string) {
	count, _ := strconv.Atoi(payload)
	l.wake(count)
}

// lost has one call listen anew.
func (l *line) lost(error) { l.wake(1) }
