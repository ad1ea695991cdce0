package h2

import (
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hang is how long a test waits for what must come.
const hang = 30 * time.Second

func TestAQueueKeepsItsOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var q streamQueue
	var want []*Stream
	for range 5000 {
		switch n := len(want); {
		case n < 10 && random.IntN(2) == 0:
			s := new(Stream)
			q.push(s)
			want = append(want, s)
		case n > 0:
			at := random.IntN(n)
			q.remove(want[at])
			require.False(t, want[at].queued)
			require.Nil(t, want[at].next)
			want = slices.Delete(want, at, at+1)
		}
		var got []*Stream
		for s := q.head; s != nil; s = s.next {
			require.True(t, s.queued)
			got = append(got, s)
		}
		require.True(t, slices.Equal(want, got))
		require.Equal(t, len(want) == 0, q.empty())
		if len(want) > 0 {
			require.Same(t, want[len(want)-1], q.tail)
		}
	}
	q.remove(new(Stream)) // of no queue
}

// idleStream is a stream whose handler runs, on a connection that is over.
func idleStream(serve func(*Stream)) *Stream {
	server := &Server{log: slog.New(slog.DiscardHandler)}
	c := &conn{server: server, streams: map[uint32]*Stream{}, dead: true, closing: true, memory: holding{server: &server.memory}}
	s := newStream(c, 1)
	s.handler, s.begun, s.running, s.gone = serve, true, true, true
	c.zombies = 1
	return s
}

func TestWorkersServeAllAndStrandNone(t *testing.T) {
	p := new(workers)
	var served atomic.Int64
	var blocked sync.WaitGroup
	release := make(chan struct{})
	for i := range 2000 {
		if i%10 == 0 {
			blocked.Add(1)
			p.run(idleStream(func(*Stream) { <-release; blocked.Done() }))
			continue
		}
		p.run(idleStream(func(*Stream) { served.Add(1) }))
		if i%100 == 0 {
			p.trim()
		}
	}
	require.Eventually(t, func() bool { return served.Load() == 1800 }, hang, time.Millisecond, "none waits behind those that block")
	close(release)
	blocked.Wait()
}

func TestWorkersThatAreNotNeededGo(t *testing.T) {
	before := runtime.NumGoroutine()
	p := new(workers)
	var all sync.WaitGroup
	gate := make(chan struct{})
	for range 500 {
		all.Add(1)
		p.run(idleStream(func(*Stream) { <-gate; all.Done() }))
	}
	close(gate)
	all.Wait()
	parked := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.parked)
	}
	require.Eventually(t, func() bool { return parked() == 500 }, hang, time.Millisecond)
	p.trim() // nothing was spare so far
	p.trim()
	require.Equal(t, 250, parked())
	(&workers{least: 100, closed: true}).trim() // the sweep may come after the end
	for range 20 {
		p.trim()
	}
	require.LessOrEqual(t, parked(), 1)
	p.close()
	p.close()
	p.trim() // the sweep may come after the end
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+5 }, hang, time.Millisecond)
	all.Add(1)
	p.run(idleStream(func(*Stream) { all.Done() })) // a stream that was on its way is served
	all.Wait()
	require.Eventually(t, func() bool { return parked() == 0 }, hang, time.Millisecond)
}

func TestAWorkerOutlivesAPanic(t *testing.T) {
	p := new(workers)
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		p.run(idleStream(func(*Stream) { defer all.Done(); panic("a defect") }))
	}
	all.Wait()
	p.close()
}

func TestBuffersAreOfTheirClass(t *testing.T) {
	for _, n := range []int{0, 1, 512, 513, 4096, 4097, 40 << 10, 40<<10 + 1, 1 << 20, 5 << 20, 10 << 20} {
		b := getBuffer(n)
		require.Empty(t, b.b)
		require.GreaterOrEqual(t, cap(b.b), n)
		b.b = append(b.b, make([]byte, n)...)
		grown := b.grown(1)
		require.GreaterOrEqual(t, cap(grown.b)-n, 1)
		require.Len(t, grown.b, n)
		grown.put()
	}
	var none *buffer
	none.put()
	require.Zero(t, none.size())
	require.NotNil(t, none.grown(3))
}
