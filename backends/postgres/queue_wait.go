package postgres

import (
	"container/list"
	"sync"
	"time"
)

// waitingRoom is where the calls of one namespace wait for messages, by queue. The zero value is empty.
type waitingRoom struct {
	mu    sync.Mutex
	lines map[string]*waitingLine
}

// waitingLine are the calls that wait for a message of one queue.
type waitingLine struct {
	asleep list.List // of *waiter
	timer  *time.Timer
	at     time.Time // when the timer wakes one
}

// waiter is a call that waits, or is about to.
type waiter struct {
	room  *waitingRoom
	queue string
	woken chan struct{}
	place *list.Element // nil once it was woken
}

// join lets a call wait. It is woken from now on, so that it misses nothing that comes after it has looked.
func (r *waitingRoom) join(queue string) *waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := r.lines[queue]
	if line == nil {
		line = &waitingLine{}
		if r.lines == nil {
			r.lines = make(map[string]*waitingLine)
		}
		r.lines[queue] = line
	}
	w := &waiter{room: r, queue: queue, woken: make(chan struct{})}
	w.place = line.asleep.PushBack(w)
	return w
}

// leave ends the wait and wakes the next one: there may be more messages, and somebody must look after the time.
func (w *waiter) leave() {
	r := w.room
	r.mu.Lock()
	defer r.mu.Unlock()
	line := r.lines[w.queue]
	if line == nil {
		return
	}
	if w.place != nil {
		line.asleep.Remove(w.place)
		w.place = nil
	}
	line.wakeFirst()
	r.tidy(w.queue, line)
}

// wake wakes as many calls as messages have come.
func (r *waitingRoom) wake(queue string, count int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line := r.lines[queue]; line != nil {
		for range count {
			line.wakeFirst()
		}
		r.tidy(queue, line)
	}
}

// wakeWithin wakes a call of a queue after a time at the latest.
func (r *waitingRoom) wakeWithin(queue string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line := r.lines[queue]; line != nil {
		r.arm(queue, line, d)
	}
}

// wakeAllWithin wakes a call of every queue after a time at the latest: a message that is due in one may come to another.
func (r *waitingRoom) wakeAllWithin(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for queue, line := range r.lines {
		r.arm(queue, line, d)
	}
}

func (r *waitingRoom) arm(queue string, line *waitingLine, d time.Duration) {
	at := time.Now().Add(d)
	if line.timer == nil {
		line.timer = time.AfterFunc(d, func() { r.tick(queue, line) })
	} else if line.at.IsZero() || at.Before(line.at) {
		line.timer.Reset(d)
	} else {
		return
	}
	line.at = at
}

func (r *waitingRoom) tick(queue string, line *waitingLine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line.at = time.Time{}
	line.wakeFirst()
	r.tidy(queue, line)
}

// tidy forgets a line in which nobody waits.
func (r *waitingRoom) tidy(queue string, line *waitingLine) {
	if line.asleep.Len() > 0 || r.lines[queue] != line {
		return
	}
	if line.timer != nil {
		line.timer.Stop()
	}
	delete(r.lines, queue)
	if len(r.lines) == 0 {
		r.lines = nil // maps never shrink
	}
}

func (l *waitingLine) wakeFirst() {
	if first := l.asleep.Front(); first != nil {
		w := l.asleep.Remove(first).(*waiter)
		w.place = nil
		close(w.woken)
	}
}
