package gateway

import "sync/atomic"

// hold counts who uses something that may be retired. Taking and releasing take no lock.
type hold struct {
	users   atomic.Int64
	retired atomic.Bool
	// idle is signalled when the last user has gone after it was retired.
	idle chan struct{}
}

func newHold() *hold { return &hold{idle: make(chan struct{}, 1)} }

// take counts one more user, unless it is retired.
func (h *hold) take() bool {
	h.users.Add(1)
	// In this order: retire sets retired and then looks at users, so that one of the two sees the other.
	if h.retired.Load() {
		h.release()
		return false
	}
	return true
}

// release counts one user less.
func (h *hold) release() {
	if h.users.Add(-1) == 0 && h.retired.Load() {
		select {
		case h.idle <- struct{}{}:
		default:
		}
	}
}

// retire lets no new user in.
func (h *hold) retire() { h.retired.Store(true) }

// wait returns true when a retired hold has no user any more, and false when the channel says first that it was enough. One at a time may wait.
func (h *hold) wait(enough <-chan struct{}) bool {
	for h.users.Load() != 0 {
		select {
		case <-h.idle:
		case <-enough:
			return h.users.Load() == 0
		}
	}
	return true
}
