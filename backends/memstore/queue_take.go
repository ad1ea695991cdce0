package memstore

import (
	"context"
	"time"
)

// take removes the first visible message from those that are visible and gives it to use, under the lock. When there is none it waits for one as long as it
// may, and then returns without.
//
// A call that waits is woken by a message that becomes visible, and takes what is first by then: another call may have come before it, and then it waits on.
// So nothing is taken for a call that has ended, and the order holds whoever is cancelled.
func (q *queue) take(ctx context.Context, op, name string, wait time.Duration, use func(l *line, first *item)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if wait <= 0 {
		l, err := q.find(op, name)
		if l != nil {
			l.takeFirst(use)
			l.unlock()
		}
		return err
	}
	l, err := q.findOrMake(op, name)
	if err != nil {
		return err
	}
	if l.takeFirst(use) {
		l.unlock()
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	l.waiting++
	for over := false; ; {
		woken := make(chan struct{})
		place := l.asleep.PushBack(woken)
		l.unlock()
		select {
		case <-woken:
		case <-ctx.Done():
		case <-timer.C:
			over = true
		}
		if !l.lock() {
			return errQueueClosed(op) // nothing else frees a queue that a call waits for
		}
		l.asleep.Remove(place) // unless it was woken
		if err = ctx.Err(); err != nil {
			l.pass()
			break
		}
		if l.takeFirst(use) || over {
			break
		}
	}
	l.waiting--
	l.unlock()
	return err
}

// takeFirst gives the first visible message to use. It tells whether there was one.
func (l *line) takeFirst(use func(l *line, first *item)) bool {
	first := l.ready.first()
	if first == nil {
		return false
	}
	l.ready.remove(first)
	use(l, first)
	return true
}

// pass wakes another call for a message that the caller may have been woken for and does not take.
func (l *line) pass() {
	if l.ready.first() != nil {
		l.wake()
	}
}
