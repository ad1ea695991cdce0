package h2_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/internal/testpeer"
	"github.com/prismgate/prism/runtime/h2"
	"github.com/prismgate/prism/runtime/h2/frame"
)

// shutdown begins a drain and returns where its result comes.
func (f *fixture) shutdown(within time.Duration) <-chan error {
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		result <- f.server.Shutdown(ctx)
	}()
	return result
}

func TestADrainServesWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connectWith(testpeer.Options{NoAck: true, Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1000}}})
	p.Headers(1, frame.EndStream, fields("GET", "/stubborn")...)
	f.eventually(func() bool { return f.running.Load() == 1 }, "it runs")
	done := f.shutdown(patience)
	first := p.ExpectGoAway(frame.NoError)
	require.Equal(t, uint32(frame.MaxStreamID), first.LastStreamID())
	ping := p.Expect("the drain's PING", func(f testpeer.Frame) bool { return f.Type == frame.Ping && !f.Flags.Has(frame.Ack) })

	call(t, p, 3) // opened before the peer knew
	p.Headers(5, 0, post("/echo")...)
	p.Send(frame.AppendPing(nil, true, [8]byte(ping.Payload)))
	second := p.ExpectGoAway(frame.NoError)
	require.Equal(t, uint32(5), second.LastStreamID())

	p.Headers(7, frame.EndStream, fields("GET", "/quick")...) // too late: it is ignored, and what follows on it
	p.Headers(9, 0, post("/echo")...)
	p.Data(9, frame.EndStream, []byte("x"))
	p.Data(5, frame.EndStream, []byte("still"))
	answers(t, p, 5, "200", "still")
	select {
	case err := <-done:
		t.Fatal("it ended before the last call: ", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(f.release)
	answers(t, p, 1, "200", "late")
	_ = p.ExpectClosed()
	require.NoError(t, <-done)
	for _, got := range p.Frames() {
		require.NotContains(t, []uint32{7, 9}, got.StreamID, "%s", got)
	}
}

func TestADrainDoesNotWaitForAPeerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connectWith(testpeer.Options{NoAck: true, Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1000}}})
	silent := testpeer.Dial(t, f.address, testpeer.Options{NoAck: true})
	silent.ExpectType(frame.Settings, 0)
	require.NoError(t, <-f.shutdown(patience))
	p.ExpectGoAway(frame.NoError)
	p.ExpectGoAway(frame.NoError)
	silent.ExpectGoAway(frame.NoError)
	late := testpeer.Dial(t, f.address, testpeer.Options{})
	_ = late.ExpectClosed()
}

func TestADrainThatTakesTooLongSaysSo(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Headers(1, frame.EndStream, fields("GET", "/wait")...)
	f.eventually(func() bool { return f.running.Load() == 1 }, "it runs")
	require.ErrorIs(t, <-f.shutdown(100*time.Millisecond), context.DeadlineExceeded)
	require.NoError(t, f.server.Close())
	require.ErrorContains(t, <-f.ended, "canceled")
	_ = p.ExpectClosed()
}

// The last call may end at any moment of a drain; its end must not be missed.
func TestADrainEndsWhenTheLastCallsDo(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		f := start(t, h2.Limits{})
		for range 50 {
			p := f.connect()
			p.Headers(1, frame.EndStream, fields("GET", "/stubborn")...)
			go func() {
				for !p.IsClosed() {
					time.Sleep(time.Millisecond)
				}
				p.Close()
			}()
		}
		f.eventually(func() bool { return f.running.Load() == 50 }, "they run")
		done := f.shutdown(patience)
		time.Sleep(time.Duration(i) * time.Millisecond)
		close(f.release)
		require.NoError(t, <-done)
	}
}

func TestAFinalGOAWAYIsNotTakenBack(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Headers(1, 0, post("/stubborn")...)
	done := f.shutdown(patience)
	p.ExpectGoAway(frame.NoError)
	require.Equal(t, uint32(1), p.ExpectGoAway(frame.NoError).LastStreamID())
	p.Headers(5, frame.EndStream, fields("GET", "/quick")...)
	p.Frame(frame.Ping, 0, 1, make([]byte, 8))
	require.Equal(t, uint32(1), p.ExpectGoAway(frame.ProtocolError).LastStreamID(), "RFC 9113, section 6.8: it must not be higher")
	close(f.release)
	require.NoError(t, <-done)
}

func TestAPeerThatLeavesIsLetGo(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{})
	p := f.connect()
	p.Headers(1, 0, post("/echo")...)
	p.Send(frame.AppendGoAway(nil, 0, frame.NoError, ""))
	p.Data(1, frame.EndStream, []byte("last"))
	answers(t, p, 1, "200", "last")
	_ = p.ExpectClosed()
	f.eventually(func() bool { return f.server.Stats().Connections == 0 }, "it is forgotten")
}

func TestAConnectionWithoutStreamsEndsInTwoSteps(t *testing.T) {
	t.Parallel()
	// Three seconds are much more than a busy machine keeps a call from being made.
	f := start(t, h2.Limits{IdleTimeout: 3 * time.Second})
	p := f.connectWith(testpeer.Options{NoAck: true, Settings: []frame.Setting{{ID: frame.InitialWindowSize, Value: 1000}}}) // gone without a word
	busy := f.connect()
	busy.Headers(1, 0, post("/echo")...)
	used := f.connect()
	leaving := func(f testpeer.Frame) bool { return f.Type == frame.GoAway }
	for id := uint32(1); !slices.ContainsFunc(p.Frames(), leaving); id += 2 {
		call(t, used, id)
		require.False(t, p.IsClosed(), "it ended without a word")
		time.Sleep(10 * time.Millisecond)
	}
	p.ExpectGoAway(frame.NoError)
	require.Equal(t, int64(1), f.refused(h2.EndedIdle))
	require.False(t, used.IsClosed())
	p.ExpectGoAway(frame.NoError)
	_ = p.ExpectClosed()
	busy.Data(1, frame.EndStream, []byte("still here"))
	answers(t, busy, 1, "200", "still here")
}

func TestAConnectionThatIsTooOldDrains(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxAge: 2 * time.Second})
	f.neighbour() // it opens others
	p := f.connect()
	p.Headers(1, 0, post("/echo")...)
	p.ExpectGoAway(frame.NoError)
	require.Equal(t, uint32(1), p.ExpectGoAway(frame.NoError).LastStreamID())
	p.Data(1, frame.EndStream, []byte("in time"))
	answers(t, p, 1, "200", "in time")
	_ = p.ExpectClosed()
	require.Positive(t, f.refused(h2.EndedAge))
}

func TestAConnectionThatIsTooOldIsCutOffAfterAGrace(t *testing.T) {
	t.Parallel()
	f := start(t, h2.Limits{MaxAge: 2 * time.Second, AgeGrace: 100 * time.Millisecond})
	stuck := f.connect()
	stuck.Headers(1, frame.EndStream, fields("GET", "/wait")...)
	require.ErrorContains(t, <-f.ended, "canceled", "the grace is over")
	_ = stuck.ExpectClosed()
	require.Equal(t, int64(1), f.refused(h2.EndedAge))
}
