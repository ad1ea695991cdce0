package fanout

import (
	"context"
	"sync/atomic"
	"time"
)

// Stream is one open stream of a hub.
type Stream struct {
	hub    *Hub
	number uint64
	id     string
	// wake holds a token when there may be something to do.
	wake chan struct{}
	// leave makes it inactive; nil for one that is not a live subscription's.
	leave func()
	over  atomic.Pointer[outcome]
}

// outcome is what a stream that was ended returns.
type outcome struct{ err error }

// ID is what its Subscribed carries.
func (s *Stream) ID() string { return s.id }

// Signal tells that there may be something to send. It waits for nobody.
func (s *Stream) Signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// End makes the stream inactive and tells it to return an error, or nil. It tells whether the stream was open; who opened it calls it at the end in any case.
func (s *Stream) End(err error) bool { return s.hub.end(s.number, err) }

// finish tells the stream to return. The first to say so says what.
func (s *Stream) finish(err error) {
	s.over.CompareAndSwap(nil, &outcome{err})
	s.Signal()
}

// Follow sends what next finds, until the stream is ended, its context ends, or next or send fails. When next finds nothing it is asked again after a Signal, or after the time
// that it says; 0 says no time.
func Follow[E any](ctx context.Context, s *Stream, next func(context.Context) (E, bool, time.Duration, error), send func(E) error) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if over := s.over.Load(); over != nil {
			return over.err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		found, ok, again, err := next(ctx)
		if err != nil {
			return s.failed(err)
		}
		if ok {
			if err := send(found); err != nil {
				return err
			}
			continue
		}
		var late <-chan time.Time
		if again > 0 {
			timer.Reset(again)
			late = timer.C
		}
		select {
		case <-s.wake:
		case <-late:
		case <-ctx.Done():
		}
	}
}

// failed is what a stream returns whose next message could not be had. That it was ended says more.
func (s *Stream) failed(err error) error {
	if over := s.over.Load(); over != nil {
		return over.err
	}
	return err
}
