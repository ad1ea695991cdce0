package h2

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errReason = errors.New("the reason")

func TestErrAsksTheClock(t *testing.T) {
	c := new(streamContext)
	require.NoError(t, c.Err())
	_, ok := c.Deadline()
	require.False(t, ok)
	c.setDeadline(time.Now().Add(time.Hour))
	require.NoError(t, c.Err())
	require.Nil(t, c.timer, "nobody waits")
	c = new(streamContext)
	deadline := time.Now().Add(20 * time.Millisecond)
	c.setDeadline(deadline)
	got, ok := c.Deadline()
	require.True(t, ok)
	require.Equal(t, deadline, got)
	time.Sleep(time.Until(deadline))
	require.Equal(t, context.DeadlineExceeded, c.Err())
	require.Nil(t, c.timer)
	c.end(errReason)
	require.Equal(t, context.DeadlineExceeded, c.Err(), "the first reason counts")
	<-c.Done()
}

func TestDoneIsClosedAtTheDeadline(t *testing.T) {
	c := new(streamContext)
	c.setDeadline(time.Now().Add(10 * time.Millisecond))
	<-c.Done()
	require.Equal(t, context.DeadlineExceeded, c.Err())
}

func TestAnEndBeforeTheDeadlineStopsTheTimer(t *testing.T) {
	c := new(streamContext)
	c.setDeadline(time.Now().Add(time.Hour))
	done := c.Done()
	require.NotNil(t, c.timer)
	c.end(errReason)
	<-done
	require.Equal(t, errReason, c.Err())
	require.False(t, c.timer.Stop(), "it was stopped")
	require.Equal(t, done, c.Done())
}

func TestADeadlineInThePastOrFarAwayIsOne(t *testing.T) {
	past := new(streamContext)
	past.setDeadline(time.Now().Add(-time.Hour))
	require.Equal(t, context.DeadlineExceeded, past.Err())
	past = new(streamContext)
	past.setDeadline(time.Now().Add(-time.Hour))
	<-past.Done()
	far := new(streamContext)
	far.setDeadline(time.Now().Add(100 * 365 * 24 * time.Hour))
	far.Done()
	require.NoError(t, far.Err())
	far.end(errReason)
}

func TestAfterFuncRunsOnceAndCanBeStopped(t *testing.T) {
	c := new(streamContext)
	ran := make(chan string, 10)
	c.AfterFunc(func() { ran <- "kept" })
	stop := c.AfterFunc(func() { ran <- "stopped" })
	require.True(t, stop())
	require.False(t, stop())
	c.end(errReason)
	c.end(errReason)
	require.Equal(t, "kept", <-ran)
	late := c.AfterFunc(func() { ran <- "late" })
	require.Equal(t, "late", <-ran, "it has ended already")
	require.False(t, late())
	require.Empty(t, ran)

	c = new(streamContext)
	c.setDeadline(time.Now().Add(5 * time.Millisecond))
	stop = c.AfterFunc(func() { ran <- "deadline" })
	require.Equal(t, "deadline", <-ran)
	require.False(t, stop())
}

// wrapped is a context around a stream's, as transports make them.
type wrapped struct{ context.Context }

func (w wrapped) AfterFunc(f func()) func() bool { return context.AfterFunc(w.Context, f) }

// A driver makes a child context for each query. Were the stream's context a foreign one for package context, each would cost a goroutine.
func TestChildrenCostNoGoroutine(t *testing.T) {
	c := new(streamContext)
	c.setDeadline(time.Now().Add(time.Hour))
	before := runtime.NumGoroutine()
	var children []context.Context
	var cancels []context.CancelFunc
	for range 1000 {
		child, cancel := context.WithCancel(wrapped{c})
		grandchild, cancelToo := context.WithTimeout(child, time.Hour)
		children, cancels = append(children, child, grandchild), append(cancels, cancelToo, cancel)
	}
	require.Less(t, runtime.NumGoroutine(), before+50)
	require.Len(t, c.after, 1000)
	for _, cancel := range cancels[:1000] {
		cancel()
	}
	require.Len(t, c.after, 500, "a child that is cancelled is forgotten")
	c.end(errReason)
	for _, child := range children {
		<-child.Done()
	}
	require.Equal(t, errReason, children[1999].Err())
	require.Equal(t, errReason, context.Cause(children[1999]))
	require.Equal(t, context.Canceled, children[0].Err())
	for _, cancel := range cancels {
		cancel()
	}
}

func TestAContextIsEndedByManyAtOnce(t *testing.T) {
	for range 200 {
		c := new(streamContext)
		c.setDeadline(time.Now().Add(50 * time.Microsecond))
		var ran atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				stop := c.AfterFunc(func() { ran.Add(1) })
				switch i % 4 {
				case 0:
					c.end(errReason)
				case 1:
					<-c.Done()
				case 2:
					for c.Err() == nil {
						runtime.Gosched()
					}
				case 3:
					if stop() {
						ran.Add(1)
					}
				}
			})
		}
		all.Wait()
		require.Error(t, c.Err())
		require.Eventually(t, func() bool { return ran.Load() == 8 }, hang, 10*time.Microsecond)
	}
}
