package multicastregistry

import (
	"sync"
	"time"
)

// window is the messages of a stream that wait for acknowledgement: their receipts, and when they come back.
type window struct {
	size int

	mu      sync.Mutex
	waiting map[string]time.Time
}

// full tells whether no more messages may be sent.
func (w *window) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) >= w.size
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
		delete(w.waiting, receipt)
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
