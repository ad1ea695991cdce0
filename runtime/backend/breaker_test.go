package backend_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

// The tests of the breaker run in a bubble, where time passes when everybody waits: none of them depends on how fast a machine is.

// server answers, or does not, as the test says, and counts what it is asked.
type server struct {
	down, silent, panics atomic.Bool
	calls, probes        atomic.Int64
}

var errDown = errors.New("connection refused to 10.0.0.7 with hunter2")

func (s *server) call(context.Context) error {
	s.calls.Add(1)
	if s.down.Load() {
		return fault.Wrap(errDown, fault.Unavailable, "test.Get", "the server does not answer")
	}
	return nil
}

func (s *server) probe(ctx context.Context) error {
	s.probes.Add(1)
	switch {
	case s.panics.Load():
		panic("in a probe")
	case s.silent.Load():
		<-ctx.Done()
		return context.Cause(ctx)
	case s.down.Load():
		return errDown
	}
	return nil
}

func (s *server) breaker(t *testing.T) (breaker *backend.Breaker, status *backend.Status, log *bytes.Buffer) {
	t.Helper()
	status, log = new(backend.Status), new(bytes.Buffer)
	env := backend.Env{Instance: "orders-db", Status: status, Log: slog.New(slog.NewTextHandler(log, nil))}
	breaker = backend.NewBreaker(t.Context(), env, s.probe)
	t.Cleanup(breaker.Close)
	return breaker, status, log
}

// open makes a breaker open.
func (s *server) open(t *testing.T, b *backend.Breaker) {
	t.Helper()
	s.down.Store(true)
	require.Equal(t, fault.Unavailable, fault.CodeOf(b.Do(t.Context(), false, s.call)))
	synctest.Wait()
}

func TestBreakerLetsCallsAndTheirErrorsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		b, status, log := s.breaker(t)
		require.NoError(t, b.Do(t.Context(), true, s.call))
		for _, err := range []error{
			fault.New(fault.Internal, "broken"), fault.New(fault.InvalidArgument, "wrong"), fault.New(fault.Aborted, "conflict"), context.Canceled, errors.New("any"),
		} {
			require.Equal(t, err, b.Do(t.Context(), true, func(context.Context) error { s.calls.Add(1); return err }))
		}
		synctest.Wait()
		require.EqualValues(t, 6, s.calls.Load(), "each call is made once")
		require.Zero(t, s.probes.Load(), "an answer, whatever it says, is a sign of life")
		require.Zero(t, status.Retries.Load())
		require.Empty(t, log.String())
	})
}

func TestBreakerStaysClosedWhileTheServerAnswersProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		b, status, log := s.breaker(t)
		for _, err := range []error{fault.New(fault.Unavailable, "too many connections"), context.DeadlineExceeded, fault.New(fault.DeadlineExceeded, "slow")} {
			require.Equal(t, err, b.Do(t.Context(), false, func(context.Context) error { return err }))
			synctest.Wait()
			require.NoError(t, b.Do(t.Context(), false, s.call))
		}
		require.EqualValues(t, 3, s.probes.Load(), "one probe for each suspicion")
		require.Zero(t, status.Openings.Load())
		require.Empty(t, log.String())
	})
}

func TestBreakerOpensRefusesAndClosesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		b, status, log := s.breaker(t)
		s.open(t, b)
		calls := s.calls.Load()

		began := time.Now()
		err := b.Do(t.Context(), true, s.call)
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		require.Equal(t, "BACKEND_UNAVAILABLE", fault.ReasonOf(err))
		require.NotContains(t, fault.Public(err).Message, "hunter2", "the cause is for the log")
		require.Equal(t, calls, s.calls.Load(), "an open breaker makes no call")
		require.Zero(t, time.Since(began), "and lets nobody wait")
		require.EqualValues(t, 1, status.Openings.Load())
		unavailable, since := status.State()
		require.NotEmpty(t, unavailable)
		require.NotContains(t, unavailable, "10.0.0.7")
		require.Equal(t, began, since)
		require.Contains(t, log.String(), "does not answer")

		// While the server is away, probes go on, ever more seldom, and the breaker opened once.
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		probes := s.probes.Load()
		require.Greater(t, probes, int64(10*60/4))
		require.Less(t, probes, int64(10*60*2))
		require.EqualValues(t, 1, status.Openings.Load())
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("level=WARN")), log.String())

		s.down.Store(false)
		back := time.Now()
		for b.Do(t.Context(), false, s.call) != nil {
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		require.Less(t, time.Since(back), 4*time.Second, "it closes soon after the server is back, without a client's call")
		require.Equal(t, calls+1, s.calls.Load())
		unavailable, since = status.State()
		require.Empty(t, unavailable)
		require.WithinDuration(t, time.Now(), since, 2*time.Millisecond)
		require.Contains(t, log.String(), "answers again")

		probes = s.probes.Load()
		time.Sleep(time.Minute)
		require.Equal(t, probes, s.probes.Load(), "nobody probes a server that answers")
		s.open(t, b)
		require.EqualValues(t, 2, status.Openings.Load(), "it opens again")
	})
}

func TestBreakerOpensWhenAProbeGetsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		s.silent.Store(true) // as a process that is frozen
		b, _, _ := s.breaker(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := b.Do(ctx, true, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		require.ErrorIs(t, err, context.DeadlineExceeded, "a call that took its whole time is not repeated, and its error is its own")
		time.Sleep(time.Second)
		require.NoError(t, b.Do(t.Context(), true, s.call), "one probe without an answer is not enough")
		time.Sleep(time.Second)
		require.Equal(t, "BACKEND_UNAVAILABLE", fault.ReasonOf(b.Do(t.Context(), true, s.call)))
		s.silent.Store(false)
		time.Sleep(4 * time.Second)
		require.NoError(t, b.Do(t.Context(), true, s.call))
	})
}

// A probe that has to connect first takes several round trips, which may be long ones.
func TestBreakerClosesWhenTheServerTakesItsTimeToAnswerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		b := backend.NewBreaker(t.Context(), backend.Env{}, func(ctx context.Context) error {
			select {
			case <-time.After(1500 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		defer b.Close()
		require.Error(t, b.Do(t.Context(), false, func(context.Context) error { return context.DeadlineExceeded }))
		time.Sleep(2 * time.Second)
		require.Equal(t, "BACKEND_UNAVAILABLE", fault.ReasonOf(b.Do(t.Context(), false, s.call)))
		time.Sleep(10 * time.Second)
		require.NoError(t, b.Do(t.Context(), false, s.call))
	})
}

func TestBreakerStaysClosedWhenAServerHesitatesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		s.silent.Store(true)
		b, status, _ := s.breaker(t)
		require.Error(t, b.Do(t.Context(), false, func(context.Context) error { return context.DeadlineExceeded }))
		time.Sleep(100 * time.Millisecond)
		s.silent.Store(false)
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 2, s.probes.Load())
		require.Zero(t, status.Openings.Load())
	})
}

// An instance may have several, each for a part of its server.
func TestAnInstanceIsReadyWhenAllItsBreakersAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var one, other server
		status := new(backend.Status)
		var breakers []*backend.Breaker
		for _, s := range []*server{&one, &other} {
			b := backend.NewBreaker(t.Context(), backend.Env{Status: status}, s.probe)
			t.Cleanup(b.Close)
			breakers = append(breakers, b)
		}
		began := time.Now()
		one.open(t, breakers[0])
		other.open(t, breakers[1])
		require.EqualValues(t, 2, status.Openings.Load())
		one.down.Store(false)
		time.Sleep(time.Minute)
		require.NoError(t, breakers[0].Do(t.Context(), false, one.call))
		unavailable, since := status.State()
		require.NotEmpty(t, unavailable)
		require.Equal(t, began, since)
		other.down.Store(false)
		time.Sleep(time.Minute)
		unavailable, _ = status.State()
		require.Empty(t, unavailable)
	})
}

func TestBreakerRepeatsOnlyWhatMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unavailable := fault.New(fault.Unavailable, "connection reset")
		attempts := func(b *backend.Breaker, repeatable bool, failures int64, err error) (made int64, _ error) {
			return made, b.Do(t.Context(), repeatable, func(context.Context) error {
				if made++; made <= failures {
					return err
				}
				return nil
			})
		}
		for name, test := range map[string]struct {
			repeatable     bool
			failures, want int64
			err            error
			fails          bool
		}{
			"once, and well":               {repeatable: true, failures: 0, want: 1},
			"a second time":                {repeatable: true, failures: 1, err: unavailable, want: 2},
			"a third time":                 {repeatable: true, failures: 2, err: unavailable, want: 3},
			"not a fourth time":            {repeatable: true, failures: 3, err: unavailable, want: 3, fails: true},
			"never":                        {repeatable: false, failures: 1, err: unavailable, want: 1, fails: true},
			"not what took all its time":   {repeatable: true, failures: 1, err: context.DeadlineExceeded, want: 1, fails: true},
			"not what the server answered": {repeatable: true, failures: 1, err: fault.New(fault.Internal, "no"), want: 1, fails: true},
		} {
			var s server
			b, status, _ := s.breaker(t)
			made, err := attempts(b, test.repeatable, test.failures, test.err)
			require.Equal(t, test.want, made, name)
			require.EqualValues(t, test.want-1, status.Retries.Load(), name)
			if test.fails {
				require.Equal(t, test.err, err, name)
			} else {
				require.NoError(t, err, name)
			}
		}
	})
}

func TestBreakerDoesNotRepeatForACallerWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		b, _, _ := s.breaker(t)
		ctx, cancel := context.WithCancel(t.Context())
		err := b.Do(ctx, true, func(context.Context) error {
			s.calls.Add(1)
			cancel()
			return fault.New(fault.Unavailable, "connection reset")
		})
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		require.EqualValues(t, 1, s.calls.Load())
	})
}

func TestBreakerSurvivesAProbeThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		s.panics.Store(true)
		b, _, log := s.breaker(t)
		s.open(t, b)
		require.Equal(t, "BACKEND_UNAVAILABLE", fault.ReasonOf(b.Do(t.Context(), true, s.call)))
		require.Contains(t, log.String(), "a probe panicked")
		s.panics.Store(false)
		s.down.Store(false)
		time.Sleep(4 * time.Second)
		require.NoError(t, b.Do(t.Context(), true, s.call))
	})
}

// The bubble fails the test when a probe is left over.
func TestBreakerEndsItsProbesWhenItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		b, status, _ := s.breaker(t)
		s.silent.Store(true)
		require.Error(t, b.Do(t.Context(), false, func(context.Context) error { return fault.New(fault.Unavailable, "gone") }))
		synctest.Wait()
		require.EqualValues(t, 1, s.probes.Load(), "a probe is under way")
		began := time.Now()
		b.Close()
		require.Zero(t, time.Since(began), "nobody waits for a probe")
		require.Zero(t, status.Openings.Load(), "a probe that was ended says nothing of the server")
		require.Error(t, b.Do(t.Context(), false, func(context.Context) error { return fault.New(fault.Unavailable, "gone") }))
		synctest.Wait()
		require.EqualValues(t, 1, s.probes.Load())
	})
}

func TestBreakerProbesOnBehalfOfTheInstanceNotOfWhoOpenedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s server
		ctx, cancel := context.WithCancel(t.Context())
		b := backend.NewBreaker(ctx, backend.Env{}, s.probe)
		defer b.Close()
		cancel() // opening is over
		s.open(t, b)
		require.Equal(t, "BACKEND_UNAVAILABLE", fault.ReasonOf(b.Do(t.Context(), true, s.call)))
	})
}
