package multicastregistry

import (
	"sync"
	"time"
)

// window is the messages of a stream that wait for acknowledgement: their receipts, and when they come back. It begins with one, and grows by one with each that
// is acknowledged: what is sent counts as a delivery, and a connection that breaks again and again must not make dead letters of messages that had no chance.
type window struct {
	size int // at most

	mu      sync.Mutex
	earned  int // by acknowledgements
	waiting map[string]time.Time
}

// full tells whether no more messages may be sent.
func (w *window) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) >= min(w.size, 1+w.earned)
}

func (w *window) add(receipt string, back time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = make(map[string]time.Time)
	}
	w.waiting[receipt] = back
}

func (w *window) remove(receipts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, receipt := range receipts {
		if _, waits := w.waiting[receipt]; waits {
			delete(w.waiting, receipt)
			w.earned++
		}
	}
}

// next is when the first of the messages comes back.
func (w *window) next() (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first time.Time
	for _, back := range w.waiting {
		if first.IsZero() || back.Before(first) {
			first = back
		}
	}
	return first, !first.IsZero()
}

// expire forgets the messages that have come back by now.
func (w *window) expire(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for receipt, back := range w.waiting {
		if !back.After(now) {
			delete(w.waiting, receipt)
		}
	}
}

// close returns the receipts of all messages that wait.
func (w *window) close() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	receipts := make([]string, 0, len(w.waiting))
	for receipt := range w.waiting {
		receipts = append(receipts, receipt)
	}
	w.waiting = nil
	return receipts
}
